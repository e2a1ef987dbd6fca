"""Pictures of a result, each usable from 1 to thousands of inputs: every one says in its title what it shows.

plot_predictive   outputs against Y*                plot_convergence  R-hat and ESS of all inputs
plot_forest       intervals of the inputs           plot_trace        chains and ranks of the worst
plot_pair         pairs of inputs                   plot_energy       E-BFMI
plot_images       inputs that are images            plot_optima       optima against draws
plot_modes        modes and their weights           plot_all          those that suit, as files

And of machines:

plot_filters      weights of hidden units           plot_reconstructions  inputs and what comes back
plot_imagined     what is imagined for labels       plot_training         figures over the epochs
plot_chains       a chain over time                 plot_overlap          samples over the data

Colours: the prior and data are grey, the posterior and samples blue, Y* orange, optima black, trouble red.
"""

from probinv.results.plots.chains import plot_chains
from probinv.results.plots.convergence import plot_convergence
from probinv.results.plots.energy import plot_energy
from probinv.results.plots.everything import plot_all
from probinv.results.plots.filters import plot_filters
from probinv.results.plots.forest import plot_forest
from probinv.results.plots.images import plot_images
from probinv.results.plots.imagined import plot_imagined
from probinv.results.plots.modes import plot_modes
from probinv.results.plots.optima import plot_optima
from probinv.results.plots.overlap import plot_overlap
from probinv.results.plots.pair import plot_pair
from probinv.results.plots.predictive import plot_predictive
from probinv.results.plots.reconstructions import plot_reconstructions
from probinv.results.plots.trace import plot_trace
from probinv.results.plots.training import plot_training

__all__ = [
    "plot_all",
    "plot_chains",
    "plot_convergence",
    "plot_energy",
    "plot_filters",
    "plot_forest",
    "plot_images",
    "plot_imagined",
    "plot_modes",
    "plot_optima",
    "plot_overlap",
    "plot_pair",
    "plot_predictive",
    "plot_reconstructions",
    "plot_trace",
    "plot_training",
]
