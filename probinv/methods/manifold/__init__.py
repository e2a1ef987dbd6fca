"""Constrained HMC on the manifold of a wish that is an equation."""
