"""Where the verdict draws its lines, and where each line comes from."""

RHAT_MOST = 1.01
"""Vehtari, Gelman, Simpson, Carpenter & Bürkner 2021, arXiv 1903.08008, section 4."""

ESS_LEAST = 400.0
"""The same, section 4: bulk and tail ESS of at least 100 for each of 4 chains; below, R-hat is noise."""

RHAT_APART = 1.5
"""Chains this far apart sit in different places. Convention: at 1.5 the between-chain variance is 1.25 times
the one within."""

COMBINATION_RHAT_MOST = 1.1
"""Brooks & Gelman 1998, for the largest over all combinations. Half of the draws, along a direction that was
chosen: of 400 effective draws 1.05 is noise."""

CHAINS_ADVISED = 4
"""arXiv 1903.08008, section 4."""

DRAWS_LEAST = 4
"""Split R-hat needs two draws in each half."""

BFMI_LEAST = 0.3
"""Betancourt 2016, arXiv 1604.00695, for the quantity; the limit is that of Stan and ArviZ."""

DIVERGING_MOST = 1e-3
"""Convention: up to one divergence in 1000 draws is named and not held against the run."""

SATURATED_NAMED, SATURATED_MOST = 0.01, 0.5
"""Convention: fractions of trajectories cut off by max_tree_depth."""

NAN_DRAWS_MOST = 0.01
"""Convention: above it, NaN along the trajectories is a failure; below it, an unknown."""

FINITE_PRIOR_LEAST = 0.5
"""Convention: a network that is not finite on half of the prior has failed."""

DISTINCT_LEAST, DISTINCT_FRACTION = 10, 0.01
"""A chain with fewer distinct draws than this has not moved; ESS then reads as the number of draws."""

LATENT_MOST = 1e6
"""|z| of a draw: under a standard normal prior 1e6 has log density -5e11. An improper posterior drifts."""

TREND_LEAST = 3.0
"""Quarters of a chain whose means move one way by this many of their standard deviations: it drifts."""

ROUNDING_MOST = 0.01
"""Convention: rounding of a single-precision network, in units of the tolerance."""

FLOAT32_ROUNDING = 6e-8
"""Half of the spacing of float32 numbers at 1."""

REACHED_LEAST, REACHED_MOST = 0.05, 0.95
"""Fractions of draws that reach Y*: below the first it is not reached, from the second on it is."""

GRADIENT_MOST = 1.0
"""Convention: slope of the objective at an optimum, in nats for a unit of z."""

WEIGHT_ESS_LEAST = 25.0
"""Prior draws weighted by their likelihood are worth this many draws before they are compared with."""

WEIGHT_Z_MOST = 5.0
"""Standard errors between both. A normal law passes 5 once in 1.7 million comparisons."""

MAHALANOBIS_OUTPUTS = 20
"""Most outputs for which a covariance of the prior predictive is inverted."""

TEMPERED_ESS = 50.0
"""The likelihood is flattened until the weighted prior draws are worth this many."""

APART_LEAST, NEAR_LEAST, FAR_LEAST = 2.0, 0.2, 0.1
"""A gap in the weighted prior draws, in units of what is on its near side, and the weights on both sides.
Chosen by trying; `separation` gives the rates."""

MODE_RHAT_APART = 1.1
"""Chains whose membership in a mode has an R-hat above it are said to disagree, and from 1.01 on to know too
little. Convention: at 1.1 the shares of a mode of weight one half spread by 0.2 between chains."""

MODE_ERROR_MOST = 0.05
"""Convention: standard error of the weight of a mode. An effective sample size of 100 gives it to a weight of
one half."""

COMPONENT_LEAST = 0.05
"""Convention: the part of the draws, or of the prior, from which on a component of the prior counts."""

MOVEMENT_LEAST = 0.03
"""1 - the autocorrelation of successive draws within the modes, in the slowest entry. Below it, sets of draws
may be places that chains have not left: random walks in one mode fall apart at 0.01 and less, by trying."""

ANCESTORS_LEAST = 5.0
"""Effective ancestors of a replicate, and of a mode over all replicates: five families that never mix know a
weight of one half to 0.22, and the error of a mean, which is computed from them, to a third."""

LOG_EVIDENCE_SPREAD_MOST = 1.0
"""Standard deviation between replicates, in nats: one then counts e times too little. Particle estimates are
run at about 1 (Doucet, Pitt, Deligiannidis & Kohn 2015, arXiv 1210.1871)."""

PROJECTION_NAMED, PROJECTION_MOST = 0.1, 0.5
"""Convention: fractions of draws with a step that left the manifold or could not be retraced. Rejecting them
is right and slow; above the second, places may not have been reached."""

IMAGINED_RHAT_MOST, IMAGINED_ESS_LEAST = 1.05, 100
"""Convention: of the free energy of chains that imagine one label. Pictures are shown from them, and no means
to a third digit, so they may be looser than those of a posterior."""
