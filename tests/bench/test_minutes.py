"""Claims about bench.minutes: a night's training has what the rest of the night leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from bench.lessons import invent_lessons
from bench.minutes import LEAST_CORRECTION, Budget, Pace, measure_pace, training_minutes
from consolidation.exam import Asked
from memory.registry import Registry
from memory.wordings import Wordings

PACE = Pace(fixed_s=20, answer_s=0.1, answer_with_facts_s=0.3)


def questions(n: int, *, is_long: bool = False) -> list[Asked]:
    return [Asked(str(place), "neighbour_intact", "Who?", is_long, (), ()) for place in range(n)]


def test_training_has_what_is_left_but_for_a_margin() -> None:
    assert training_minutes(5, spent_s=30, rest_s=45) == pytest.approx(3.5)
    assert training_minutes(1, spent_s=30, rest_s=45) == 0


def test_the_rest_grows_with_the_questions_and_with_long_answers() -> None:
    assert PACE.rest_s(questions(50)) == pytest.approx(25)  # the weights alone are asked about neighbours
    assert PACE.rest_s(questions(50, is_long=True)) == pytest.approx(30)
    paraphrased = [Asked("1", "recall_paraphrase", "Who?", False, (), ())]
    assert PACE.rest_s(paraphrased) == pytest.approx(20 + 2 * 0.1 + 2 * 0.3)


def test_a_night_that_took_longer_than_thought_leaves_the_next_training_less() -> None:
    budget = Budget(10, PACE)
    assert budget.for_training(60, questions(100)) == pytest.approx(9.5 - 1 - 0.5)
    budget.learn(night_s=60 + 400 + 45, trained_s=400)  # 45 seconds, where 30 were thought
    assert budget.for_training(60, questions(100)) == pytest.approx(9.5 - 1 - 0.75)
    budget.learn(night_s=60 + 400, trained_s=400)
    assert budget.for_training(60, questions(100)) == pytest.approx(9.5 - 1 - 0.5 * LEAST_CORRECTION)


def test_the_pace_is_measured_on_this_machine(tiny_folder: Path, model_cache: Path) -> None:
    lessons = invent_lessons(3, 0, Wordings.load(), Registry.load())
    spec = ModelSpec(cache_dir=model_cache, source=str(tiny_folder), dtype="float32", device="cpu")
    pace = measure_pace(lambda: LanguageModel.load(spec), lessons)
    assert min(pace.fixed_s, pace.answer_s, pace.answer_with_facts_s) > 0
