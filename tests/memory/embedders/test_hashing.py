from __future__ import annotations

import numpy as np

from memory.embedders.hashing import HashingEmbedder


def test_vectors_are_the_same_on_every_machine_and_day() -> None:
    vector = HashingEmbedder(8).encode(["a lighthouse at dusk"])[0]
    again = HashingEmbedder(8).encode(["A lighthouse, at dusk!"])[0]
    np.testing.assert_array_equal(vector, again)
    np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-6)


def test_shared_words_bring_texts_closer() -> None:
    query, near, far = HashingEmbedder().encode(
        ["where does she teach", "she teaches in Turin", "bread and salt"]
    )
    assert query @ near > query @ far


def test_a_text_without_words_is_the_zero_row() -> None:
    assert not HashingEmbedder().encode(["...", ""]).any()


def test_the_name_tells_the_width() -> None:
    assert HashingEmbedder(32).name != HashingEmbedder(64).name
    assert HashingEmbedder(32).encode([]).shape == (0, 32)
