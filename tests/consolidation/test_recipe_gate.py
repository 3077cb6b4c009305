"""Claims about the exam's quick part: whom it asks, what it judges, and how the largest coefficient is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation import recipe as recipes
from consolidation.exam import Counter
from consolidation.recipe import Entry, Recipe
from consolidation.recipe_gate import QuickExam, largest_kept, questions_for, wearer_of
from consolidation.recipe_serving import Place
from consolidation.stage import Gate, no_progress
from tests.made_recipes import begin, linear_shapes, make_vector, put_question

BASE = "b" * 64
NIGHTS = Recipe(
    BASE, tuple(Entry(str(n) * 64, f"adapters/{n}", 1.0, f"aaaa{n}", "3 facts") for n in range(3))
)


def test_the_largest_coefficient_was_seen_to_keep_the_gate() -> None:
    asked: list[float] = []

    def keeps(weight: float) -> bool:
        asked.append(weight)
        return weight <= 1.3

    found = largest_kept(keeps, 3.0, least=1.0, tries=6)
    assert found is not None
    assert found in asked
    assert 1.3 - 2 / 2**6 <= found <= 1.3


def test_a_negation_is_searched_below_zero() -> None:
    found = largest_kept(lambda weight: weight >= -0.4, -1.0)
    assert found is not None
    assert -0.4 <= found <= -0.4 + 1 / 2**5


def test_what_keeps_the_gate_is_taken_as_it_is_and_where_nothing_does_there_is_none() -> None:
    assert largest_kept(lambda _: True, 2.0) == 2.0
    assert largest_kept(lambda _: False, 2.0) is None


@pytest.fixture
def asked(place: Place) -> Place:
    """Three nights with 30 questions each."""
    for night in range(3):
        begin(place, f"aaaa{night}")
        for number in range(30):
            put_question(place, f"aaaa{night}", f"What is {night} and {number}?", str(number))
    return place


def nights_of(questions: tuple[object, ...]) -> set[str]:
    return {str(question.text).split()[2] for question in questions}  # type: ignore[attr-defined]


def test_only_nights_that_stay_as_they_were_are_judged(asked: Place) -> None:
    weaker = recipes.scale(recipes.revert(NIGHTS, "aaaa0"), "aaaa1", 0.5)
    found = questions_for(asked.database, NIGHTS, weaker)
    assert nights_of(found.kept) == {"2"}
    assert nights_of(found.others) == {"0", "1"}
    assert len(found.kept) + len(found.others) == 48


def test_another_rule_leaves_no_night_aside(asked: Place) -> None:
    found = questions_for(asked.database, NIGHTS, replace(NIGHTS, rule="ties", density=0.2))
    assert nights_of(found.kept) == {"0", "1", "2"}
    assert questions_for(asked.database, Recipe(BASE), Recipe(BASE)).kept == ()


def test_a_vector_that_upsets_the_model_breaks_the_gate_by_its_number(talkative: Path, place: Place) -> None:
    model = LanguageModel.load(ModelSpec(place.home / "cache", str(talkative)))
    vector = make_vector(model.base_hash, 1, linear_shapes(talkative), scale=0.5)
    questions = questions_for(place.database, Recipe(BASE), Recipe(BASE))
    exam = QuickExam(model, (), questions, Gate(), Counter(no_progress, 0))
    same, broken = exam.judge(()), exam.judge([(vector, 1.0)])
    assert same.is_kept
    assert same.after.ppl_change == pytest.approx(0, abs=1e-9)
    assert broken.failed.startswith("kl_to_base ")
    assert "recall_earlier_nights" not in broken.failed  # nothing was asked
    assert set(broken.as_json()) == {"before", "after", "n", "checks", "passed"}


def test_whose_style_alone_is_changed_speaks_in_the_exam() -> None:
    styles = tuple(
        Entry(who * 64, f"adapters/{who}", 1.0, None, f"style of {who}", person=who) for who in ("c", "d")
    )
    both = replace(NIGHTS, entries=(*NIGHTS.entries, *styles))
    weaker = replace(both, entries=(*NIGHTS.entries, replace(styles[0], coefficient=0.5), styles[1]))
    assert wearer_of(both, weaker) == "c"
    assert wearer_of(NIGHTS, both) is None
    assert wearer_of(both, recipes.scale(weaker, "aaaa1", 0.5)) is None
    assert wearer_of(both, replace(weaker, rule="ties", density=0.2)) is None
