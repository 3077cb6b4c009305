"""A GGUF file made into a folder of safetensors, once.

Weights are dequantised and rounded to bfloat16 (an error below the quantisation's own), so that a machine with
and one without fast bfloat16 start from the same numbers. The folder appears by one rename: it is whole or absent.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gguf
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.runtime.quiet import quiet_transformers


def dequantise(path: Path, folder: Path) -> Path:
    """Write `folder` from the GGUF at `path` unless it is there already; returns it."""
    if (folder / "config.json").is_file():
        return folder
    part = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        _write(path, part)
        try:
            part.rename(folder)
        except OSError:
            if not (folder / "config.json").is_file():  # else another process was first with the same bytes
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


@contextmanager
def _parsed_once() -> Iterator[None]:
    """Inside, one parse of a GGUF's header serves all readers: transformers makes three, some seconds each."""
    original = gguf.GGUFReader
    gguf.GGUFReader = functools.cache(original)
    try:
        yield
    finally:
        gguf.GGUFReader = original


def _write(path: Path, folder: Path) -> None:
    with quiet_transformers(), _parsed_once():
        model = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    weights = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name not in tied
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config.dtype = torch.bfloat16
    tokenizer.save_pretrained(folder)
    model.config.save_pretrained(folder)
