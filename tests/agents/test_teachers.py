from __future__ import annotations

import json

from agents.backends.scripted import ScriptedChat
from agents.teachers import ModelTeacher

QUESTION = "Where does Ana Reis live since 2024?"


def teacher(*wordings: str) -> ModelTeacher:
    return ModelTeacher(ScriptedChat([json.dumps({"wordings": wordings})]))


def test_good_wordings_are_kept_in_order_and_once() -> None:
    made = teacher(
        "Since 2024, where is Ana Reis's home?",
        "which town has Ana Reis called home since 2024?",
        "Since 2024,  where is Ana Reis's home?",
    )
    assert made.reword(QUESTION, "Utrecht", 5) == [
        "Since 2024, where is Ana Reis's home?",
        "which town has Ana Reis called home since 2024?",
    ]


def test_wordings_that_lose_a_name_or_give_the_answer_are_dropped() -> None:
    made = teacher(
        "Where does she live since 2024?",
        "Where does Ana Reis live?",
        "Has Ana Reis lived in Utrecht since 2024?",
        QUESTION.upper(),
        "",
    )
    assert made.reword(QUESTION, "Utrecht", 5) == []


def test_no_more_than_asked() -> None:
    made = teacher(*(f"Ana Reis since 2024: home {word}?" for word in ("where", "place", "town")))
    assert len(made.reword(QUESTION, "Utrecht", 2)) == 2


def test_a_teacher_that_is_away_adds_nothing() -> None:
    made = ModelTeacher(ScriptedChat([]))
    assert made.reword(QUESTION, "Utrecht", 5) == []
    assert made.n_failures == 1
