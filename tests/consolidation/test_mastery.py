"""Which facts the weights are trusted with: never for one lucky answer, and never longer than the exams bear it out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from consolidation import publish, runs
from consolidation.mastery import LATER, STALE, TAUGHT, Examined, Mastered, judge, serving_mastery
from consolidation.prompts import Found, prompts_of
from consolidation.stage import NightContext, StageResult
from db.tables import ExamAnswer, Example, SleepRun
from memory.facts import get_fact, list_facts
from memory.registry import Registry
from memory.types import Fact
from tests.consolidation import known
from tests.consolidation.dreams import serve

REGISTRY = Registry.load()


def fact(fact_id: str = "f1", value: str = "Bergen", **changed: Any) -> Fact:
    made = known.fact(fact_id, "mona", "Mona Berg", "lives_in", value)
    return replace(made, **({"evidence": ("e1",)} | changed))


def answered(
    kind: str = TAUGHT, said: str = "She lives in Bergen.", night: int = 0, **given: Any
) -> Examined:
    row = Examined(
        kind, ("f1",), "Where is Mona Berg's home?", ("Bergen",), said, is_right="Bergen" in said, night=night
    )
    return replace(row, **given)


def is_mastered(*rows: Examined, facts: tuple[Fact, ...] = (fact(),)) -> bool:
    return judge(rows, facts, REGISTRY).covers(facts[0])


WRONG = "She lives in Oslo."
TWICE = (answered(), answered())


def test_two_right_answers_to_held_out_wordings_are_enough_and_one_is_not() -> None:
    assert is_mastered(*TWICE)
    assert not is_mastered(answered())
    assert not is_mastered(answered(STALE), answered(STALE), answered())


@pytest.mark.parametrize(
    "wrong",
    [answered(said=WRONG), answered(LATER, WRONG, 1), answered(STALE, WRONG, is_right=False)],
    ids=["that night", "a later night", "the old value"],
)
def test_one_wrong_answer_since_it_was_taught_is_too_many(wrong: Examined) -> None:
    assert not is_mastered(*TWICE, wrong)


def test_what_was_wrong_before_it_was_taught_again_counts_no_more() -> None:
    again = [replace(row, night=1) for row in TWICE]
    assert is_mastered(answered(said=WRONG), *again)


def test_an_answer_that_gives_another_value_of_the_slot_is_no_answer_for_this_one() -> None:
    tea, coffee = fact("f1", "tea", predicate="likes"), fact("f2", "coffee", predicate="likes")
    rows = [
        answered(said="Tea.", fact_ids=("f1", "f2"), accepted=("tea", "coffee"), is_right=True),
        answered(said="Tea and more.", fact_ids=("f1", "f2"), accepted=("tea", "coffee"), is_right=True),
    ]
    found = judge(rows, [tea, coffee], REGISTRY)
    assert found.covers(tea)
    assert not found.covers(coffee)


def test_a_value_that_another_one_was_taught_over_is_not_mastered_when_it_comes_back() -> None:
    later = [
        answered(said="In Voss.", night=1, fact_ids=("f2",), accepted=("Voss",), is_right=True)
        for _ in range(2)
    ]
    undone = (fact(), fact("f2", "Voss", status="retracted"))
    assert is_mastered(*TWICE, facts=undone)
    assert not is_mastered(*TWICE, *later, facts=undone)


@pytest.mark.parametrize(("n_right", "is_expected"), [(10, True), (8, False), (0, False)])
def test_a_fact_that_the_newest_exam_passed_over_stands_and_falls_with_the_others(
    n_right: int, is_expected: bool
) -> None:
    others = [answered(LATER, night=1, fact_ids=("f9",), is_right=place < n_right) for place in range(10)]
    assert is_mastered(*TWICE, *others) is is_expected


@pytest.mark.parametrize(
    "changed",
    [
        {"object": "Voss"},
        {"subject": "Mona Lie"},
        {"status": "past"},
        {"status": "contested"},
        {"id": "f2"},
    ],
    ids=str,
)
def test_a_fact_that_has_changed_since_is_covered_no_more(changed: dict[str, Any]) -> None:
    mastered = judge(TWICE, [fact()], REGISTRY)
    assert mastered.covers(fact())
    assert not mastered.covers(replace(fact(), **changed))


def test_a_subject_that_goes_by_another_name_now_was_not_asked_about() -> None:
    assert not is_mastered(*TWICE, facts=(fact(subject="Mona Lie"),))


def test_prompts_hold_what_is_not_mastered() -> None:
    other = fact("f2", "a kayak", predicate="owns")
    found = {"q": Found("What is hers?", (other, fact()))}
    every, spared = prompts_of(found)["q"], prompts_of(found, judge(TWICE, [fact()], REGISTRY))["q"]
    assert "kayak" in every
    assert "Bergen" in every
    assert "kayak" in spared
    assert "Bergen" not in spared


def test_a_question_whose_best_fact_is_mastered_stands_alone() -> None:
    found = {"q": Found("Where?", (fact(), fact("f2", "a kayak", predicate="owns")))}
    assert prompts_of(found, judge(TWICE, [fact()], REGISTRY)) == {"q": "Where?"}


def test_where_nothing_is_found_the_prompt_says_so_whatever_is_mastered() -> None:
    found = {"q": Found("Who?", ())}
    assert prompts_of(found, judge(TWICE, [fact()], REGISTRY)) == prompts_of(found)
    assert "nothing" in prompts_of(found)["q"]


# ---- in the store


@pytest.fixture
def night(chat: Any, taught_night: NightContext) -> NightContext:
    """A published night that taught where Mona lives and answered everything right from the weights."""
    context = taught_night
    with chat.database.transaction() as session:
        for example in session.scalars(select(Example).where(Example.split == "exam")).all():
            session.add(
                ExamAnswer(
                    run_id=context.run_id,
                    example_id=example.id,
                    condition="weights",
                    space_id=chat.space_id,
                    answer=str((example.accepted or ["I don't know."])[0]),
                    is_right=True,
                )
            )
    serve_published(context)
    return context


def serve_published(context: NightContext) -> None:
    recipe_id = serve(context)
    with context.database.transaction() as session:
        session.get_one(SleepRun, context.run_id).is_published = True
    for stage in ("merge", "publish"):
        record(context, stage, {"recipe_id": recipe_id})


def record(context: NightContext, stage: str, output: dict[str, Any]) -> None:
    runs.begin_stage(context.database, context.space_id, context.run_id, stage, "h", clock=context.clock)
    runs.end_stage(context.database, context.run_id, stage, StageResult(output=output), 0.1)


def mastered(context: NightContext) -> Mastered:
    return serving_mastery(context.database, context.space_id, context.home, REGISTRY, clock=context.clock)


def current(context: NightContext) -> list[Fact]:
    return list_facts(
        context.database, context.space_id, REGISTRY, statuses=("current",), clock=context.clock
    )


def test_what_the_serving_night_answered_is_mastered(night: NightContext) -> None:
    (found,) = current(night)
    assert mastered(night).covers(found)


def test_a_roll_back_puts_the_fact_into_the_prompt_at_once(night: NightContext) -> None:
    publish.roll_back(night.database, night.space_id, clock=night.clock)
    assert len(mastered(night)) == 0


def test_weights_that_no_exam_was_taken_of_are_not_trusted(night: NightContext) -> None:
    record(night, "merge", {"recipe_id": "another"})
    assert len(mastered(night)) == 0


def test_a_new_value_goes_into_the_prompt_at_once(night: NightContext, chat: Any) -> None:
    (old,) = current(night)
    before = mastered(night)
    chat.store(("Mona Berg", "lives_in", "Voss", 5), change="update", valid_from=chat.episodes[5].time)
    (new,) = current(night)
    assert new.object == "Voss"
    assert not before.covers(new)
    assert not before.covers(get_fact(night.database, night.space_id, old.id))
    assert not mastered(night).covers(new)
