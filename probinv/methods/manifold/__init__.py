"""Room for constrained (lifted) HMC. Empty in this version."""
