"""A night's minutes: how many of them its training may have, so that the whole of it keeps to them.

What came before the training is known when it starts. What comes after, most of it the exam, is estimated from the number of
questions and from how fast this machine answered a few before the first night; each night corrects the estimate for the next.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.runtime.lm import LanguageModel
from bench.lessons import Lesson
from consolidation import exam
from consolidation.again import RETRIEVING
from consolidation.curriculum import with_facts
from consolidation.exam import Asked
from consolidation.prompts import N_RETRIEVED
from consolidation.stage import no_progress

MARGIN = 0.05  # of a night's minutes, kept for what the estimate misses
LEAST_CORRECTION = 0.5  # however quick the night before was
_SAMPLE = 40  # questions
_WARM = 8  # asked before the clock starts: the first ones also wait for pages and prepared operations
_LONG = exam.LONG_ANSWER / exam.SHORT_ANSWER


def training_minutes(minutes: float, spent_s: float, rest_s: float) -> float:
    """What is left for the training of a night that has spent `spent_s` and will take `rest_s` after it; 0 where nothing is."""
    return max(0.0, minutes * (1 - MARGIN) - (spent_s + rest_s) / 60)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that this machine takes for what a night does beside training."""

    fixed_s: float  # starting the training's process, loading the model, reading the neutral texts twice
    answer_s: float
    answer_with_facts_s: float

    def rest_s(self, questions: Sequence[Asked]) -> float:
        """All but the training, from its start to the night's end."""
        answers_s = 0.0
        for condition in exam.ASKED:
            each = self.answer_with_facts_s if condition in RETRIEVING else self.answer_s
            answers_s += sum(
                each * (_LONG if question.is_long else 1) for question in exam.asked_of(condition, questions)
            )
        return self.fixed_s + answers_s


def measure_pace(load: Callable[[], LanguageModel], lessons: Sequence[Lesson]) -> Pace:
    """By doing a little of each on the base model, before any night."""
    started = time.perf_counter()
    model = load()
    load_s = _since(started)
    started = time.perf_counter()
    exam.drift_from(model, exam.general(model))
    general_s = _since(started)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import consolidation.trainer.__main__"], check=True)
    child_s = _since(started)
    texts = [text for lesson in lessons for text in (lesson.question, *lesson.paraphrases)][:_SAMPLE]
    asked = [Asked(str(place), "recall_paraphrase", text, False, (), ()) for place, text in enumerate(texts)]
    told = [lesson.statement for lesson in lessons]
    prompts = {
        one.id: with_facts([told[(place + i) % len(told)] for i in range(N_RETRIEVED)], one.text)
        for place, one in enumerate(asked)
    }
    return Pace(
        fixed_s=child_s + load_s + general_s,
        answer_s=_answering_s(model, asked, {}),
        answer_with_facts_s=_answering_s(model, asked, prompts),
    )


def _answering_s(model: LanguageModel, asked: Sequence[Asked], prompts: dict[str, str]) -> float:
    """For one question."""
    condition = "retrieval" if prompts else "base"
    exam.ask(model, asked[:_WARM], condition, prompts, exam.Counter(no_progress, _WARM))
    started = time.perf_counter()
    exam.ask(model, asked, condition, prompts, exam.Counter(no_progress, len(asked)))
    return _since(started) / max(1, len(asked))


def _since(started: float) -> float:
    return time.perf_counter() - started


class Budget:
    """The minutes of each night of one life."""

    def __init__(self, minutes: float, pace: Pace) -> None:
        self._minutes, self._pace = minutes, pace
        self._correction = 1.0
        self._estimated_s = self._before_s = 0.0

    def for_training(self, spent_s: float, questions: Sequence[Asked]) -> float:
        """Minutes, asked when the training starts."""
        self._before_s, self._estimated_s = spent_s, self._pace.rest_s(questions)
        return training_minutes(self._minutes, spent_s, self._correction * self._estimated_s)

    def learn(self, night_s: float, trained_s: float) -> None:
        """After a night: how long the rest took, against what it was estimated to take."""
        if self._estimated_s:
            rest_s = night_s - self._before_s - trained_s
            self._correction = max(LEAST_CORRECTION, rest_s / self._estimated_s)
