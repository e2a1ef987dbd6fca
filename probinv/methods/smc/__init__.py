"""Room for tempered sequential Monte Carlo. Empty in this version."""
