from __future__ import annotations

from datetime import UTC, datetime

from agents.turns import Persona, Turn, conversation_text, speaker_tags, turn_messages
from memory.types import Principle

INES = Persona("Ines Carvalho", "Tomas Lindqvist", (Principle("speech", "writes long and warm", ()),))
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_first_names_make_tags_and_clashing_ones_use_the_whole_name() -> None:
    assert speaker_tags(["Ines Carvalho", "Tomas Lindqvist"])["Ines Carvalho"] == "[INES]"
    assert speaker_tags(["Ana Reis", "Ana Sol"])["Ana Sol"] == "[ANA SOL]"


def test_several_lines_of_one_turn_keep_their_tag() -> None:
    tags = speaker_tags(["Ines"])
    assert conversation_text([("Ines", "one\n\ntwo")], tags) == "[INES] one\n[INES] two"


def test_the_prompt_ends_on_the_personas_own_tag() -> None:
    messages = turn_messages(INES, [Turn("Tomas Lindqvist", "hi")], ["I live in Porto."], now=NOW)
    assert messages[-1]["content"] == "[TOMAS] hi\n[INES]"
    assert "I live in Porto." in messages[0]["content"]
    assert "writes long and warm" in messages[0]["content"]


def test_autocomplete_continues_what_was_begun() -> None:
    messages = turn_messages(INES, [], [], now=NOW, prefix="so i was thinking")
    assert messages[-1]["content"] == "[INES] so i was thinking"


def test_how_they_see_the_other_is_said_of_this_other_alone() -> None:
    views = (
        Principle("view", "Trusts Tomas", (), "Tomas Lindqvist"),
        Principle("view", "Misses Ada", (), "Ada"),
    )
    persona = Persona(INES.name, INES.partner, views)
    system = turn_messages(persona, [], [], now=NOW)[0]["content"]
    assert "How you see Tomas Lindqvist: Trusts Tomas." in system
    assert "Misses Ada" not in system
    assert "What matters" not in system
