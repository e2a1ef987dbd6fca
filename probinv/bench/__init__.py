"""Problems with known answers, measured in one run against what a user would use instead.

A benchmark is a function without arguments that returns a `Result`, and one line in `BENCHES`.
"""

from collections.abc import Callable

from probinv.bench.result import Result


def _foundation() -> Result:
    """Seconds and ESS per second of a first and a second query, against hand-written NumPyro."""
    from probinv.bench.foundation import bench_foundation

    return bench_foundation()


BENCHES: dict[str, Callable[[], Result]] = {
    "foundation": _foundation,
}

__all__ = ["BENCHES", "Result"]
