"""Draws -> DataTree -> numbers, verdicts, plots, reports, files. Importing it loads no plot backend."""

from probinv.results.diagnose import diagnose
from probinv.results.files import load, save
from probinv.results.modes import Modes, modes
from probinv.results.summary import summary
from probinv.results.tree import build_tree, provenance, with_provenance
from probinv.results.verdict import Diagnosis, Reason, Verdict

__all__ = [
    "Diagnosis",
    "Modes",
    "Reason",
    "Verdict",
    "build_tree",
    "diagnose",
    "load",
    "modes",
    "provenance",
    "save",
    "summary",
    "with_provenance",
]
