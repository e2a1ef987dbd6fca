"""Training of machines: from rows to parameters."""

from probinv.boltzmann.training._learning import Learning, means_of_rows
from probinv.boltzmann.training._loop import Course, Trained
from probinv.boltzmann.training._rows import as_rows
from probinv.boltzmann.training._settings import Training
from probinv.boltzmann.training._updown import FineTuning

__all__ = ["Course", "FineTuning", "Learning", "Trained", "Training", "as_rows", "means_of_rows"]
