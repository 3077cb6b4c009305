from __future__ import annotations

import numpy as np

from memory.search.graph import DAMPING, Link, Walk


def test_rank_falls_with_distance_from_the_seed() -> None:
    walk = Walk(4, [Link(0, 1, 1.0), Link(1, 2, 1.0)])
    rank = walk.rank(np.array([1.0, 0, 0, 0]))
    assert rank[0] > rank[1] > rank[2] > rank[3] == 0


def test_rank_solves_the_equation_of_pagerank() -> None:
    walk = Walk(3, [Link(0, 1, 2.0), Link(1, 2, 1.0), Link(0, 2, 0.5)])
    adjacency = np.array([[0, 2, 0.5], [2, 0, 1], [0.5, 1, 0]])
    step = adjacency / adjacency.sum(axis=0)
    seeds = np.array([0.0, 1, 0])
    exact = np.linalg.solve(np.eye(3) - DAMPING * step, (1 - DAMPING) * seeds)
    np.testing.assert_allclose(walk.rank(seeds), exact, atol=1e-4)


def test_no_seeds_and_no_links_give_zeros() -> None:
    assert not Walk(2, []).rank(np.zeros(2)).any()
