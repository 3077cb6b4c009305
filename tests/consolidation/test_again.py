"""Claims about a second exam: what is asked under which condition, of whom, and what counts as changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from agents.runtime.spec import ModelSpec
from consolidation import again, exam
from consolidation.again import Retake, ask_again
from consolidation.errors import NoExam
from consolidation.prompts import Graph
from consolidation.recipe import Entry, Recipe
from consolidation.stage import NightContext
from db.tables import ExamAnswer, Example
from memory.ports import Embedder
from memory.registry import Registry

REGISTRY = Registry.load()
WORN = ("weights", "both")


@pytest.fixture
def night(chat: Any, taught_night: NightContext) -> NightContext:
    """A night that taught where Mona lives and, by its record, answered everything right under every condition."""
    context = taught_night
    questions = exam.questions_of(context.database, context.run_id)
    with chat.database.transaction() as session:
        session.add_all(
            ExamAnswer(
                run_id=context.run_id,
                example_id=question.id,
                condition=condition,
                space_id=chat.space_id,
                answer=(question.accepted or ("I don't know.",))[0],
                is_right=True,
            )
            for condition in exam.CONDITIONS
            for question in exam.asked_of(condition, questions)
        )
    return context


def retake(night: NightContext, folder: Path, *conditions: str) -> Retake:
    return Retake(night.run_id, None, ModelSpec(night.home / "cache", str(folder)), conditions)


def prompts(night: NightContext, *, is_trusted: bool) -> dict[str, dict[str, str]]:
    """What stands in place of the questions, for weights that know all that the night taught."""
    recipe = Recipe("b" * 64, (Entry("a" * 64, "adapters/a", 1.0, night.run_id, "1 fact"),))
    asked = Retake(night.run_id, recipe, ModelSpec(night.home), ("retrieval", "both"))
    before = {name: again._answers_then(night.database, asked, name) for name in asked.conditions}
    return again._prompts(Graph.of(night), asked, before, is_trusted=is_trusted)


def test_what_was_right_and_is_not_is_lost_under_its_condition(
    night: NightContext, tiny_folder: Path
) -> None:
    found = ask_again(Graph.of(night), retake(night, tiny_folder, "both", "weights"))
    assert tuple(found.conditions) == WORN
    for condition, compared in found.conditions.items():
        assert compared.then["recall_paraphrase"] == 1.0
        assert compared.now["recall_paraphrase"] == 0.0  # a random model knows nothing
        assert compared.now["n"]["recall_paraphrase"] == compared.then["n"]["recall_paraphrase"] == 2
        assert {item.condition for item in compared.changed} == {condition}
        assert not any(item.is_right for item in compared.changed)
    told = found.as_json()
    assert {item["condition"] for item in told["changed"]} == set(WORN)
    assert (told["then"], told["now"]) == tuple(told["conditions"]["weights"].values())


def test_the_base_is_asked_without_vectors_and_cannot_have_moved(
    night: NightContext, tiny_folder: Path
) -> None:
    found = ask_again(Graph.of(night), retake(night, tiny_folder, "base"))
    assert found.conditions["base"].now["ppl_change"] == 0.0
    assert found.conditions["base"].now["n"]["ppl_change"] == 12
    assert found.as_json()["then"] is found.as_json()["now"] is None


def test_without_retrieval_nothing_is_searched(night: NightContext, tiny_folder: Path) -> None:
    def no_embedder() -> Embedder:
        raise AssertionError("an embedder was opened")

    graph = replace(Graph.of(night), embedder=no_embedder)
    assert tuple(ask_again(graph, retake(night, tiny_folder, "weights")).conditions) == ("weights",)


def test_what_the_weights_know_is_left_out_of_prompts_where_the_night_did_so(night: NightContext) -> None:
    trusted, whole = prompts(night, is_trusted=True), prompts(night, is_trusted=False)
    assert whole["both"] == whole["retrieval"] == trusted["retrieval"]
    questions = exam.questions_of(night.database, night.run_id)
    taught = [question for question in questions if question.kind == "recall_paraphrase"]
    assert taught
    for question in taught:
        assert "Bergen" in whole["both"][question.id]
        assert trusted["both"][question.id] == question.text


def test_a_condition_of_which_nothing_is_left_is_refused_by_name(
    night: NightContext, tiny_folder: Path
) -> None:
    with night.database.transaction() as session:
        session.execute(delete(ExamAnswer).where(ExamAnswer.condition == "both"))
    with pytest.raises(NoExam, match="asked nothing of both"):
        ask_again(Graph.of(night), retake(night, tiny_folder, "weights", "both"))


def test_what_was_not_asked_then_is_not_asked_now(night: NightContext, tiny_folder: Path) -> None:
    taught = select(Example.id).where(Example.kind == "recall_paraphrase").order_by(Example.id).limit(1)
    with night.database.transaction() as session:
        one = session.scalars(taught).one()
        session.execute(delete(ExamAnswer).where(ExamAnswer.example_id == one))
    compared = ask_again(Graph.of(night), retake(night, tiny_folder, "weights")).conditions["weights"]
    assert compared.now["n"]["recall_paraphrase"] == compared.then["n"]["recall_paraphrase"] == 1
