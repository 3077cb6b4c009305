"""A base with its weights changed, written as a folder of safetensors that transformers loads by itself.

Deltas are added in float32, a module at a time, and rounded once to the checkpoint's own type. The chat template is
the one that the weights were trained with, so that others who load the folder say the same words to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from agents.errors import UnknownModule
from agents.runtime.quiet import quiet_transformers
from agents.runtime.spec import ModelFolder
from agents.runtime.template import Template

FloatArray = npt.NDArray[np.float32]
KEEP = "keep"
DTYPES = (KEEP, "float32", "bfloat16", "float16")


def write_checkpoint(
    base: ModelFolder,
    deltas: Iterable[tuple[str, FloatArray]],
    folder: Path,
    *,
    dtype: str = KEEP,
    max_shard: str = "5GB",
) -> tuple[str, float]:
    """Write base + deltas into `folder`; the type of its weights, and the share of the deltas that rounding took.

    `deltas`: module name and what is added to its weight, (out, in). `dtype` is one of DTYPES; `keep` is the base's.
    Raises UnknownModule.
    """
    with quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(
            base.path, dtype="auto" if dtype == KEEP else getattr(torch, dtype), local_files_only=True
        )
        tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
    lost = _add(model, deltas)
    template = Template(tokenizer)
    tokenizer.chat_template = template.jinja
    _stop_at(model, template)
    with quiet_transformers():
        model.save_pretrained(folder, max_shard_size=max_shard)
        tokenizer.save_pretrained(folder)
    return str(model.dtype).removeprefix("torch."), lost


def chat_template(base: ModelFolder) -> str:
    """The template, in Jinja, by which the model is spoken to here."""
    with quiet_transformers():
        tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
    return Template(tokenizer).jinja


def _add(model: PreTrainedModel, deltas: Iterable[tuple[str, FloatArray]]) -> float:
    lost = whole = 0.0
    for name, delta in deltas:
        weight = _linear(model, name).weight
        exact = weight.detach().float() + torch.from_numpy(delta)
        with torch.no_grad():
            weight.copy_(exact.to(weight.dtype))
        lost += float((weight.detach().float() - exact).square().sum(dtype=torch.float64))
        whole += float(np.square(delta, dtype=np.float64).sum())
    return (lost / whole) ** 0.5 if whole else 0.0


def _stop_at(model: PreTrainedModel, template: Template) -> None:
    """Let `generate` end where answers end here."""
    config = model.generation_config
    config.eos_token_id = sorted(template.stop_ids)
    try:
        config.validate(strict=True)
    except (
        ValueError
    ):  # a base with a temperature and without the wish to draw, which transformers does not save
        config.do_sample = True


def _linear(model: PreTrainedModel, name: str) -> nn.Linear:
    try:
        module = model.get_submodule(name)
    except AttributeError as error:
        raise UnknownModule(name) from error
    if not isinstance(module, nn.Linear):
        raise UnknownModule(name)
    return module
