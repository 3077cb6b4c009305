from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memory.search import nearest
from memory.search.columns import EPISODE, Columns
from memory.search.nearest import Nearest, build_lists, is_outgrown, mean_of, open_lists, save_lists

WIDTH = 48


def clustered(rng: np.random.Generator, n: int) -> np.ndarray:
    centres = rng.standard_normal((40, WIDTH))
    rows = centres[rng.integers(0, 40, n)] + 0.6 * rng.standard_normal((n, WIDTH))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def columns(tmp_path: Path) -> Columns:
    made = Columns.create(tmp_path, WIDTH)
    vectors = clustered(np.random.default_rng(0), 4000)
    made.extend({"owner": np.arange(1, 4001), "kind": EPISODE, "vector": vectors}, 4000)
    return made


def no_step(done: int, total: int) -> None:
    """Nobody watches."""


def over_lists(columns: Columns, n: int) -> Nearest:
    """Lists over the first `n` rows; the rest came since."""
    numbers = np.arange(n)
    path = columns.folder / "lists.faiss"
    save_lists(build_lists(columns, numbers, no_step), path)
    return Nearest(columns, open_lists(path, WIDTH), mean_of(columns, numbers), np.arange(n, columns.n))


def exact(columns: Columns, vector: np.ndarray, allowed: np.ndarray) -> list[int]:
    scores = np.where(allowed, columns.vector.astype(np.float32) @ vector, -2.0)
    return np.argsort(-scores, kind="stable")[:10].tolist()


def test_few_units_are_searched_exactly(columns: Columns) -> None:
    search = Nearest(columns, None, mean_of(columns, np.arange(4000)), np.arange(4000))
    vector = clustered(np.random.default_rng(1), 1)[0]
    found, cosines = search.search(vector, 10, None)
    assert found.tolist() == exact(columns, vector, np.ones(4000, bool))
    assert (np.diff(cosines) <= 0).all()


def test_the_lists_find_nearly_all_that_exact_search_finds(columns: Columns) -> None:
    search = over_lists(columns, 3800)
    every = np.ones(4000, bool)
    vectors = clustered(np.random.default_rng(2), 50)
    found = [
        set(search.search(vector, 10, every)[0]) & set(exact(columns, vector, every)) for vector in vectors
    ]
    assert sum(map(len, found)) >= 0.97 * 500


def test_a_narrow_limit_is_searched_exactly(columns: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    search = over_lists(columns, 4000)
    allowed = np.zeros(4000, bool)
    allowed[::97] = True
    vector = clustered(np.random.default_rng(3), 1)[0]
    assert search.search(vector, 10, allowed)[0].tolist() == exact(columns, vector, allowed)
    monkeypatch.setattr(nearest, "EXACT", 3)  # now by fetching more until enough are allowed
    found = search.search(vector, 10, allowed)[0].tolist()
    assert len(set(found) & set(exact(columns, vector, allowed))) >= 8


def test_a_vector_set_again_is_found_under_the_new_one(columns: Columns) -> None:
    search = over_lists(columns, 4000)
    vector = clustered(np.random.default_rng(4), 1)[0]
    columns.vector[17] = vector
    search = search.with_units(columns, np.array([17]))
    assert search.search(vector, 1, None)[0].tolist() == [17]


def test_damaged_lists_are_named(columns: Columns) -> None:
    path = columns.folder / "lists.faiss"
    path.write_bytes(b"no lists")
    with pytest.raises(ValueError, match=r"lists\.faiss"):
        open_lists(path, WIDTH)


def test_lists_of_another_width_are_damaged(columns: Columns) -> None:
    path = columns.folder / "lists.faiss"
    save_lists(build_lists(columns, np.arange(4000), no_step), path)
    with pytest.raises(ValueError, match=r"lists\.faiss"):
        open_lists(path, 2 * WIDTH)


def test_a_unit_that_is_in_the_lists_twice_is_found_once_and_by_its_new_vector(columns: Columns) -> None:
    lists = build_lists(columns, np.arange(4000), no_step)
    vector = clustered(np.random.default_rng(5), 1)[0]
    columns.vector[17] = vector
    nearest.add_to_lists(lists, columns, np.array([17]), no_step)
    search = Nearest(columns, lists, mean_of(columns, np.arange(4000)), np.arange(0))
    found, cosines = search.search(vector, 300, None)
    assert found[0] == 17
    assert cosines[0] == pytest.approx(1.0, abs=1e-3)
    assert len(set(found.tolist())) == len(found)


def test_lists_are_made_again_when_four_times_as_many_units_came(columns: Columns) -> None:
    lists = build_lists(columns, np.arange(4000), no_step)
    assert not is_outgrown(lists, 8_000)
    assert is_outgrown(lists, 40_000)
