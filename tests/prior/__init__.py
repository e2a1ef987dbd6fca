"""The tests of the priors."""
