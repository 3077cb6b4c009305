"""Claims about GGUF adapters: what is in the file, and that llama.cpp says with one what the model says here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import gguf
import numpy as np
import pytest
from transformers import AutoConfig

from agents.errors import UnfitForGguf
from agents.runtime.adapter import Adapter
from agents.runtime.gguf_adapter import write_gguf_adapter
from agents.runtime.lm import LanguageModel
from tests.llama_cpp import END, continue_rows, in_neighbouring_pairs, write_base

BLOCK = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
ASKED = ((84, 90, 7, 33), (12, 150, 40), (17, 17, 240, 99, 3))

needs_engine = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="xllamacpp, llama.cpp in a wheel, is not installed"
)


def adapter_for(lm: LanguageModel, seed: int, rank: int = 4) -> Adapter:
    rng = np.random.default_rng(seed)
    modules = {}
    for name in (f"model.layers.{i}.{module}" for i in range(3) for module in BLOCK + MLP):
        n_out, n_in = lm.model.get_submodule(name).weight.shape
        a, b = rng.normal(size=(rank, n_in)), rng.normal(size=(n_out, rank))
        modules[name] = (a.astype(np.float32) * 0.3, b.astype(np.float32) * 0.3)
    return Adapter(lm.base_hash, rank, 8.0, modules)


def read(path: Path) -> gguf.GGUFReader:
    return gguf.GGUFReader(path)


def likeliest(lm: LanguageModel, ids: tuple[int, ...], n: int) -> list[int]:
    made = list(ids)
    for _ in range(n):
        logits = lm.greedy_logits(made)
        logits[END] = -np.inf
        made.append(int(logits.argmax()))
    return made[len(ids) :]


def test_the_file_says_what_it_is(tiny: LanguageModel, tmp_path: Path) -> None:
    write_gguf_adapter(tmp_path / "a.gguf", adapter_for(tiny, 1), tiny.model.config)
    fields = {name: field.contents() for name, field in read(tmp_path / "a.gguf").fields.items()}
    assert fields["general.type"] == "adapter"
    assert fields["general.architecture"] == "llama"
    assert fields["adapter.type"] == "lora"
    assert fields["adapter.lora.alpha"] == 8.0
    assert fields["slowwave.base_sha256"] == tiny.base_hash


def test_every_factor_is_there_under_llama_cpps_name_and_in_its_order(
    tiny: LanguageModel, tmp_path: Path
) -> None:
    adapter = adapter_for(tiny, 1)
    write_gguf_adapter(tmp_path / "a.gguf", adapter, tiny.model.config)
    found = {tensor.name: tensor.data for tensor in read(tmp_path / "a.gguf").tensors}
    assert len(found) == 2 * len(adapter.modules)
    expected = {"attn_q": ("self_attn.q_proj", 4), "attn_k": ("self_attn.k_proj", 2)}
    for name, (module, heads) in expected.items():
        a, b = adapter.modules[f"model.layers.1.{module}"]
        assert np.array_equal(found[f"blk.1.{name}.weight.lora_a"], a)
        assert np.array_equal(found[f"blk.1.{name}.weight.lora_b"], in_neighbouring_pairs(b, heads))
    a, b = adapter.modules["model.layers.2.mlp.down_proj"]
    assert np.array_equal(found["blk.2.ffn_down.weight.lora_a"], a)
    assert np.array_equal(found["blk.2.ffn_down.weight.lora_b"], b)


def test_qwen_keeps_its_rows_where_they_are(tiny: LanguageModel, tmp_path: Path) -> None:
    config = AutoConfig.for_model("qwen3", num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2)
    adapter = adapter_for(tiny, 1)
    write_gguf_adapter(tmp_path / "a.gguf", adapter, config)
    found = {tensor.name: tensor.data for tensor in read(tmp_path / "a.gguf").tensors}
    b = adapter.modules["model.layers.0.self_attn.q_proj"][1]
    assert np.array_equal(found["blk.0.attn_q.weight.lora_b"], b)


def test_what_has_no_name_there_is_refused_before_anything_is_written(
    tiny: LanguageModel, tmp_path: Path
) -> None:
    adapter = adapter_for(tiny, 1)
    with pytest.raises(UnfitForGguf, match="of type gpt2"):
        write_gguf_adapter(tmp_path / "a.gguf", adapter, AutoConfig.for_model("gpt2"))
    odd = Adapter(
        tiny.base_hash, 4, 8.0, {"model.layers.0.mixer": adapter.modules["model.layers.0.mlp.up_proj"]}
    )
    with pytest.raises(UnfitForGguf, match=r"no tensor for model\.layers\.0\.mixer"):
        write_gguf_adapter(tmp_path / "a.gguf", odd, tiny.model.config)
    assert not (tmp_path / "a.gguf").exists()


@needs_engine
def test_llama_cpp_says_token_for_token_what_is_said_here(
    tiny: LanguageModel, tiny_folder: Path, tmp_path: Path
) -> None:
    base = write_base(tiny_folder, tmp_path / "base.gguf")
    one, two = adapter_for(tiny, 1), adapter_for(tiny, 2, rank=7)
    for name, adapter in (("one", one), ("two", two)):
        write_gguf_adapter(tmp_path / f"{name}.gguf", adapter, tiny.model.config)
    said = set()
    for worn in ([(one, 1.0)], [(one, 1.0), (two, -0.5)]):
        tiny.apply(worn)
        files = [
            (tmp_path / f"{name}.gguf", scale) for name, (_, scale) in zip(("one", "two"), worn, strict=False)
        ]
        here = [likeliest(tiny, ids, 16) for ids in ASKED]
        assert continue_rows(base, files, ASKED, 16) == here
        said |= {tuple(ids) for ids in here}
    assert len(said) == 2 * len(ASKED)  # or the comparison would be of a model that says one thing
