"""Claims about bench.trainer: what counts as our time."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from bench.trainer import invented_rows, train_ours
from consolidation.stage import TrainSettings
from consolidation.trainer.backends import make_engine
from consolidation.trainer.handwritten import HandwrittenEngine
from consolidation.trainer.texts import make_texts


def test_what_is_computed_before_the_first_step_is_part_of_our_time(
    tiny_folder: Path, model_cache: Path
) -> None:
    model = LanguageModel.load(ModelSpec(cache_dir=model_cache, source=str(tiny_folder), dtype="float32"))
    engine = make_engine(model, TrainSettings(rank=2, alpha=4))
    assert isinstance(engine, HandwrittenEngine)
    texts = make_texts(invented_rows(4, 0), model.template)
    done = train_ours(engine, texts, model.model.get_output_embeddings().weight, 0.5, 0)
    assert done["prepare_s"] > 0
    share = done["tokens_per_s"] / done["tokens_per_s_in_steps"]  # of the time, in steps
    assert 0 < share < 1
    tokens = done["tokens_per_s"] * done["prepare_s"] / (1 - share)
    assert tokens == pytest.approx(round(tokens))
