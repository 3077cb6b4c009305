from __future__ import annotations

import numpy as np
import pytest

from memory.search.graph import DAMPING, Links, Rows, Walk

LINE = [(0, 1, 1.0), (1, 2, 1.0)]


def walk_over(links: list[tuple[int, int, float]], n_places: int) -> Walk:
    return Walk(Rows.of(Links.of(links), n_places), Links.of([]), np.zeros(0, np.int64), n_places)


def dense(found: tuple[np.ndarray, np.ndarray, float], n_places: int) -> np.ndarray:
    ranks = np.zeros(n_places)
    ranks[found[0]] = found[1]
    return ranks


def exact(
    links: list[tuple[int, int, float]], n_places: int, seeds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(rank, degree), by solving the linear system."""
    adjacency = np.zeros((n_places, n_places))
    for a, b, weight in links:
        adjacency[a, b] += weight
        adjacency[b, a] += weight
    degree = adjacency.sum(axis=0)
    step = adjacency / np.maximum(degree, 1e-12)
    solved = np.linalg.solve(np.eye(n_places) - DAMPING * step, (1 - DAMPING) * seeds / seeds.sum())
    return solved, degree


def random_links(rng: np.random.Generator, n_places: int, n_links: int) -> list[tuple[int, int, float]]:
    ends = rng.integers(0, n_places, (n_links, 2))
    weights = rng.choice([0.1, 0.5, 1.0], n_links)
    return [(int(a), int(b), float(w)) for (a, b), w in zip(ends, weights, strict=True) if a != b]


def test_rank_falls_with_distance_from_the_seed() -> None:
    rank = dense(walk_over(LINE, 4).rank(np.array([0]), np.ones(1)), 4)
    assert rank[0] > rank[1] > rank[2] > rank[3] == 0


@pytest.mark.parametrize("max_steps", [200, 2_000, 60_000])
def test_rank_is_below_the_exact_one_by_no_more_than_its_bound(max_steps: int) -> None:
    rng = np.random.default_rng(max_steps)
    links = random_links(rng, 300, 900)
    seeds = np.zeros(300)
    seeds[[3, 50, 299]] = 0.2, 0.7, 0.1
    found = walk_over(links, 300).rank(np.flatnonzero(seeds), seeds[seeds > 0], max_steps)
    solved, degree = exact(links, 300, seeds)
    short = solved - dense(found, 300)
    assert (short >= -1e-12).all()
    assert (short <= found[2] * degree + 1e-12).all()


def test_a_long_walk_is_exact() -> None:
    rng = np.random.default_rng(4)
    links = random_links(rng, 60, 150)
    seeds = np.zeros(60)
    seeds[7] = 1.0
    found = dense(walk_over(links, 60).rank(np.array([7]), np.ones(1)), 60)
    np.testing.assert_allclose(found, exact(links, 60, seeds)[0], atol=1e-6)


def test_links_that_came_since_count_and_those_of_moved_places_do_not() -> None:
    rng = np.random.default_rng(5)
    old, new = random_links(rng, 40, 90), random_links(rng, 50, 60)
    moved = np.array([3, 8, 21])
    kept = [link for link in old if link[0] not in moved]
    grown = Walk(Rows.of(Links.of(old), 40), Links.of(new), moved, 50)
    seeds = np.zeros(50)
    seeds[[3, 45]] = 1.0
    found = dense(grown.rank(np.array([3, 45]), np.ones(2)), 50)
    np.testing.assert_allclose(found, exact([*kept, *new], 50, seeds)[0], atol=1e-6)


def test_a_hub_is_not_walked_through_when_the_steps_are_few() -> None:
    hub = [(0, n, 1.0) for n in range(1, 5001)]
    reached, _, _ = walk_over([*hub, (1, 5001, 1.0)], 5002).rank(np.array([5001]), np.ones(1), 1000)
    assert set(reached) <= {0, 1, 5001}


def test_two_walks_do_not_disturb_each_other() -> None:
    walk = walk_over(LINE, 3)
    first = walk.rank(np.array([0]), np.ones(1))
    walk.rank(np.array([2]), np.ones(1))
    np.testing.assert_array_equal(walk.rank(np.array([0]), np.ones(1))[1], first[1])


def test_no_seeds_and_no_links_give_nothing() -> None:
    walk = walk_over([], 2)
    assert not len(walk.rank(np.zeros(0, np.int64), np.zeros(0))[0])
    assert dense(walk.rank(np.array([1]), np.ones(1)), 2).tolist() == [0.0, 1 - DAMPING]
