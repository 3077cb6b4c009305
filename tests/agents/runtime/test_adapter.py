from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.errors import BaseChanged, BrokenAdapter, UnknownModule
from agents.runtime.adapter import Adapter
from agents.runtime.lm import LanguageModel

MODULES = {"model.layers.1.self_attn.q_proj": (32, 32), "model.layers.2.mlp.down_proj": (48, 32)}


def make_adapter(base_hash: str, seed: int = 0, rank: int = 4, alpha: float = 8) -> Adapter:
    random = np.random.default_rng(seed)
    modules = {
        name: (
            random.normal(size=(rank, n_in)).astype(np.float32) * 0.3,
            random.normal(size=(n_out, rank)).astype(np.float32) * 0.3,
        )
        for name, (n_in, n_out) in MODULES.items()
    }
    return Adapter(base_hash, rank, alpha, modules, {"label": "test"})


def weights(lm: LanguageModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in lm.model.state_dict().items()}


def test_an_adapter_comes_back_from_its_files_with_the_same_hash(tmp_path: Path) -> None:
    adapter = make_adapter("b" * 64)
    adapter.save(tmp_path / "a")
    loaded = Adapter.load(tmp_path / "a")
    assert (loaded.sha256, loaded.meta, loaded.base_hash) == (adapter.sha256, adapter.meta, adapter.base_hash)


def test_the_delta_is_scale_times_b_times_a() -> None:
    adapter = make_adapter("b")
    a, b = adapter.modules["model.layers.2.mlp.down_proj"]
    np.testing.assert_allclose(adapter.delta("model.layers.2.mlp.down_proj"), 2.0 * (b @ a), rtol=1e-6)


def test_changed_weights_are_noticed(tmp_path: Path) -> None:
    make_adapter("b", seed=0).save(tmp_path / "a")
    make_adapter("b", seed=1).save(tmp_path / "other")
    (tmp_path / "other" / "adapter_model.safetensors").replace(tmp_path / "a" / "adapter_model.safetensors")
    with pytest.raises(BrokenAdapter, match="not the ones"):
        Adapter.load(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 64])
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    make_adapter("b").save(tmp_path / "a")
    (tmp_path / "a" / "adapter_model.safetensors").write_bytes(content)
    with pytest.raises(BrokenAdapter) as caught:
        Adapter.load(tmp_path / "a")
    assert "\n" not in str(caught.value)


def test_peft_loads_the_files_and_computes_the_same(tiny: LanguageModel, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    adapter = make_adapter(tiny.base_hash)
    adapter.save(tmp_path / "a")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = AutoModelForCausalLM.from_pretrained(tiny.folder, dtype=torch.float32)
        theirs = PeftModel.from_pretrained(base, tmp_path / "a").eval()
    ids = tiny.chat_ids([{"role": "user", "content": "Where?"}])
    tiny.apply([(adapter, 1.0)])
    with torch.no_grad():
        expected = theirs(input_ids=torch.tensor([ids])).logits[0].numpy()
    np.testing.assert_allclose(tiny.logits(ids), expected, atol=1e-5)


def test_reset_restores_the_very_bits(tiny: LanguageModel) -> None:
    before = weights(tiny)
    tiny.apply([(make_adapter(tiny.base_hash), 0.7), (make_adapter(tiny.base_hash, seed=1), -0.3)])
    assert not torch.equal(
        weights(tiny)["model.layers.1.self_attn.q_proj.weight"],
        before["model.layers.1.self_attn.q_proj.weight"],
    )
    tiny.reset()
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(tiny).items())


def test_coefficient_zero_is_the_identity(tiny: LanguageModel) -> None:
    before = weights(tiny)
    tiny.apply([(make_adapter(tiny.base_hash), 0.0)])
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(tiny).items())


def test_two_adapters_add_up_to_the_sum_of_their_deltas(tiny: LanguageModel) -> None:
    name = "model.layers.2.mlp.down_proj"
    one, two = make_adapter(tiny.base_hash), make_adapter(tiny.base_hash, seed=1)
    expected = tiny.model.get_submodule(name).weight.numpy() + 0.5 * one.delta(name) + 2.0 * two.delta(name)
    tiny.apply([(one, 0.5), (two, 2.0)])
    np.testing.assert_allclose(tiny.model.get_submodule(name).weight.numpy(), expected, atol=1e-5)


def test_an_adapter_of_another_base_is_refused_and_nothing_changes(tiny: LanguageModel) -> None:
    before = weights(tiny)
    with pytest.raises(BaseChanged, match="ffffffffffff"):
        tiny.apply([(make_adapter("f" * 64), 1.0)])
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(tiny).items())


def test_an_unknown_module_is_named(tiny: LanguageModel) -> None:
    factors = (np.zeros((4, 32), np.float32), np.zeros((32, 4), np.float32))
    stranger = Adapter(tiny.base_hash, 4, 8, {"model.layers.9.x": factors})
    with pytest.raises(UnknownModule, match=r"model\.layers\.9\.x"):
        tiny.apply([(stranger, 1.0)])


def test_the_config_names_full_modules_so_that_no_other_matches(tmp_path: Path) -> None:
    make_adapter("b").save(tmp_path / "a")
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(MODULES)
