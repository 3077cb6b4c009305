from __future__ import annotations

import pytest

from simulator.persona import in_third_person


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
