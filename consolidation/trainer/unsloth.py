"""The base loaded through unsloth's patched model, so that training runs on its CUDA kernels.

Written against unsloth's documented FastLanguageModel interface; it has NOT been run on a GPU yet
(docs/adr/0008-trainer.md). It is chosen only where CUDA and unsloth are both present.
"""

from __future__ import annotations

from typing import Any

import torch

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec, resolve


def load_with_unsloth(spec: ModelSpec) -> LanguageModel:
    """The same folder and hash as `LanguageModel.load`, with unsloth's forward and backward."""
    fast: Any = __import__("unsloth").FastLanguageModel
    found = resolve(spec)
    model, tokenizer = fast.from_pretrained(
        model_name=str(found.path), dtype=torch.bfloat16, load_in_4bit=False, local_files_only=True
    )
    model.eval().requires_grad_(False)
    return LanguageModel(model, tokenizer, found.base_hash, found.path)
