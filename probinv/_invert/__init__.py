"""invert: view -> draws -> x and y -> DataTree -> verdict; imagine: model -> draws -> DataTree -> verdict."""

from probinv._invert.imagine import imagine
from probinv._invert.run import invert, query, require_memory

__all__ = ["imagine", "invert", "query", "require_memory"]
