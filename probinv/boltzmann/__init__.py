"""Room for Boltzmann machines: p(v) = exp(-F(v)) / Z. Empty in this version."""
