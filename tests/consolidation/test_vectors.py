"""Claims about task vectors out of adapters and checkpoints: exact, or with what is missing on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from agents.errors import BrokenAdapter
from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelFolder
from consolidation import low_rank, merging, vectors
from consolidation.errors import BadVector, BrokenTensors
from consolidation.merging import Rule, combine
from consolidation.trainer.job import Row
from consolidation.vectors import DenseVector, Origin

BASE = "b" * 64
ORIGIN = Origin(data_sha256="d" * 64, recipe_sha256="e" * 64, run_id="night1")
SHAPES = {
    "model.embed_tokens.weight": (20, 12),
    "model.layers.0.mlp.up_proj.weight": (16, 12),
    "model.layers.0.mlp.down_proj.weight": (12, 16),
    "model.norm.weight": (12,),
}
UP, DOWN = "model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj"


def weights(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def checkpoint(folder: Path, tensors: dict[str, np.ndarray]) -> ModelFolder:
    """Two files, as large models come."""
    folder.mkdir()
    names = sorted(tensors)
    save_file({name: tensors[name] for name in names[:2]}, folder / "model-00001-of-00002.safetensors")
    save_file({name: tensors[name] for name in names[2:]}, folder / "model-00002-of-00002.safetensors")
    return ModelFolder(folder, BASE)


def tuned(tmp_path: Path, **changed: np.ndarray) -> tuple[ModelFolder, Path]:
    """A base and a checkpoint in which the named tensors are others."""
    before = weights(1)
    base = checkpoint(tmp_path / "base", before)
    checkpoint(tmp_path / "tuned", {**before, **changed})
    return base, tmp_path / "tuned"


def up_changed(tmp_path: Path) -> tuple[ModelFolder, Path, np.ndarray]:
    after = weights(2)[f"{UP}.weight"]
    base, folder = tuned(tmp_path, **{f"{UP}.weight": after})
    return base, folder, after.astype(np.float64) - weights(1)[f"{UP}.weight"]


def peft_folder(folder: Path, ranks: dict[str, int], seed: int = 3, **config: Any) -> dict[str, Any]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    shapes = {UP: (16, 12), DOWN: (12, 16)}
    factors = {
        name: (rng.normal(size=(rank, shapes[name][1])), rng.normal(size=(shapes[name][0], rank)))
        for name, rank in ranks.items()
    }
    factors = {name: (a.astype(np.float32), b.astype(np.float32)) for name, (a, b) in factors.items()}
    tensors = {
        f"base_model.model.{name}.lora_{letter}.weight": factor
        for name, pair in factors.items()
        for letter, factor in zip("AB", pair, strict=True)
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 8, **config}))
    return factors


# ---- adapters


def test_an_adapters_factors_stay_bit_for_bit(tmp_path: Path) -> None:
    factors = peft_folder(tmp_path / "peft", {UP: 4, DOWN: 4})
    vector = vectors.extract_adapter(tmp_path / "peft", BASE, ORIGIN)
    for name, (a, b) in factors.items():
        assert np.array_equal(vector.modules[name][0], a)
        assert np.array_equal(vector.modules[name][1], b)
        assert np.array_equal(vector.delta(name), 2 * (b @ a))


def test_ranks_and_scales_by_module_are_brought_to_one(tmp_path: Path) -> None:
    patterns = {"rank_pattern": {"up_proj": 6}, "alpha_pattern": {"mlp.up_proj": 3}}
    factors = peft_folder(tmp_path / "peft", {UP: 6, DOWN: 4}, **patterns)
    vector = vectors.extract_adapter(tmp_path / "peft", BASE)
    for name, scale in {UP: 3 / 6, DOWN: 8 / 4}.items():
        a, b = (factor.astype(np.float64) for factor in factors[name])
        np.testing.assert_allclose(vector.delta(name), scale * b @ a, rtol=1e-5, atol=1e-6)


def test_rank_stabilised_adapters_are_scaled_by_the_root(tmp_path: Path) -> None:
    factors = peft_folder(tmp_path / "peft", {UP: 4}, use_rslora=True)
    a, b = factors[UP]
    delta = vectors.extract_adapter(tmp_path / "peft", BASE).delta(UP)
    np.testing.assert_allclose(delta, 8 / 2 * (b @ a), rtol=1e-6)


@pytest.mark.parametrize("config", [{"use_dora": True}, {"bias": "all"}, {"modules_to_save": ["lm_head"]}])
def test_an_adapter_that_is_more_than_factors_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    peft_folder(tmp_path / "peft", {UP: 4}, **config)
    with pytest.raises(BadVector, match="more than LoRA's factors"):
        vectors.extract_adapter(tmp_path / "peft", BASE)


def test_an_adapter_with_numbers_that_are_not_finite_is_refused(tmp_path: Path) -> None:
    peft_folder(tmp_path / "peft", {UP: 4})
    broken = {f"base_model.model.{UP}.lora_{letter}.weight": np.full((4, 4), np.nan) for letter in "AB"}
    save_file(broken, tmp_path / "peft" / "adapter_model.safetensors")
    with pytest.raises(BadVector, match="not finite"):
        vectors.extract_adapter(tmp_path / "peft", BASE)


@pytest.mark.parametrize("file", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_damaged_adapter_is_refused(tmp_path: Path, file: str) -> None:
    peft_folder(tmp_path / "peft", {UP: 4})
    (tmp_path / "peft" / file).write_bytes(b"{")
    with pytest.raises(BrokenAdapter):
        vectors.extract_adapter(tmp_path / "peft", BASE)


# ---- checkpoints


def test_a_checkpoints_vector_is_tuned_less_base_and_holds_what_changed_alone(tmp_path: Path) -> None:
    base, folder, expected = up_changed(tmp_path)
    vector = vectors.extract_checkpoint(base, folder, tmp_path / "vector", ORIGIN)
    assert list(vector.modules) == [UP]
    np.testing.assert_allclose(vector.delta(UP), expected, rtol=1e-6)
    assert (vector.base_hash, vector.meta["left_out"]) == (BASE, {})


def test_the_manifest_has_the_hashes_of_base_rows_and_recipe(tmp_path: Path) -> None:
    base, folder, _ = up_changed(tmp_path)
    vectors.extract_checkpoint(base, folder, tmp_path / "vector", ORIGIN)
    notes = json.loads((tmp_path / "vector" / "slowwave.json").read_text())
    assert notes["base_hash"] == BASE
    assert {name: notes["meta"][name] for name in ("data_sha256", "recipe_sha256", "run_id", "source")} == {
        "data_sha256": "d" * 64,
        "recipe_sha256": "e" * 64,
        "run_id": "night1",
        "source": "checkpoint",
    }


def test_a_dense_vector_loads_as_it_was_written_and_is_refused_when_changed(tmp_path: Path) -> None:
    base, folder, _ = up_changed(tmp_path)
    written = vectors.extract_checkpoint(base, folder, tmp_path / "vector")
    loaded = vectors.load_vector(tmp_path / "vector")
    assert isinstance(loaded, DenseVector)
    assert loaded.sha256 == written.sha256
    numbers = tmp_path / "vector" / "delta.safetensors"
    content = bytearray(numbers.read_bytes())
    content[-1] ^= 1
    numbers.write_bytes(content)
    with pytest.raises(BrokenAdapter, match="not the ones"):
        vectors.load_vector(tmp_path / "vector")
    numbers.write_bytes(content[:-8])
    with pytest.raises(BrokenAdapter):
        vectors.load_vector(tmp_path / "vector")


def test_a_factored_vector_loads_as_an_adapter(tmp_path: Path) -> None:
    peft_folder(tmp_path / "peft", {UP: 4})
    vector = vectors.extract_adapter(tmp_path / "peft", BASE, ORIGIN)
    vector.save(tmp_path / "vector")
    loaded = vectors.load_vector(tmp_path / "vector")
    assert isinstance(loaded, Adapter)
    assert (loaded.sha256, loaded.meta) == (vector.sha256, vector.meta)


def test_what_is_no_linear_module_is_left_out_by_name(tmp_path: Path) -> None:
    names = ("model.norm.weight", "model.embed_tokens.weight", f"{UP}.weight")
    base, folder = tuned(tmp_path, **{name: weights(2)[name] for name in names})
    vector = vectors.extract_checkpoint(base, folder, tmp_path / "vector")
    assert sorted(vector.meta["left_out"]) == sorted(names[:2])
    gone = sum(norm**2 for norm in vector.meta["left_out"].values())
    whole = gone + float(np.square(vector.delta(UP), dtype=np.float64).sum())
    factored = vectors.factor_checkpoint(base, folder, rank=12)
    assert factored.meta["residual"] == pytest.approx((gone / whole) ** 0.5, rel=1e-4)


def test_dense_and_factored_vectors_are_merged_together(tmp_path: Path) -> None:
    base, folder, expected = up_changed(tmp_path)
    dense = vectors.extract_checkpoint(base, folder, tmp_path / "vector")
    peft_folder(tmp_path / "peft", {UP: 4})
    adapter = vectors.extract_adapter(tmp_path / "peft", BASE)
    ((_, merged),) = combine([(dense, 1.0), (adapter, -0.5)], Rule())
    np.testing.assert_allclose(merged, expected - 0.5 * adapter.delta(UP), rtol=1e-5, atol=1e-5)


def test_a_checkpoint_of_another_architecture_or_with_nan_is_refused(tmp_path: Path) -> None:
    base, folder = tuned(tmp_path, **{f"{UP}.weight": np.zeros((4, 12), np.float32)})
    with pytest.raises(BadVector, match="up_proj"):
        vectors.extract_checkpoint(base, folder, tmp_path / "vector")
    broken = weights(1) | {f"{UP}.weight": np.full((16, 12), np.nan, np.float32)}
    checkpoint(tmp_path / "broken", broken)
    with pytest.raises(BadVector, match="not finite"):
        vectors.factor_checkpoint(base, tmp_path / "broken", rank=2)
    assert not (tmp_path / "vector").exists()


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    base, _, _ = up_changed(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BrokenTensors, match="no safetensors"):
        vectors.extract_checkpoint(base, tmp_path / "empty", tmp_path / "vector")


def test_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file as save_torch

    torch.manual_seed(0)
    for name in ("base", "tuned"):
        (tmp_path / name).mkdir()
        save_torch(
            {f"{UP}.weight": torch.randn(16, 12).bfloat16()}, str(tmp_path / name / "model.safetensors")
        )
    found = vectors._weights(tmp_path / "base")[f"{UP}.weight"].read()
    torch.manual_seed(0)
    assert np.array_equal(found, torch.randn(16, 12).bfloat16().float().numpy())
    vector = vectors.factor_checkpoint(ModelFolder(tmp_path / "base", BASE), tmp_path / "tuned", rank=12)
    assert vector.meta["residual"] < 1e-6


# ---- to a rank


def test_the_residual_is_what_svd_leaves_out() -> None:
    delta = np.random.default_rng(1).normal(size=(30, 20)).astype(np.float32)
    adapter = low_rank.factored([("one", delta)], 5, BASE, {})
    values = np.linalg.svd(delta.astype(np.float64), compute_uv=False)
    expected = float(np.sqrt(np.square(values[5:]).sum() / np.square(values).sum()))
    assert adapter.meta["residual"] == pytest.approx(expected, rel=1e-4)
    measured = np.linalg.norm(adapter.delta("one") - delta) / np.linalg.norm(delta)
    assert measured == pytest.approx(expected, rel=1e-4)


def test_large_modules_come_near_the_best_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(low_rank, "DECOMPOSED", 8)
    vectors_ = [(Adapter(BASE, 4, 4.0, {"one": factors(seed)}), 1.0) for seed in range(6)]
    ((name, delta),) = combine(vectors_, Rule("ties", 0.2))
    found = low_rank.factored([(name, delta)], 8, BASE, {}).meta["residual"]
    values = np.linalg.svd(delta.astype(np.float64), compute_uv=False)
    best = float(np.sqrt(np.square(values[8:]).sum() / np.square(values).sum()))
    assert best <= found * (1 + 1e-6) <= 1.005 * best
    again = low_rank.factored([(name, delta)], 8, BASE, {})
    assert again.sha256 == low_rank.factored([(name, delta)], 8, BASE, {}).sha256


def factors(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(4, 90)).astype(np.float32), rng.normal(size=(120, 4)).astype(np.float32)


def test_a_sum_of_factors_is_whole_at_the_sum_of_their_ranks() -> None:
    total = merging.add([(Adapter(BASE, 4, 4.0, {"one": factors(seed)}), 0.5) for seed in range(3)])
    adapter = low_rank.factored([("one", total.delta("one"))], 12, BASE, {})
    assert adapter.meta["residual"] < 1e-6


def test_a_delta_of_zeros_has_no_residual() -> None:
    adapter = low_rank.factored([("one", np.zeros((3, 4), np.float32))], 2, BASE, {})
    assert adapter.meta["residual"] == 0.0


def test_rows_are_hashed_by_what_they_say() -> None:
    said = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
    rows = [Row("1", "fact", said, "f1"), Row("2", "negative", said)]
    assert vectors.hash_rows(rows) == vectors.hash_rows([Row("9", "fact", said), Row("8", "negative", said)])
    assert vectors.hash_rows(rows) != vectors.hash_rows(rows[::-1])
