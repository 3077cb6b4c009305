"""Claims about the texts that watch over a training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation.trainer.engine import Text
from consolidation.trainer.handwritten import HandwrittenEngine
from consolidation.trainer.validation import MAX_TEXTS, PATIENCE, Validation

EVERY = 40


def texts(n: int) -> list[Text]:
    return [Text(f"v{i}", "validation", f"f{i}", (5, 6, 7 + i % 9, 8), (1, 2)) for i in range(n)]


@pytest.fixture
def engine(tiny_folder: Path, model_cache: Path) -> HandwrittenEngine:
    spec = ModelSpec(cache_dir=model_cache, source=str(tiny_folder), dtype="float32", device="cpu")
    engine = HandwrittenEngine(LanguageModel.load(spec), 4, 8, 0.4)
    engine.factors.initialise(0)
    return engine


def test_it_looks_now_and_then_and_only_where_there_is_something() -> None:
    assert not Validation([], EVERY).is_due(EVERY)
    assert Validation(texts(2), EVERY).is_due(7, is_last=True)
    assert [step for step in range(3 * EVERY) if Validation(texts(2), EVERY).is_due(step)] == [
        EVERY,
        2 * EVERY,
    ]


def test_it_goes_stale_when_the_loss_no_longer_falls_and_keeps_that_over_a_restart(
    engine: HandwrittenEngine,
) -> None:
    watching = Validation(texts(MAX_TEXTS + 30), EVERY)
    engine.prepare(texts(MAX_TEXTS + 30))
    before = engine.factors.flat.clone()
    first = watching.measure(engine)
    assert first > 0
    assert not watching.is_stale
    for _ in range(PATIENCE):
        assert watching.measure(engine) == pytest.approx(first)
    assert watching.is_stale
    assert torch.equal(engine.factors.flat, before)
    again = Validation(texts(3), EVERY)
    again.restore(watching.state())
    assert again.is_stale


def test_the_lowest_loss_is_the_best_even_where_it_is_hardly_lower(engine: HandwrittenEngine) -> None:
    watching = Validation(texts(3), EVERY)
    engine.prepare(texts(3))
    watching.measure(engine)
    assert watching.is_best
    watching.measure(engine)
    assert not watching.is_best
    again = Validation(texts(3), EVERY)
    again.restore(watching.state())
    again.measure(engine)
    assert not again.is_best
