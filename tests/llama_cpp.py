"""llama.cpp as tests ask it: a tiny base written as GGUF by hand, and the engine in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import load_file

_IN_A_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
END = 2  # of an answer, in the tiny model
_ENGINE = """
import json, sys
import xllamacpp
ask = json.loads(sys.stdin.read())
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel, params.warmup, params.verbosity = ask["base"], 256, 1, False, -1
params.cpuparams.n_threads = 1
params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32  # else attention is in 16 bits
params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(path, scale) for path, scale in ask["adapters"]]
server = xllamacpp.Server(params)
for ids in ask["rows"]:
    done = server.handle_completions(
        {"prompt": ids, "max_tokens": ask["n"], "temperature": 0, "logprobs": 1, "ignore_eos": True}
    )
    print(json.dumps([token["id"] for token in done["choices"][0]["logprobs"]["content"]]))
"""


def in_neighbouring_pairs(rows: np.ndarray, n_heads: int) -> np.ndarray:
    """Row by row, as llama.cpp wants q and k: the two rows that rotate together stand side by side."""
    size = len(rows) // n_heads
    turned = np.empty_like(rows)
    for head in range(n_heads):
        for i in range(size // 2):
            turned[head * size + 2 * i] = rows[head * size + i]
            turned[head * size + 2 * i + 1] = rows[head * size + size // 2 + i]
    return turned


def write_base(folder: Path, path: Path) -> Path:
    """The tiny Llama in `folder` as a GGUF in float32, with words for its ids."""
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    _add_vocabulary(writer, config["vocab_size"])
    writer.add_tensor("token_embd.weight", tensors["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", tensors["model.norm.weight"])
    for block in range(config["num_hidden_layers"]):
        for name, module in _IN_A_BLOCK.items():
            weight = tensors[f"model.layers.{block}.{module}.weight"]
            if name in heads:
                weight = in_neighbouring_pairs(weight, heads[name])
            writer.add_tensor(f"blk.{block}.{name}.weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: Any, size: int) -> None:
    """Words of plain letters: the engine holds back tokens that end within a character."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([f"w{i}" for i in range(size)])
    writer.add_token_types([gguf.TokenType.NORMAL] * size)
    writer.add_token_merges(["w 1"])
    writer.add_bos_token_id(END)
    writer.add_eos_token_id(END)
    writer.add_add_bos_token(False)


def continue_rows(
    base: Path, adapters: Sequence[tuple[Path, float]], rows: Sequence[Sequence[int]], n: int
) -> list[list[int]]:
    """For each row the `n` likeliest next tokens but END, by llama.cpp with these adapters and scales."""
    worn = [(str(path), scale) for path, scale in adapters]
    ask = {"base": str(base), "adapters": worn, "rows": [list(row) for row in rows], "n": n}
    done = subprocess.run(
        [sys.executable, "-c", _ENGINE],
        input=json.dumps(ask),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()[-len(rows) :]]
