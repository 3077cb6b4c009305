"""What a persona considers is notes to it, and never the reply."""

from __future__ import annotations

from datetime import UTC, datetime

from simulator.deliberation import Deliberation
from simulator.lengths import Length
from simulator.mood import Mood

PLAIN = Deliberation("talk", Length(80, 1))


def test_without_anything_to_consider_there_is_no_note() -> None:
    assert PLAIN.notes == ()


def test_notes_are_in_a_fixed_order_and_hold_no_known_fact() -> None:
    made = Deliberation(
        "decline",
        Length(80, 1),
        known=("I live in Porto.",),
        said_before=("I have a blue door.",),
        moment="It is Tuesday evening.",
        mood=Mood({"joy": 1.0}, datetime(2026, 1, 1, tzinfo=UTC)),
        others=("Marta is my sister.",),
        thought="She sounds tired.",
    )
    assert made.notes == (
        "It is Tuesday evening.",
        "Marta is my sister.",
        "What you have said before: I have a blue door.",
        "You feel joy.",
        "You do not know what is asked; you say so.",
        "You think: She sounds tired.",
    )
    assert made.as_json()["known"] == ["I live in Porto."]
