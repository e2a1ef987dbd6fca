"""Trees in the form that `invert` builds them, from laws that are known exactly, without sampling."""

import numpy as np
import xarray as xr

from probinv.results.tree import build_tree

FACTS = {
    "method": "NUTS",
    "settings": {"draws": 250, "warmup": 500, "chains": 4},
    "exact": True,
    "seed": "0",
    "prior": "Normal",
    "likelihood": "Gaussian",
    "dtype": "float64",
    "network_hash": "9f2c" * 16,
    "gradients": 123456,
    "seconds_compile": 4.2,
    "seconds_sampling": 1.7,
    "interrupted": False,
    "notes": {"max_tree_depth": 10, "algorithm": "NUTS", "thin": 1},
    "versions": {"probinv": "0.1.0", "jax": "0.12.0"},
    "python": "3.12.1",
    "machine": "x86_64, 2 cores, JAX on cpu",
}


def linear(n: int, m: int, seed: int = 0, field: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A network y = A x, and the root of the prior's covariance: identity, or a smooth field on a square."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(m, n)) * np.exp(-np.arange(n) / max(n / 4, 1))
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    if not field:
        return a, np.eye(n)
    side = int(np.sqrt(n))
    place = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2)
    square = ((place[:, None] - place[None]) ** 2).sum(-1)
    root = np.linalg.cholesky(np.exp(-square / (2 * (side / 7) ** 2)) + 1e-6 * np.eye(n))
    bump = np.exp(-((place - side / 2) ** 2).sum(-1) / (2 * (side / 4) ** 2))
    return rng.normal(size=(m, 1)) * bump[None] / bump.sum() + 0.1 * a, root


def draws_tree(
    n: int = 10,
    *,
    m: int = 1,
    chains: int = 4,
    draws: int = 250,
    shape: tuple[int, ...] | None = None,
    sigma: float = 0.1,
    wish: float = 1.0,
    names: dict[str, tuple[int, ...]] | None = None,
    softmax: bool = False,
    seed: int = 0,
) -> xr.DataTree:
    """Exact draws of x ~ N(0, C) given A x = Y* + N(0, sigma^2), or of the prior with a class wish."""
    rng = np.random.default_rng(seed)
    a, root = linear(n, m, seed, field=shape is not None)
    y_star = np.eye(m)[0] * wish if softmax else np.full(m, wish)
    h = a @ root
    gain = h.T @ np.linalg.inv(h @ h.T + sigma**2 * np.eye(m))
    prior_z = rng.normal(size=(1, 1000, n))
    z = rng.normal(size=(chains, draws, n))
    z = z + (y_star + sigma * rng.normal(size=(chains, draws, m)) - z @ h.T) @ gain.T

    def split(x: np.ndarray) -> dict[str, np.ndarray]:
        if names is None:
            return {"x": x.reshape(*x.shape[:2], *(shape or (n,)))}
        parts, first = {}, 0
        for name, part in names.items():
            size = int(np.prod(part))
            parts[name] = x[..., first : first + size].reshape(*x.shape[:2], *part)
            first += size
        return parts

    def network(z: np.ndarray) -> np.ndarray:
        return z @ h.T

    def fit(y: np.ndarray) -> np.ndarray:
        if softmax:
            return y[..., 0] - np.log(np.exp(y).sum(-1))
        return -0.5 * (((y - y_star) / sigma) ** 2).sum(-1) - m * np.log(sigma * np.sqrt(2 * np.pi))

    def met(y: np.ndarray) -> np.ndarray:
        return y.argmax(-1) == 0 if softmax else (((y - y_star) / sigma) ** 2).sum(-1) < 16.0

    y, prior_y = network(z), network(prior_z)
    log_prior = -0.5 * (z**2).sum(-1) - 0.5 * n * np.log(2 * np.pi)
    lp = log_prior + fit(y)
    residual = np.sqrt((((y - y_star) / sigma) ** 2).sum(-1))
    stats = {
        "energy": -lp + 0.5 * rng.chisquare(n, size=(chains, draws)),
        "lp": lp,
        "acceptance_rate": rng.uniform(0.6, 1.0, size=(chains, draws)),
        "diverging": np.zeros((chains, draws), bool),
        "step_size": np.full((chains, draws), 0.4),
        "n_steps": np.full((chains, draws), 7),
        "tree_depth": np.full((chains, draws), 3),
        "nan_count": np.zeros((chains, draws), int),
        "reached": met(y),
        "log_prior": log_prior,
    }
    if not softmax:
        stats["residual_norm"] = residual
    bounds = split(np.full((1, 1, n), np.inf))
    groups = {
        "posterior": split(z @ root.T),
        "unconstrained_posterior": {"z": z},
        "posterior_predictive": {"y": y},
        "log_likelihood": {"y_star": fit(y)},
        "sample_stats": stats,
        "sampler_state": {"z": z[:, -1], "i": np.asarray(draws)},
        "prior": split(prior_z @ root.T),
        "prior_predictive": {"y": prior_y, "log_likelihood": fit(prior_y), "reached": met(prior_y)},
        "observed_data": {"y_star": np.full(m, np.nan) if softmax else y_star},
        "constant_data": {
            f"{side}_{name}": np.asarray(sign * value[0, 0])
            for side, sign in (("lower", -1), ("upper", 1))
            for name, value in bounds.items()
        },
    }
    question = (
        "y says class 0 (logits)"
        if softmax
        else f"y = {wish:g} within {sigma:g} (Gaussian standard deviation)"
    )
    facts = FACTS | {
        "question": question,
        "likelihood": "Label" if softmax else "Gaussian",
        "input_shape": list(shape or (n,)),
        "output_shape": [m],
        "size": n,
    }
    return build_tree(groups, facts)


def optima_tree(
    n: int = 10,
    *,
    m: int = 1,
    rows: int = 6,
    shape: tuple[int, ...] | None = None,
    sigma: float = 0.1,
    seed: int = 0,
) -> xr.DataTree:
    """Points on the way from prior draws to the posterior's mode, best first, as `MAP` leaves them."""
    rng = np.random.default_rng(seed)
    a, root = linear(n, m, seed, field=shape is not None)
    h, y_star = a @ root, np.ones(m)
    mode = h.T @ np.linalg.solve(h @ h.T + sigma**2 * np.eye(m), y_star)
    start = rng.normal(size=(rows, n))
    z = mode + np.linspace(0.0, 0.5, rows)[:, None] * (start - mode)
    order = np.argsort(0.5 * (z**2).sum(-1) + 0.5 * (((z @ h.T - y_star) / sigma) ** 2).sum(-1))
    z, start = z[order], start[order]
    y = z @ h.T
    residual = np.sqrt((((y - y_star) / sigma) ** 2).sum(-1))
    log_prior = -0.5 * (z**2).sum(-1) - 0.5 * n * np.log(2 * np.pi)
    log_likelihood = -0.5 * residual**2 - m * np.log(sigma * np.sqrt(2 * np.pi))
    objective = log_prior + log_likelihood
    weights = np.exp(objective - objective.max())
    lead = (rows, *(shape or (n,)))
    x, begin = (z @ root.T).reshape(lead), (start @ root.T).reshape(lead)
    prior_z = rng.normal(size=(1, 1000, n))
    groups = {
        "optima": {
            "x": x,
            "start_x": begin,
            "y": y,
            "z": z,
            "log_prior": log_prior,
            "log_likelihood": log_likelihood,
            "reached": residual < 4.0,
            "distance_from_start": np.linalg.norm((x - begin).reshape(rows, -1), axis=1),
            "objective": objective,
            "gradient_norm": np.full(rows, 1e-7),
            "laplace_log_weight": objective,
            "laplace_weight": weights / weights.sum(),
            "residual_norm": residual,
        },
        "prior": {"x": (prior_z @ root.T).reshape(1, 1000, *lead[1:])},
        "prior_predictive": {
            "y": prior_z @ h.T,
            "log_likelihood": np.zeros((1, 1000)),
            "reached": np.zeros((1, 1000), bool),
        },
        "observed_data": {"y_star": y_star},
        "constant_data": {"lower_x": np.full(lead[1:], -np.inf), "upper_x": np.full(lead[1:], np.inf)},
    }
    facts = FACTS | {
        "method": "MAP",
        "settings": {"starts": 32},
        "exact": False,
        "question": f"y = 1 within {sigma:g} (Gaussian standard deviation)",
        "input_shape": list(lead[1:]),
        "output_shape": [m],
        "size": n,
    }
    return build_tree(groups, facts)


def modal_tree(n: int, *, apart: bool = False) -> xr.DataTree:
    """x[0] + x[1] = 2^0.5 (+-3 + N(0, 0.1^2)), by chains or for each draw."""
    tree = draws_tree(n, draws=500)
    x, rng = tree["posterior"]["x"].values, np.random.default_rng(0)
    side = np.where(rng.uniform(size=(4, 500)) < 0.3, -3.0, 3.0)
    if apart:
        side[:] = np.array([3.0, 3.0, 3.0, -3.0])[:, None]
    along = (side + 0.1 * rng.normal(size=side.shape)) / np.sqrt(2)
    x[..., :2] += (along - x[..., :2].mean(-1))[..., None]
    tree["unconstrained_posterior"]["z"].values[:] = x
    return tree
