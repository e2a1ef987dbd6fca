"""Laws of one mode and of several, in z, with the mode of each draw: what the search is tried on."""

from collections.abc import Callable

import numpy as np

type Law = Callable[[np.random.Generator, int, int, int], np.ndarray]
type Modal = Callable[[np.random.Generator, int, int, int], tuple[np.ndarray, np.ndarray]]


def normal(rng: np.random.Generator, chains: int, draws: int, n: int) -> np.ndarray:
    return rng.normal(size=(chains, draws, n))


def cauchy(rng: np.random.Generator, chains: int, draws: int, n: int) -> np.ndarray:
    return rng.standard_cauchy(size=(chains, draws, n))


def student(rng: np.random.Generator, chains: int, draws: int, n: int) -> np.ndarray:
    """Two degrees of freedom, all entries together."""
    return normal(rng, chains, draws, n) / np.sqrt(rng.chisquare(2, size=(chains, draws, 1)) / 2)


def curve(length: float, width: float) -> Law:
    """Uniform along an ellipse with half axes (length, 1), and N(0, width^2) about it; N(0, 1) elsewhere."""

    def law(rng: np.random.Generator, chains: int, draws: int, n: int) -> np.ndarray:
        z = normal(rng, chains, draws, n)
        angle = np.linspace(0, 2 * np.pi, 20001)
        arc = np.cumsum(np.hypot(length * np.sin(angle), np.cos(angle)))
        angle = np.interp(arc[-1] * rng.uniform(size=(chains, draws)), arc, angle)
        z[..., :2] = width * z[..., :2] + np.stack([length * np.cos(angle), np.sin(angle)], -1)
        return z

    return law


def parabola(rng: np.random.Generator, chains: int, draws: int, n: int) -> np.ndarray:
    z = normal(rng, chains, draws, n)
    z[..., 1] = 3 * z[..., 0] ** 2 + 0.01 * z[..., 1]
    return z


def spiral(rng: np.random.Generator, chains: int, draws: int, n: int) -> np.ndarray:
    z = normal(rng, chains, draws, n)
    turn = 6 * np.pi * np.sqrt(rng.uniform(size=(chains, draws)))
    z[..., :2] = 0.1 * z[..., :2] + turn[..., None] * np.stack([np.cos(turn), np.sin(turn)], -1)
    return z


def funnel(rng: np.random.Generator, chains: int, draws: int, n: int) -> np.ndarray:
    z = normal(rng, chains, draws, n)
    z[..., 1:] *= np.exp(1.5 * z[..., :1])
    return z


def slow(rng: np.random.Generator, chains: int, draws: int, n: int) -> np.ndarray:
    """z_t = 0.95 z_{t-1} + N(0, 0.0975)."""
    z = normal(rng, chains, draws, n)
    for t in range(1, draws):
        z[:, t] = 0.95 * z[:, t - 1] + np.sqrt(1 - 0.95**2) * z[:, t]
    return z


ONE: dict[str, Law] = {
    "normal": normal,
    "Cauchy": cauchy,
    "Student": student,
    "ring": curve(1.0, 1e-6),
    "thick ring": curve(1.0, 0.1),
    "ellipse": curve(50.0, 1e-6),
    "parabola": parabola,
    "spiral": spiral,
    "funnel": funnel,
    "slow": slow,
}


def two(half: float, sd: float, share: float = 0.5, *, axis: bool = False) -> Modal:
    """w.z = +-half + N(0, sd^2), w a random direction or the first entry; N(0, 1) across it."""

    def law(rng: np.random.Generator, chains: int, draws: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        z = normal(rng, chains, draws, n)
        w = np.eye(n)[0] if axis else rng.normal(size=n)
        w /= np.linalg.norm(w)
        side = rng.uniform(size=(chains, draws)) < share
        along = half * np.where(side, 1.0, -1.0) + sd * rng.normal(size=(chains, draws))
        return z + (along - z @ w)[..., None] * w, side.astype(int)

    return law


def corners(count: int, sd: float) -> Modal:
    """z_k = +-1 + N(0, sd^2) for the first entries: 2^count modes."""

    def law(rng: np.random.Generator, chains: int, draws: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        z = normal(rng, chains, draws, n)
        side = rng.uniform(size=(chains, draws, count)) < 0.5
        z[..., :count] = np.where(side, 1.0, -1.0) + sd * z[..., :count]
        return z, side @ (1 << np.arange(count))

    return law


def signs(rng: np.random.Generator, chains: int, draws: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Four modes as in the benchmark slcp: two entries are known but for their signs."""
    z = normal(rng, chains, draws, n)
    side = rng.uniform(size=(chains, draws, 2)) < 0.5
    z[..., :2] = np.where(side, 1.0, -1.0) * np.array([1.5, 1.0]) + 0.25 * z[..., :2]
    return z, side @ np.array([1, 2])


def arcs(rng: np.random.Generator, chains: int, draws: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two opposite arcs of a circle, each four fifths of a half."""
    z = normal(rng, chains, draws, n)
    side = rng.uniform(size=(chains, draws)) < 0.5
    angle = 0.4 * np.pi * rng.uniform(-1, 1, size=(chains, draws)) + np.pi * side
    z[..., :2] = np.stack([np.cos(angle), np.sin(angle)], -1)
    return z, side.astype(int)


def rings(rng: np.random.Generator, chains: int, draws: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """One ring inside the other: no direction parts them."""
    z = normal(rng, chains, draws, n)
    outer = rng.uniform(size=(chains, draws)) < 0.5
    angle = 2 * np.pi * rng.uniform(size=(chains, draws))
    radius = (1.0 + outer)[..., None]
    z[..., :2] = 0.05 * z[..., :2] + radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    return z, outer.astype(int)
