"""Claims about a language model's marks of what an exam recorded, and how they are compared with the exam's own."""

from __future__ import annotations

import json
from typing import Any

from agents.backends.scripted import ScriptedChat
from agents.grading import ModelGrader
from consolidation.exam_judged import Marked, compared, judge_exam
from db.tables import ExamAnswer, Example


def test_agreement_counts_what_was_graded_alone() -> None:
    pairs = [(True, True), (True, False), (False, True), (False, True), (False, False), (True, None)]
    found = compared([Marked("recall_paraphrase", matched, judged) for matched, judged in pairs])
    assert found == {
        "n": 5,
        "not_graded": 1,
        "matching": 0.4,
        "judge": 0.6,
        "agreement": 0.4,
        "only_matching": 1,
        "only_judge": 2,
    }


def test_where_nothing_was_graded_there_are_no_shares() -> None:
    found = compared([Marked("recall_trained", True, None)])
    assert (found["n"], found["judge"], found["agreement"]) == (0, None, None)


def record(context: Any, kind: str, answer: str, *, is_right: bool) -> None:
    """One question of the exam with what the weights answered."""
    with context.database.transaction() as session:
        asked = {"role": "user", "content": f"Where does Mona live ({kind})?"}
        example = Example(
            id=f"{context.run_id}-{kind}",
            space_id=context.space_id,
            run_id=context.run_id,
            fact_id=None,
            split="exam",
            kind=kind,
            messages=[asked, {"role": "assistant", "content": "Bergen."}],
            accepted=["Bergen"],
            meta={},
        )
        session.add(example)
        session.flush()
        session.add(
            ExamAnswer(
                run_id=context.run_id,
                example_id=example.id,
                condition="weights",
                space_id=context.space_id,
                answer=answer,
                is_right=is_right,
            )
        )


def test_recorded_answers_to_questions_of_recall_are_graded_and_no_others(chat: Any) -> None:
    context = chat.context()
    record(context, "recall_paraphrase", "On the Norwegian coast, Bergen way.", is_right=False)
    record(context, "recall_trained", "In Bergen.", is_right=True)
    record(context, "unknown_refused", "I don't know.", is_right=True)
    said = json.dumps({"reasoning": "it says so", "label": "right", "confidence": 0.9})
    model = ScriptedChat([said] * 3)
    found = judge_exam(context.database, context.run_id, ModelGrader(model), ("weights", "base"))
    assert found["grader"] == "model/scripted"
    assert list(found["conditions"]) == ["weights"]
    numbers = found["conditions"]["weights"]
    assert list(numbers) == ["all", "recall_trained", "recall_paraphrase"]
    assert (numbers["all"]["matching"], numbers["all"]["judge"], numbers["all"]["agreement"]) == (0.5, 1, 0.5)
    assert numbers["recall_paraphrase"]["only_judge"] == 1
    asked = [call[1]["content"] for call in model.calls]
    assert len(asked) == 2
    assert any("Bergen way" in text for text in asked)
