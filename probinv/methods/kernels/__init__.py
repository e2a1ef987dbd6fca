"""Pure kernels, (key, state) -> state: what the families of methods share."""
