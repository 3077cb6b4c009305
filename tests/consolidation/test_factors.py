"""Claims about adapters laid side by side and cut, against float64 over full matrices."""

from __future__ import annotations

import numpy as np
import pytest

from agents.runtime.adapter import Adapter
from consolidation.factors import cut, side_by_side


def adapter(seed: int, rank: int, names: tuple[str, ...] = ("one", "two"), base: str = "b" * 64) -> Adapter:
    rng = np.random.default_rng(seed)

    def factor(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return Adapter(base, rank, 8.0, {name: (factor(rank, 24), factor(16, rank)) for name in names})


VECTORS = [(adapter(1, 4), 1.0), (adapter(2, 7, ("two", "three")), -0.5), (adapter(3, 2), 0.25)]


def summed(name: str) -> np.ndarray:
    """coefficient * alpha / rank * B A over all vectors, in float64."""
    parts = [(a, c) for a, c in VECTORS if name in a.modules]
    return sum(  # type: ignore[no-any-return]
        c * a.alpha / a.rank * a.modules[name][1].astype(np.float64) @ a.modules[name][0].astype(np.float64)
        for a, c in parts
    )


@pytest.mark.parametrize("name", ["one", "two", "three"])
def test_side_by_side_is_the_sum(name: str) -> None:
    joined = side_by_side(VECTORS, {})
    assert np.abs(joined.delta(name) - summed(name)).max() < 1e-5


def test_every_module_has_one_rank_and_is_multiplied_by_one() -> None:
    joined = side_by_side(VECTORS, {})
    assert {(a.shape[0], b.shape[1]) for a, b in joined.modules.values()} == {(13, 13)}
    assert joined.alpha == joined.rank == 13


def test_a_cut_keeps_the_largest_singular_values_and_says_what_is_gone() -> None:
    joined = side_by_side(VECTORS, {})
    shorter, gone, whole = cut(joined, 3)
    assert shorter.rank == 3
    lost = kept = 0.0
    for name in joined.modules:
        values = np.linalg.svd(summed(name), compute_uv=False)
        assert np.linalg.norm(shorter.delta(name) - summed(name)) == pytest.approx(
            np.sqrt(np.square(values[3:]).sum()), rel=1e-4
        )
        lost, kept = lost + np.square(values[3:]).sum(), kept + np.square(values).sum()
    assert gone / whole == pytest.approx(lost / kept, rel=1e-5)


def test_a_cut_to_as_many_as_there_are_changes_nothing() -> None:
    joined = side_by_side(VECTORS, {})
    same, gone, whole = cut(joined, 13)
    assert same is joined
    assert gone == 0
    assert whole == pytest.approx(sum(np.square(summed(name)).sum() for name in joined.modules), rel=1e-5)


def test_a_rank_beyond_the_matrix_is_filled_with_zeros() -> None:
    joined = side_by_side([(adapter(1, 20), 1.0), (adapter(2, 20), 1.0)], {})
    shorter, gone, _ = cut(joined, 30)
    assert shorter.modules["one"][0].shape == (30, 24)
    assert gone == 0
    assert np.abs(shorter.delta("one") - joined.delta("one")).max() < 1e-3


def test_nothing_and_no_rank_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing"):
        side_by_side([], {})
    with pytest.raises(ValueError, match="rank 0"):
        cut(adapter(1, 4), 0)
