"""Room for amortised inverses. Empty in this version."""
