"""Sets of points that a valley of low density parts: peaks of a density on a graph of neighbours."""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial import cKDTree

NEIGHBOURS = 15
LINKS = 30
DEPTH = 4


def density_peaks(points: np.ndarray) -> np.ndarray:
    """A and B are two if B(a, R) and B(b, R) hold 4 x 15 points of A and of B, R the height of the pass.

    r_i is the distance from point i to its 15th neighbour, so that 15 / r_i^d is a density for any dimension
    d of what the points lie on. The pass between two sets is the lowest of max(r_i, r_j, |x_i - x_j|) on a
    path of neighbours; a and b are the points of A and B with the smallest r. In balls of the same radius
    both peaks thus hold 4 times what the pass holds, and nothing has to be known of d: points on a curve are
    one set as long as they follow one another at much the same distance. No set has fewer than 60 points;
    the rest go to the set that is nearest.

    Peaks by their persistence: Chazal, Guibas, Oudot & Skraba 2013, J. ACM 60(6). Reachability: Campello,
    Moulavi & Sander 2013.

    Args:
        points: (point, d), d small.

    Returns:
        The number of its set for each point; zeros where there is one set.
    """
    count = len(points)
    if count <= LINKS:
        return np.zeros(count, int)
    distance, neighbour = cKDTree(points).query(points, LINKS + 1)
    reach = distance[:, NEIGHBOURS]
    own = np.repeat(np.arange(count), LINKS)
    other = neighbour[:, 1:].ravel()
    height = np.maximum(np.maximum(reach[own], reach[other]), distance[:, 1:].ravel())
    # a sparse array takes a weight of zero for no edge, and repeated points are at distance zero
    graph = csr_array((np.maximum(height, 1e-300), (own, other)), shape=(count, count))
    tree = minimum_spanning_tree(graph.maximum(graph.T)).tocoo()
    return _large(points, _joined(points, reach, tree.row, tree.col, tree.data))


def _joined(
    points: np.ndarray, reach: np.ndarray, row: np.ndarray, col: np.ndarray, height: np.ndarray
) -> np.ndarray:
    """The set of each point, after all passes have been crossed that part no two peaks."""
    place, peak = np.arange(len(points)), np.arange(len(points))
    members = [[k] for k in range(len(points))]

    def full(k: int, radius: float) -> bool:
        far = np.linalg.norm(points[members[k]] - points[peak[k]], axis=1)
        return bool((far <= radius).sum() >= DEPTH * NEIGHBOURS)

    for edge in np.argsort(height, kind="stable"):
        a, b, radius = int(place[row[edge]]), int(place[col[edge]]), float(height[edge])
        if len(members[a]) < len(members[b]):
            a, b = b, a
        if len(members[b]) >= DEPTH * NEIGHBOURS and full(b, radius) and full(a, radius):
            continue
        peak[a] = peak[a] if reach[peak[a]] <= reach[peak[b]] else peak[b]
        place[members[b]] = a
        members[a].extend(members[b])
    return place


def _large(points: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Sets of enough points, numbered from 0; the points of the others go to the nearest of them."""
    _, place, sizes = np.unique(roots, return_inverse=True, return_counts=True)
    large = sizes >= DEPTH * NEIGHBOURS
    if large.sum() < 2:
        return np.zeros(len(points), int)
    number = np.where(large, np.cumsum(large) - 1, -1)[place]
    lost = number < 0
    number[lost] = nearest(points[~lost], number[~lost], points[lost])
    return number


def nearest(points: np.ndarray, labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The label of the nearest of the points, for each of the others."""
    if not len(others):
        return np.zeros(0, int)
    return labels[cKDTree(points).query(others)[1]]
