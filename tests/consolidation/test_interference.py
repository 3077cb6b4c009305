"""Claims about interference: cosines and sign conflicts are those of the full deltas in float64, whole, by block and by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from agents.errors import BaseChanged
from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelFolder
from consolidation import recipe as recipes
from consolidation.errors import BadRule, BadVector
from consolidation.interference import Interference, Pairs, interference, of_recipe, place_of
from consolidation.merging import Vector, negate
from consolidation.recipe import Recipe
from consolidation.trimming import n_kept
from consolidation.vectors import DenseVector, extract_checkpoint
from tests.made_recipes import make_vector

BASE = "b" * 64
SHAPES = {
    "model.layers.0.self_attn.q_proj": (32, 32),
    "model.layers.0.mlp.up_proj": (48, 32),
    "model.layers.1.mlp.up_proj": (48, 32),
    "lm_head": (16, 32),
}


def vector(seed: int, *names: str) -> Adapter:
    made = make_vector(BASE, seed, SHAPES)
    return replace(made, modules={name: made.modules[name] for name in names or SHAPES})


def reference(
    vectors: Sequence[tuple[Vector, float]], density: float, names: Sequence[str]
) -> tuple[Any, Any, Any]:
    """Cosines, numbers kept of both, and those opposed, with nothing but full matrices in float64 and loops over pairs."""
    full, kept = [], []
    for one, coefficient in vectors:
        parts, signs = [], []
        for name in names:
            delta = exact(one, name) * coefficient
            flat = delta.reshape(-1)
            largest = np.argsort(-np.abs(flat), kind="stable")[: n_kept(flat.size, density)]
            sign = np.zeros(flat.size)
            sign[largest] = np.sign(flat[largest])
            parts.append(flat)
            signs.append(sign)
        full.append(np.concatenate(parts))
        kept.append(np.concatenate(signs))
    n = len(vectors)
    cosines, both, opposed = np.zeros((n, n)), np.zeros((n, n)), np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            norms = np.linalg.norm(full[i]) * np.linalg.norm(full[j])
            cosines[i, j] = full[i] @ full[j] / norms if norms else np.nan
            both[i, j] = ((kept[i] != 0) & (kept[j] != 0)).sum()
            opposed[i, j] = (kept[i] * kept[j] < 0).sum()
    return cosines, both, opposed


def exact(one: Vector, name: str) -> Any:
    if name not in one.modules:
        return np.zeros(SHAPES[name])
    if isinstance(one, Adapter):
        a, b = one.modules[name]
        return one.alpha / one.rank * (b.astype(np.float64) @ a.astype(np.float64))
    return one.delta(name).astype(np.float64)


def assert_same(found: Pairs, expected: tuple[Any, Any, Any]) -> None:
    cosines, both, opposed = expected
    for i in range(len(both)):
        for j in range(len(both)):
            cosine = found.cosine(i, j)
            assert (np.nan if cosine is None else cosine) == pytest.approx(
                cosines[i, j], abs=1e-12, nan_ok=True
            )
    assert (found.n_both == both).all()
    assert (found.n_opposed == opposed).all()


def test_cosines_and_conflicts_are_those_of_full_matrices_in_float64() -> None:
    vectors = [
        (vector(1), 1.0),
        (vector(2), -0.3),
        (vector(3, "lm_head", "model.layers.1.mlp.up_proj"), 2.0),
        (vector(4), 0.0),
    ]
    seen: list[tuple[int, int]] = []
    found = interference(vectors, 0.3, lambda done, total, note="": seen.append((done, total)))
    assert_same(found.whole, reference(vectors, 0.3, list(SHAPES)))
    assert sorted(found.blocks) == [0, 1]
    assert_same(found.blocks[0], reference(vectors, 0.3, list(SHAPES)[:2]))
    assert sorted(found.kinds) == ["lm_head", "mlp.up_proj", "self_attn.q_proj"]
    assert_same(found.kinds["mlp.up_proj"], reference(vectors, 0.3, list(SHAPES)[1:3]))
    assert seen[-1] == (4, 4)
    norms = [np.linalg.norm([np.linalg.norm(exact(one, name) * c) for name in SHAPES]) for one, c in vectors]
    assert found.whole.norms == pytest.approx(norms, rel=1e-12)


@pytest.fixture
def dense(tmp_path: Path) -> DenseVector:
    """What a checkpoint changed: another random vector in full, of the same modules."""
    rng = np.random.default_rng(7)
    tensors = {f"{name}.weight": rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    moved = {
        name: (tensor + 0.1 * rng.normal(size=tensor.shape)).astype(np.float32)
        for name, tensor in tensors.items()
    }
    for folder, weights in (("base", tensors), ("tuned", moved)):
        (tmp_path / folder).mkdir()
        save_file(weights, tmp_path / folder / "model.safetensors")
    return extract_checkpoint(
        ModelFolder(tmp_path / "base", BASE), tmp_path / "tuned", tmp_path / "adapters" / "dense"
    )


def test_dense_vectors_stand_beside_factored_ones(dense: DenseVector) -> None:
    vectors: list[tuple[Vector, float]] = [(dense, -1.5), (vector(1), 1.0), (dense, 0.5), (vector(2), 3.0)]
    assert_same(interference(vectors, 0.2).whole, reference(vectors, 0.2, list(SHAPES)))
    alone: list[tuple[Vector, float]] = [(dense, 1.0), (dense, -1.0)]
    assert interference(alone).whole.cosine(0, 1) == -1.0


def test_a_vector_agrees_with_itself_and_opposes_its_negation() -> None:
    one = vector(1)
    found = interference([(one, 1.0), (one, 0.2), (negate(one), 1.0), (one, -0.2)]).whole
    assert found.cosine(0, 1) == pytest.approx(1.0, abs=1e-12)
    assert found.conflicts(0, 1) == 0.0
    for place in (2, 3):
        assert found.cosine(0, place) == pytest.approx(-1.0, abs=1e-12)
        assert found.conflicts(0, place) == 1.0


def test_vectors_without_a_module_in_common_do_not_meet() -> None:
    found = interference([(vector(1, "lm_head"), 1.0), (vector(2, "model.layers.0.mlp.up_proj"), 1.0)])
    assert found.whole.cosine(0, 1) == 0.0
    assert found.whole.conflicts(0, 1) is None
    assert found.blocks[0].cosine(0, 1) is None


def test_strangers_conflict_by_half_and_pairs_come_strongest_first() -> None:
    kin = vector(1)
    found = interference([(vector(2), 1.0), (kin, 1.0), (vector(3), 1.0), (kin, 0.5)], 1.0)
    assert found.pairs()[0] == (1, 3)
    assert len(found.pairs()) == 6
    assert found.whole.conflicts(0, 2) == pytest.approx(0.5, abs=0.1)


def test_no_vectors_have_no_pairs() -> None:
    found = interference([])
    assert (found.n, found.pairs(), dict(found.blocks)) == (0, [], {})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.layers.12.self_attn.q_proj", (12, "self_attn.q_proj")),
        ("transformer.h.0.mlp.experts.3.up", (0, "mlp.experts.3.up")),
        ("lm_head", (None, "lm_head")),
    ],
)
def test_a_module_has_a_block_and_a_kind(name: str, expected: tuple[int | None, str]) -> None:
    assert place_of(name) == expected


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(BaseChanged):
        interference([(vector(1), 1.0), (replace(vector(2), base_hash="c" * 64), 1.0)])
    with pytest.raises(BadVector, match="expected"):
        interference([(vector(1), 1.0), (make_vector(BASE, 2, {"lm_head": (16, 8)}), 1.0)])
    with pytest.raises(BadVector, match="coefficient"):
        interference([(vector(1), float("nan"))])
    with pytest.raises(BadRule):
        interference([(vector(1), 1.0)], 0.0)


def test_a_recipe_is_compared_at_the_density_of_its_rule(tmp_path: Path, dense: DenseVector) -> None:
    made = Recipe(BASE)
    for number in (1, 2):
        vector(number).save(tmp_path / f"adapters/{number}")
        made = recipes.add(
            made, vector(number), path=f"adapters/{number}", run_id=f"night{number}", label="3 facts"
        )
    entry = replace(made.entries[0], adapter_sha256=dense.sha256, path="adapters/dense", run_id=None)
    made = recipes.changed(made, [*made.entries, entry])

    def densities(*of: Recipe) -> list[float]:
        return [of_recipe(tmp_path, one).density for one in of]

    ties, dare = recipes.with_rule(made, "ties", 0.4), recipes.with_rule(made, "dare", 0.4, 1)
    assert densities(made, ties, dare) == [0.2, 0.4, 0.2]
    found: Interference = of_recipe(tmp_path, made)
    assert found.n == 3
    assert_same(found.whole, reference([(vector(1), 1.0), (vector(2), 1.0), (dense, 1.0)], 0.2, list(SHAPES)))
