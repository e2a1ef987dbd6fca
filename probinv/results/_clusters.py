"""Which draws belong together: the modes of a law that is known by its draws."""

from typing import NamedTuple

import numpy as np

from probinv.results._directions import GROUP_AXES, Valleys, directions, discriminant, is_empty, valleys
from probinv.results._persistence import density_peaks, nearest

ROWS_LEAST, ROWS_MOST = 50, 2000
BLOCKS, PARTS = 20, 4
WHOLE_MOST, COLUMNS_MOST, ENTRIES_MOST = 3, 40, 1000
SCORED_MOST = 1_000_000
CANDIDATES, CUTS_MOST, GUIDES = 30, 10, 5
SCORE_LEAST, SAME, OTHER = 2.0, 0.95, 0.02
CELL_LEAST, TURNS = 10, 5
DEPTH_MOST = 6
REST, TRAIN, HELD = 0, 1, 2


class _Rows(NamedTuple):
    """Draws (row, n), what they are for (`REST`, `TRAIN`, `HELD`), and the part of a chain they are from."""

    values: np.ndarray
    use: np.ndarray
    groups: np.ndarray

    def of(self, keep: np.ndarray) -> "_Rows":
        return _Rows(self.values[keep], self.use[keep], self.groups[keep])


def clusters(draws: np.ndarray) -> np.ndarray:
    """The mode of each draw (chain, draw, n), 0 the heaviest: sets with hardly any draw between them.

    Of at most 4000 draws one half (every other of 20 blocks of each chain) chooses directions and valleys,
    and the other judges them. Draws are parted

    - along directions (`directions`) in which the held draws leave a valley empty (`is_empty`); else
    - where a valley parts peaks of the density of the held draws (`density_peaks`), in all entries if there
      are at most 3, or along three directions: that of the deepest valley, that in which the draws in this
      valley are least like the others (there a curve would pass from one side to the other), and that of
      the next deepest;

    and each part again.
    """
    chains, count, n = draws.shape
    flat, use, groups = draws.reshape(-1, n), *_uses(draws)
    known = flat[use != REST]
    moving = (known != known[:1]).any(axis=0)
    if not moving.any():
        return np.zeros((chains, count), int)
    values = flat if moving.all() else flat[:, moving]
    rows = _Rows(values - known[:, moving].mean(axis=0), use, groups)
    if values.shape[1] > COLUMNS_MOST and _enough(rows):
        rows = rows._replace(values=_reduced(rows))
    labels = _parted(rows, 0)
    rank = np.argsort(np.argsort(-np.bincount(labels), kind="stable"))
    return rank[labels].reshape(chains, count)


def _uses(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each draw is used for, and its quarter of its chain; a draw that repeats the one before is not."""
    chains, count, _ = draws.shape
    new = np.ones((chains, count), bool)
    new[:, 1:] = (draws[:, 1:] != draws[:, :-1]).any(axis=2)
    time = np.broadcast_to(np.arange(count), (chains, count))
    use = np.where(time * BLOCKS // max(count, 1) % 2 == 0, TRAIN, HELD)
    use = np.where(new, use, REST).ravel()
    for kind in (TRAIN, HELD):
        rows = np.flatnonzero(use == kind)
        use[rows] = REST
        use[_thinned(rows, ROWS_MOST)] = kind
    groups = np.arange(chains)[:, None] * PARTS + time * PARTS // max(count, 1)
    return use, groups.ravel()


def _thinned(rows: np.ndarray, most: int) -> np.ndarray:
    return rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int)] if len(rows) else rows


def _enough(rows: _Rows) -> bool:
    return bool(min((rows.use == TRAIN).sum(), (rows.use == HELD).sum()) >= ROWS_LEAST)


def _parted(rows: _Rows, depth: int) -> np.ndarray:
    """The set of each row, numbered from 0."""
    first = _first(rows) if depth < DEPTH_MOST and _enough(rows) else np.zeros(len(rows.use), int)
    if first.max() == 0:
        return first
    labels, found = np.zeros(len(first), int), 0
    for part in range(first.max() + 1):
        here = first == part
        inner = _parted(rows.of(here), depth + 1)
        labels[here] = inner + found
        found += inner.max() + 1
    return labels


def _first(rows: _Rows) -> np.ndarray:
    """The rows parted once."""
    train = rows.of(rows.use == TRAIN)
    moving = (train.values != train.values[:1]).any(axis=0)  # a standard deviation is never quite 0
    if not moving.any():
        return np.zeros(len(rows.use), int)
    if not moving.all():
        rows, train = (r._replace(values=r.values[:, moving]) for r in (rows, train))
    axes = directions(train.values, train.groups)
    seen = train.values @ axes
    labels = _cut(rows, axes, seen)
    return _by_density(rows, axes, seen) if labels.max() == 0 else labels


def _cut(rows: _Rows, axes: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Cells between the directions whose valley is empty."""
    train, held = (rows.values[rows.use == use] for use in (TRAIN, HELD))
    gaps = valleys(seen)
    order = np.argsort(-gaps.score)[:CANDIDATES]
    alike = np.abs(np.atleast_2d(np.corrcoef(seen[:, order], rowvar=False)))
    tried: list[int] = []
    sides: list[np.ndarray] = []
    for k, column in enumerate(order):
        if gaps.score[column] < SCORE_LEAST or len(tried) == CUTS_MOST:
            break
        if (alike[k, tried] > SAME).any():
            continue
        tried.append(k)
        axis, gap = _sharpened(train, axes[:, column])
        if is_empty(held @ axis, gap.at[0], gap.left[0], gap.right[0]):
            axis, gap = _sharpened(rows.values[rows.use != REST], axis)
            side = rows.values @ axis > gap.at[0]
            if all(OTHER < (side != known).mean() < 1 - OTHER for known in sides):
                sides.append(side)
    code = np.zeros(len(rows.use), int)
    for side in sides:
        code = 2 * code + side
    return _cells(rows, code)


def _sharpened(values: np.ndarray, axis: np.ndarray) -> tuple[np.ndarray, Valleys]:
    """Fisher's discriminant between the sides of the valley, in turns, while the valley gets deeper."""
    gap = valleys((values @ axis)[:, None])
    for _ in range(TURNS):
        side = values @ axis > gap.at[0]
        if side.all() or not side.any():
            break
        then = discriminant(values, side)
        deeper = valleys((values @ then)[:, None])
        if not deeper.score[0] > gap.score[0]:
            break
        axis, gap = then, deeper
    return axis, gap


def _cells(rows: _Rows, code: np.ndarray) -> np.ndarray:
    """Cells numbered from 0; rows of a cell with hardly any draw go to the nearest."""
    used = rows.use != REST
    names, sizes = np.unique(code[used], return_counts=True)
    large = names[sizes >= CELL_LEAST]
    if len(large) < 2:
        return np.zeros(len(code), int)
    labels = np.where(np.isin(code, large), np.searchsorted(large, code), -1)
    lost = labels < 0
    known = used & ~lost
    labels[lost] = nearest(rows.values[known], labels[known], rows.values[lost])
    return labels


def _by_density(rows: _Rows, axes: np.ndarray, seen: np.ndarray) -> np.ndarray:
    if rows.values.shape[1] <= WHOLE_MOST:
        points, known = rows.values, _thinned(np.flatnonzero(rows.use != REST), ROWS_MOST)
    else:
        chosen = axes[:, _plane(seen)]
        # in units of the draws: where all directions are scaled alike, the narrow end of a ring looks empty
        points, known = rows.values @ (chosen / np.linalg.norm(chosen, axis=0)), rows.use == HELD
    found = density_peaks(points[known])
    return nearest(points[known], found, points) if found.max() else np.zeros(len(points), int)


def _plane(seen: np.ndarray) -> list[int]:
    """Three directions: of the deepest valley, out of it, and of the next deepest."""
    gaps = valleys(seen)
    order = np.argsort(-gaps.score)
    chosen = [int(order[0]), _way_out(seen, gaps.low, gaps.high, int(order[0]))]
    columns = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    alike = np.abs(columns.T @ columns[:, chosen]) / len(seen)
    other = [int(k) for k in order if alike[k].max() <= SAME]
    return [*dict.fromkeys(chosen), *other[:1]]


def _way_out(seen: np.ndarray, low: np.ndarray, high: np.ndarray, axis: int) -> int:
    """The direction in which the rows in the valley of an axis differ most from all, in mean or spread."""
    columns = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    inside = columns[(seen[:, axis] >= low[axis]) & (seen[:, axis] <= high[axis])]
    squares = columns**2
    with np.errstate(all="ignore"):
        away = np.abs(inside.mean(axis=0)) + np.abs((inside**2).mean(axis=0) - 1) / squares.std(axis=0)
    alike = np.abs(columns.T @ columns[:, axis]) / len(columns)
    return int(np.argmax(np.where(alike > SAME, -1.0, np.nan_to_num(away, posinf=0.0))))


def _reduced(rows: _Rows) -> np.ndarray:
    """The draws along the directions that promise most, where there are many entries."""
    train = rows.of(rows.use == TRAIN)
    entries = _promising(train)
    values = train.values[:, entries]
    axes = directions(values, train.groups)
    seen = (values @ axes)[:: -(-values.size // SCORED_MOST)]
    gaps = valleys(seen)
    order = [int(k) for k in np.argsort(-gaps.score)]
    apart = list(range(axes.shape[1] - GROUP_AXES, axes.shape[1]))
    out = [_way_out(seen, gaps.low, gaps.high, k) for k in order[:GUIDES]]
    chosen = list(dict.fromkeys([*apart, *order[:GUIDES], *out, *order]))[:COLUMNS_MOST]
    kept = axes[:, chosen]
    return rows.values[:, entries] @ (kept / np.linalg.norm(kept, axis=0))


def _promising(train: _Rows) -> np.ndarray:
    """Of very many entries those with the deepest valleys and those in which parts of chains differ most."""
    n = train.values.shape[1]
    if n <= ENTRIES_MOST:
        return np.arange(n)
    some = train.values[:: -(-len(train.values) // 500)]
    deep = np.argsort(-valleys(some).score)[: ENTRIES_MOST // 2]
    _, place, sizes = np.unique(train.groups, return_inverse=True, return_counts=True)
    means = np.zeros((len(sizes), n))
    np.add.at(means, place, train.values)
    apart = ((means / sizes[:, None]) ** 2).mean(axis=0) / train.values.var(axis=0)
    return np.unique(np.concatenate([deep, np.argsort(-apart)[: ENTRIES_MOST // 2]]))
