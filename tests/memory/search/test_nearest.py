from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memory.search import nearest
from memory.search.columns import EPISODE, Columns
from memory.search.nearest import Nearest, build_graph, open_graph, scale_of

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


def over_graph(columns: Columns, n: int) -> Nearest:
    """A graph over the first `n` rows; the rest came since."""
    numbers = np.arange(n)
    scale = scale_of(columns, numbers)
    path = columns.folder / "graph.usearch"
    build_graph(columns, numbers, scale, path, lambda done, total: None)
    return Nearest(columns, open_graph(path, WIDTH), scale, np.arange(n, columns.n))


def exact(columns: Columns, vector: np.ndarray, allowed: np.ndarray) -> list[int]:
    scores = np.where(allowed, columns.vector.astype(np.float32) @ vector, -2.0)
    return np.argsort(-scores, kind="stable")[:10].tolist()


def test_few_units_are_searched_exactly(columns: Columns) -> None:
    search = Nearest(columns, None, scale_of(columns, np.arange(4000)), np.arange(4000))
    vector = clustered(np.random.default_rng(1), 1)[0]
    found, cosines = search.search(vector, 10, None)
    assert found.tolist() == exact(columns, vector, np.ones(4000, bool))
    assert (np.diff(cosines) <= 0).all()


def test_the_graph_finds_nearly_all_that_exact_search_finds(columns: Columns) -> None:
    search = over_graph(columns, 3800)
    every = np.ones(4000, bool)
    vectors = clustered(np.random.default_rng(2), 50)
    found = [
        set(search.search(vector, 10, every)[0]) & set(exact(columns, vector, every)) for vector in vectors
    ]
    assert sum(map(len, found)) >= 0.97 * 500


def test_a_narrow_limit_is_searched_exactly(columns: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    search = over_graph(columns, 4000)
    allowed = np.zeros(4000, bool)
    allowed[::97] = True
    vector = clustered(np.random.default_rng(3), 1)[0]
    assert search.search(vector, 10, allowed)[0].tolist() == exact(columns, vector, allowed)
    monkeypatch.setattr(nearest, "EXACT", 3)  # now by fetching more until enough are allowed
    found = search.search(vector, 10, allowed)[0].tolist()
    assert len(set(found) & set(exact(columns, vector, allowed))) >= 8


def test_a_vector_set_again_is_found_under_the_new_one(columns: Columns) -> None:
    search = over_graph(columns, 4000)
    vector = clustered(np.random.default_rng(4), 1)[0]
    columns.vector[17] = vector
    search.add(np.array([17]))
    assert search.search(vector, 1, None)[0].tolist() == [17]


def test_a_damaged_graph_is_named(columns: Columns) -> None:
    path = columns.folder / "graph.usearch"
    path.write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"graph\.usearch"):
        open_graph(path, WIDTH)
