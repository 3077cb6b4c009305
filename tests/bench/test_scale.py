from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.invented import World
from bench.scale import Given, ingest, probe
from memory.embedders.hashing import HashingEmbedder

EMBEDDER = HashingEmbedder(64)


def test_the_world_has_as_many_facts_as_asked_for_and_unit_vectors() -> None:
    rows = list(World(250, EMBEDDER, 0).told())
    vectors = np.concatenate([row.fact_vectors for row in rows])
    assert vectors.shape == (250, 64)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert len(np.unique(vectors, axis=0)) == 250


def test_equal_seeds_make_equal_worlds() -> None:
    one, two = (World(120, EMBEDDER, 3) for _ in range(2))
    assert [row.text for row in one.told()] == [row.text for row in two.told()]
    assert [question.text for question in one.questions(5)] == [q.text for q in two.questions(5)]


def test_a_small_store_is_measured_from_ingest_to_search(tmp_path: Path) -> None:
    world = World(300, EMBEDDER, 0)
    written = ingest(world, tmp_path, Given(EMBEDDER))
    assert written["facts"] + 10 > 300
    found = probe(tmp_path, world.questions(90), Given(EMBEDDER))
    assert found["recall_at_10_vs_exact"] == found["hybrid_recall_at_10"] == 1.0
    assert found["search_ms"]["p50"] > 0
