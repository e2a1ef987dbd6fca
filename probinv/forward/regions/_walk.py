"""Draws that are uniform on one polytope: hit and run."""

import numpy as np

from probinv.forward.regions._polytope import Region


def walk(region: Region, rng: np.random.Generator, count: int, steps: int) -> np.ndarray:
    """(count, n): every `steps`-th point of a walk from the middle of the region.

    From a point, uniformly along a random line through it inside the polytope (Smith 1984). Its stationary
    law is uniform on the region; in one dimension each draw is an independent one.
    """
    inside = region.rows @ region.frame
    moving = np.linalg.norm(inside, axis=1) > 1e-13 * np.abs(region.rows).max(initial=1.0)
    inside, room = inside[moving], np.maximum((region.ends - region.rows @ region.point.ravel())[moving], 0.0)
    t, drawn = np.zeros(region.dimension), np.zeros((count, region.dimension))
    for number in range(count if region.dimension else 0):
        for _ in range(steps):
            along = rng.standard_normal(region.dimension)
            speed, rest = inside @ along, room - inside @ t
            with np.errstate(divide="ignore", invalid="ignore"):
                reach = np.maximum(rest, 0.0) / speed
            forth = reach[speed > 0].min(initial=np.inf)
            back = reach[speed < 0].max(initial=-np.inf)
            t = t + rng.uniform(back, forth) * along
        drawn[number] = t
    return region.point.ravel() + drawn @ region.frame.T
