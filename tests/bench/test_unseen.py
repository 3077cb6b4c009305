"""Claims about bench.unseen: what asks a held-out question again is found, the name aside, and nothing else."""

from __future__ import annotations

import pytest

from bench.lessons import invent_lessons
from bench.unseen import Unseen
from memory.registry import Registry
from memory.wordings import Wordings, fill

UNSEEN = Unseen(["Who manages Mona?", "Where was Mona Lund born?", "What is Karl's trade?"], ["Mona Lund"])


@pytest.mark.parametrize(
    "text",
    [
        "Who manages Tomas?",
        "who manages mona",
        "Do you know who manages Eskil?",
        "By the way, where was Mona born?",
        "Good to see you. Where were you born?",
        "Can you tell me what the trade of Radek is?",
    ],
)
def test_a_held_out_question_is_found_again(text: str) -> None:
    assert UNSEEN.asks(text)


@pytest.mark.parametrize(
    "text", ["Who is Mona's manager?", "When was Mona born?", "Where does Mona live?", "What is it?", ""]
)
def test_another_question_is_not(text: str) -> None:
    assert not UNSEEN.asks(text)


def test_the_wordings_that_the_product_holds_out_are_asked_by_next_to_no_training_wording() -> None:
    wordings = Wordings.load()
    lessons = invent_lessons(200, 0, wordings, Registry.load())
    unseen = Unseen([text for lesson in lessons for text in lesson.paraphrases], ["Alex Moor"])
    taught = [
        fill(text, "Alex Moor", predicate=wordings.noun(predicate))
        for predicate in wordings.names()
        for text in wordings.taught(predicate)
    ]
    assert sum(map(unseen.asks, taught)) < 0.001 * len(taught)
