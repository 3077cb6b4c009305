from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from memory.embedders.hashing import HashingEmbedder
from memory.ports import FloatMatrix
from memory.search.predicates import PredicateMatcher


class Slow(HashingEmbedder):
    """Takes its time, and counts how often it is asked."""

    n_calls = 0

    def encode(self, texts: Sequence[str]) -> FloatMatrix:
        self.n_calls += 1
        time.sleep(0.05)
        return super().encode(texts)


def test_of_several_first_questions_one_pays(tmp_path: Path) -> None:
    embedder, folder = Slow(), tmp_path / "index" / "one"
    matchers = [PredicateMatcher(embedder, folder, "Someone") for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda matcher: matcher.prepare(["lives_in", "likes"]), matchers))
    assert embedder.n_calls == 1
    near = [matcher.nearness(np.asarray(super(Slow, embedder).encode(["x"])[0])) for matcher in matchers]
    assert all(other == near[0] for other in near)
    assert set(near[0]) == {"lives_in", "likes"}


def test_a_home_encodes_the_shipped_wordings_once_and_keeps_a_space_s_own_predicates_apart(
    tmp_path: Path,
) -> None:
    embedder, index = Slow(), tmp_path / "index"
    PredicateMatcher(embedder, index / "one", "Someone").prepare(["lives_in", "keeps_wolves_with"])
    assert embedder.n_calls == 2
    other = PredicateMatcher(embedder, index / "two", "Someone")
    other.prepare(["lives_in"])
    assert embedder.n_calls == 2
    assert set(other.nearness(embedder.encode(["Where does Someone live?"])[0])) == {"lives_in"}
    again = PredicateMatcher(embedder, index / "one", "Someone")
    again.prepare(["likes", "keeps_wolves_with"])
    assert set(again.nearness(embedder.encode(["x"])[0])) == {"lives_in", "keeps_wolves_with", "likes"}
    shared = np.load(tmp_path / "cache" / "wordings.npz")
    assert set(shared.files) == {"__key__", "lives_in", "likes"}
