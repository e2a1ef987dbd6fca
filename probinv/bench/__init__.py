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


def _layers() -> Result:
    """18 small networks, from dense to transformer, against five ways back: reached, distinct, dimension."""
    from probinv.bench.layers import bench_layers

    return bench_layers()


def _regions() -> Result:
    """All solutions of twelve ReLU networks, region by region: how many, and in how many seconds."""
    from probinv.bench.regions import bench_regions

    return bench_regions()


def _sbibm() -> Result:
    """C2ST against sbibm's reference draws, with the true likelihood; needs its files (PROBINV_DATA)."""
    from probinv.bench.sbibm import bench_sbibm

    return bench_sbibm()


def _acasxu() -> Result:
    """Inputs with five properties in six ACAS Xu networks, found or not; needs its files (PROBINV_DATA)."""
    from probinv.bench.acasxu import bench_acasxu

    return bench_acasxu()


def _loaders() -> Result:
    """Seconds, values and derivatives of networks from ONNX against ONNX Runtime; needs files."""
    from probinv.bench.loaders import bench_loaders

    return bench_loaders()


def _boltzmann_rbm() -> Result:
    """Test log-likelihood of a machine 784-500 after 400 CPU-seconds; needs MNIST (PROBINV_DATA)."""
    from probinv.bench.machines import bench_rbm

    return bench_rbm()


def _boltzmann_rbm_long() -> Result:
    """The same with up to an hour of training; needs MNIST (PROBINV_DATA)."""
    from probinv.bench.machines import bench_rbm_long

    return bench_rbm_long()


def _boltzmann_dbn() -> Result:
    """Variational bound of a network 784-500-2000 beside its first machine; needs MNIST (PROBINV_DATA)."""
    from probinv.bench.machines import bench_dbn

    return bench_dbn()


def _boltzmann_imagine() -> Result:
    """Are imagined digits recognised, are they diverse, and the error of classifying; needs MNIST."""
    from probinv.bench.imagination import bench_imagination

    return bench_imagination()


def _boltzmann_autoencoder() -> Result:
    """Squared error of MNIST's test images through a code of 30 numbers; needs its files (PROBINV_DATA)."""
    from probinv.bench.autoencoder import bench_autoencoder

    return bench_autoencoder()


def _boltzmann_epoch() -> Result:
    """Seconds of one epoch of PCD-1, against scikit-learn on one core and PyTorch on two."""
    from probinv.bench.epoch import bench_epoch

    return bench_epoch()


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
    "layers": _layers,
    "regions": _regions,
    "sbibm": _sbibm,
    "acasxu": _acasxu,
    "loaders": _loaders,
    "boltzmann-rbm": _boltzmann_rbm,
    "boltzmann-rbm-long": _boltzmann_rbm_long,
    "boltzmann-dbn": _boltzmann_dbn,
    "boltzmann-imagine": _boltzmann_imagine,
    "boltzmann-autoencoder": _boltzmann_autoencoder,
    "boltzmann-epoch": _boltzmann_epoch,
}

__all__ = ["BENCHES", "Result"]
