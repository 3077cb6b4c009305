"""Which back-end trains, and why: `peft` everywhere, `unsloth` on CUDA where it is installed.

Both write peft's format. `peft` computes with hand-written blocks where the model fits them and with peft's injected
modules elsewhere.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation.errors import BackendUnfit
from consolidation.stage import TrainSettings
from consolidation.trainer.engine import Engine
from consolidation.trainer.handwritten import HandwrittenEngine, fits
from consolidation.trainer.job import TrainJob


def unsloth_obstacle() -> str | None:
    """One line on why unsloth cannot be used here; None where it can."""
    if not torch.cuda.is_available():
        return "it needs a CUDA device and there is none"
    if importlib.util.find_spec("unsloth") is None:
        return "it is not installed; run `pip install 'slowwave[unsloth]'`"
    return None


def choose_backend(settings: TrainSettings) -> tuple[str, str]:
    """The back-end's name and the reason in one line. Raises BackendUnfit for one that was asked for by name."""
    if settings.backend not in ("auto", "peft", "unsloth"):
        raise BackendUnfit(settings.backend, "there is none of that name")
    obstacle = unsloth_obstacle()
    if settings.backend == "unsloth" and obstacle is not None:
        raise BackendUnfit("unsloth", obstacle)
    if settings.backend == "peft":
        return "peft", "asked for"
    if obstacle is None:
        return "unsloth", "CUDA and unsloth are there"
    return "peft", f"unsloth: {obstacle}"


def load_base(job: TrainJob, backend: str) -> LanguageModel:
    spec = ModelSpec(Path(job.cache_dir), job.base_model, job.settings.dtype, job.device)
    if backend == "unsloth":
        from consolidation.trainer.unsloth import load_with_unsloth

        return load_with_unsloth(spec)
    return LanguageModel.load(spec)


def make_engine(language_model: LanguageModel, settings: TrainSettings) -> Engine:
    """A fresh engine on the weights as the model wears them now."""
    arguments = (language_model, settings.rank, settings.alpha, settings.first_layer)
    if fits(language_model.model):
        return HandwrittenEngine(*arguments)
    from consolidation.trainer.injected import InjectedEngine

    return InjectedEngine(*arguments)
