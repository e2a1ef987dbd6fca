"""Pictures of a result, each usable from 1 to thousands of inputs: every one says in its title what it shows.

plot_predictive   outputs against Y*                plot_convergence  R-hat and ESS of all inputs
plot_forest       intervals of the inputs           plot_trace        chains and ranks of the worst
plot_pair         pairs of inputs                   plot_energy       E-BFMI
plot_images       inputs that are images            plot_optima       optima against draws
plot_modes        modes and their weights           plot_all          those that suit, as files

Colours: the prior is grey, the posterior blue, Y* orange, optima black, trouble red.
"""

from probinv.results.plots.convergence import plot_convergence
from probinv.results.plots.energy import plot_energy
from probinv.results.plots.everything import plot_all
from probinv.results.plots.forest import plot_forest
from probinv.results.plots.images import plot_images
from probinv.results.plots.modes import plot_modes
from probinv.results.plots.optima import plot_optima
from probinv.results.plots.pair import plot_pair
from probinv.results.plots.predictive import plot_predictive
from probinv.results.plots.trace import plot_trace

__all__ = [
    "plot_all",
    "plot_convergence",
    "plot_energy",
    "plot_forest",
    "plot_images",
    "plot_modes",
    "plot_optima",
    "plot_pair",
    "plot_predictive",
    "plot_trace",
]
