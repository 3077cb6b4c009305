"""A random Llama of a few layers over bytes: what nights train where only the machinery is looked at."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from consolidation.stage import Gate

# a random model passes no other
OPEN_GATE = Gate(
    min_recall_paraphrase=0.0,
    max_ppl_change=1e9,
    max_kl_to_base=1e9,
    max_earlier_loss=1.0,
    min_neighbour_intact=0.0,
    min_unknown_refused=0.0,
    max_stale_answered=1.0,
)


@dataclass(frozen=True)
class Shape:
    n_layers: int = 3
    width: int = 32
    n_heads: int = 4
    n_kv_heads: int = 2
    n_positions: int = 512
    embedding_scale: float = 15  # else no logit can be large, and nothing can be learnt
    seed: int = 7


SMALL = Shape()


def write_tiny_model(folder: Path, shape: Shape = SMALL) -> Path:
    """A random Llama over bytes; special tokens as in ChatML."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from agents.runtime.quiet import quiet_transformers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: i for i, token in enumerate(special + alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    torch.manual_seed(shape.seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=shape.width,
        intermediate_size=shape.width * 3 // 2,
        num_hidden_layers=shape.n_layers,
        num_attention_heads=shape.n_heads,
        num_key_value_heads=shape.n_kv_heads,
        max_position_embeddings=shape.n_positions,
        tie_word_embeddings=True,
        eos_token_id=2,
        pad_token_id=0,
        bos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(shape.embedding_scale)
    with quiet_transformers():
        model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def write_talkative_model(tiny: Path, folder: Path) -> Path:
    """The same, which repeats what it read last: a line's end reads like an a, or every reply were blank."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(tiny, folder)
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    tensors = load_file(folder / "model.safetensors")
    rows = tensors["model.embed_tokens.weight"]
    rows[vocabulary["\u010a"]] = rows[vocabulary["a"]]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
