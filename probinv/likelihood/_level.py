"""When a deviation is too large to count as noise: the tail probability of all `reached` flags."""

from jax.scipy.special import gammaincc

from probinv._typing import Count, Flag, Scalar

TAIL = 1e-3


def within_chi_square(square: Scalar, outputs: Count) -> Flag:
    """square <= the .999 quantile of chi-squared with m degrees of freedom.

    Written as P(chi2_m > square) = Gamma(m/2, square/2) / Gamma(m/2) >= .001, because m depends on which
    outputs matter and these are known only when the computation runs. False where square is NaN.
    """
    return gammaincc(0.5 * outputs.astype(square.dtype), 0.5 * square) >= TAIL
