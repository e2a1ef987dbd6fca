"""Room for layer-wise inverses. Empty in this version."""
