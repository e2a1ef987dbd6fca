"""Problems with known answers, measured in one run against what a user would use instead.

A benchmark is a function without arguments that returns a `Result`, and one line in `BENCHES`.
"""

from collections.abc import Callable

from probinv.bench.result import Result


def _foundation() -> Result:
    """Seconds and ESS per second of a first and a second query, against hand-written NumPyro."""
    from probinv.bench.foundation import bench_foundation

    return bench_foundation()


def _calibration() -> Result:
    """Simulation-based calibration of NUTS, as it is and with four errors planted."""
    from probinv.bench.calibration import bench_calibration

    return bench_calibration()


BENCHES: dict[str, Callable[[], Result]] = {
    "foundation": _foundation,
    "calibration": _calibration,
}

__all__ = ["BENCHES", "Result"]
