"""p(v) = exp(-F(v)) / Z: restricted Boltzmann machines, stacked into deep belief networks, that imagine.

What there is:

    RBM, DBN, Autoencoder      trained on rows: estimators, and a network with its decoder
    Machine, Stack, units      the mathematical objects: energies, free energies, conditional laws
    chains, temper             block Gibbs sampling with held units; parallel (trajectory) tempering
    log_partition, ...         likelihoods: exact where they can be, else a bracket from both sides
    MachinePrior, DecoderPrior a machine or a decoder as p(x) of a posterior
    recognised_pattern, ...    what a hidden unit looks for
    save_machine, save_stack   files
"""

from probinv.boltzmann import units
from probinv.boltzmann._finetune import finetune, train_autoencoder
from probinv.boltzmann.autoencoder import Autoencoder, codes_of, unroll
from probinv.boltzmann.dbn import DBN
from probinv.boltzmann.decoder_prior import DecoderPrior
from probinv.boltzmann.exact import (
    exact_gradient,
    exact_log_likelihood,
    exact_log_partition,
    exact_moments,
    exact_probabilities,
)
from probinv.boltzmann.files import load_machine, save_machine
from probinv.boltzmann.gibbs import chains, last_state, random_states, rows_at_random
from probinv.boltzmann.likelihood import (
    LogLikelihood,
    LogPartition,
    log_likelihood,
    log_partition,
    score_samples,
)
from probinv.boltzmann.machine import Machine, machine_above, new_machine
from probinv.boltzmann.prior import MachinePrior
from probinv.boltzmann.rbm import RBM
from probinv.boltzmann.stack import Bound, Layer, Stack, variational_bound
from probinv.boltzmann.stack_files import load_stack, save_stack
from probinv.boltzmann.tempering import (
    base_machine,
    choose_rungs,
    interpolated_ladder,
    ladder_state,
    log_partition_along,
    stack,
    temper,
)
from probinv.boltzmann.training import Training
from probinv.boltzmann.views import backward_pattern, filters, recognised_pattern, sampled_patterns

__all__ = [
    "DBN",
    "RBM",
    "Autoencoder",
    "Bound",
    "DecoderPrior",
    "Layer",
    "LogLikelihood",
    "LogPartition",
    "Machine",
    "MachinePrior",
    "Stack",
    "Training",
    "backward_pattern",
    "base_machine",
    "chains",
    "choose_rungs",
    "codes_of",
    "exact_gradient",
    "exact_log_likelihood",
    "exact_log_partition",
    "exact_moments",
    "exact_probabilities",
    "filters",
    "finetune",
    "interpolated_ladder",
    "ladder_state",
    "last_state",
    "load_machine",
    "load_stack",
    "log_likelihood",
    "log_partition",
    "log_partition_along",
    "machine_above",
    "new_machine",
    "random_states",
    "recognised_pattern",
    "rows_at_random",
    "sampled_patterns",
    "save_machine",
    "save_stack",
    "score_samples",
    "stack",
    "temper",
    "train_autoencoder",
    "units",
    "unroll",
    "variational_bound",
]
