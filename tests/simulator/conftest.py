"""The tiny model, loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec


@pytest.fixture
def tiny(tiny_folder: Path, model_cache: Path) -> LanguageModel:
    return LanguageModel.load(
        ModelSpec(cache_dir=model_cache, source=str(tiny_folder), dtype="float32", device="cpu")
    )
