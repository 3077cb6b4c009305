from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memory.types import Principle
from simulator.persona import Persona, Turn, in_third_person, turn_messages

INES = Persona("Ines Carvalho", "Tomas Lindqvist", (Principle("speech", "writes long and warm", ()),))
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("where do you live now?", "where does Ines live now?"),
        ("what's your dog called?", "what's Ines's dog called?"),
        ("are you happy", "is Ines happy"),
        ("You're still swimming?", "Ines is still swimming?"),
        ("who is my boss?", "who is Tomas's boss?"),
        ("where do i live", "where does Tomas live"),
        ("you have a dog", "Ines has a dog"),
    ],
)
def test_what_is_said_to_the_persona_becomes_a_question_about_them(said: str, asked: str) -> None:
    assert in_third_person(said, "Ines", "Tomas") == asked


def test_the_prompt_ends_on_the_personas_own_tag() -> None:
    messages = turn_messages(INES, [Turn("Tomas Lindqvist", "hi")], ["I live in Porto."], now=NOW)
    assert messages[-1]["content"] == "[TOMAS] hi\n[INES]"
    assert "I live in Porto." in messages[0]["content"]
    assert "writes long and warm" in messages[0]["content"]


def test_autocomplete_continues_what_was_begun() -> None:
    messages = turn_messages(INES, [], [], now=NOW, prefix="so i was thinking")
    assert messages[-1]["content"] == "[INES] so i was thinking"
