"""invert: view -> draws -> x and y -> DataTree -> verdict. imagine, of models: `_invert.imagine`."""

from probinv._invert.run import invert, query, require_memory

__all__ = ["invert", "query", "require_memory"]
