"""The bench of regions, on networks that take no time."""

import numpy as np

from probinv.bench.regions import bench_regions, look, random_network


def test_the_networks_are_what_they_say() -> None:
    network = random_network((50, 200, 1))
    assert network.layers[0].weight.shape == (200, 50)
    assert abs(np.std(network.layers[0].weight) - np.sqrt(2 / 50)) < 0.01
    np.testing.assert_array_equal(network.layers[0].weight, random_network((50, 200, 1)).layers[0].weight)


def test_a_wish_that_is_met_has_a_region_and_a_search_that_is_cut_off_says_so() -> None:
    result = bench_regions(((1, 6, 1), (2, 8, 2)))
    assert [row[0] for row in result.rows] == ["1-6-1", "2-8-2"]
    for one in result.figures["networks"]:
        assert one["complete"] is True
        assert one["regions"] >= 1
        assert one["dimension"] == 0  # as many outputs as inputs
        assert one["error"] < 1e-12
    assert look((2, 16, 1), nodes_most=3)["complete"] is False
