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
    """Simulation-based calibration of NUTS, with errors planted too, of LiftedHMC and of TemperedSMC."""
    from probinv.bench.calibration import bench_calibration

    return bench_calibration()


def _samplers() -> Result:
    """ESS per second on four networks at sigma .1 and .001, against hand-written NumPyro NUTS."""
    from probinv.bench.samplers import bench_samplers

    return bench_samplers()


def _tolerances() -> Result:
    """ESS per 1000 gradients of LiftedHMC from sigma = .1 to 0, and R-hat, on 20 random networks."""
    from probinv.bench.tolerances import bench_tolerances

    return bench_tolerances()


def _toy() -> Result:
    """A loop of vanishing width: LiftedHMC from sigma = 1 to 0, and against mici's constrained HMC."""
    from probinv.bench.toy import bench_toy

    return bench_toy()


def _modes() -> Result:
    """Weights of 32 modes that are known: TemperedSMC with 4096 particles, NUTS with 64 chains."""
    from probinv.bench.modes import bench_modes

    return bench_modes()


def _waiting() -> Result:
    """Seconds from the call to judged draws in a fresh process, with a warm compilation cache and without."""
    from probinv.bench.waiting import bench_waiting

    return bench_waiting()


def _kinematics() -> Result:
    """C2ST of the positions of a robot arm against their exact law, with the arm and with a network of it."""
    from probinv.bench.kinematics import bench_kinematics

    return bench_kinematics()


def _resim() -> Result:
    """Re-simulation error of inputs found through a network, and the kinds of answer among them."""
    from probinv.bench.resim import bench_resim

    return bench_resim()


def _sbibm() -> Result:
    """C2ST against sbibm's reference draws, with the true likelihood; needs its files (PROBINV_DATA)."""
    from probinv.bench.sbibm import bench_sbibm

    return bench_sbibm()


BENCHES: dict[str, Callable[[], Result]] = {
    "foundation": _foundation,
    "calibration": _calibration,
    "samplers": _samplers,
    "tolerances": _tolerances,
    "toy": _toy,
    "modes": _modes,
    "waiting": _waiting,
    "kinematics": _kinematics,
    "resim": _resim,
    "sbibm": _sbibm,
}

__all__ = ["BENCHES", "Result"]
