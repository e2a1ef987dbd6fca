"""Markov chains on the density of z."""
