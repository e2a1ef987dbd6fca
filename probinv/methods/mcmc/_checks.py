"""Checks of settings that NUTS and HMC share."""

from probinv._errors import InputError


def check_fraction(name: str, value: float) -> None:
    """0 < value < 1, or an InputError."""
    if not 0.0 < value < 1.0:
        raise InputError(f"{name} must lie between 0 and 1", f"got {value!r}", f"for example {name}=0.8")


def check_positive(name: str, value: float) -> None:
    """0 < value < infinity, or an InputError."""
    if not 0.0 < value < float("inf"):
        raise InputError(f"{name} must be positive and finite", f"got {value!r}", "give a number above zero")
