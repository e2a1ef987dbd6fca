"""The tests of the networks."""
