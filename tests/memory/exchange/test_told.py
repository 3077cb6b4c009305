from __future__ import annotations

import pytest

from memory.exchange.notes import written
from memory.exchange.told import about_of, sentence, stated


@pytest.mark.parametrize(
    ("note", "read"),
    [
        ("Speaks fluent Spanish", "Ada Lund speaks fluent Spanish"),
        ("lives in Porto", "Ada Lund lives in Porto"),
        ("Is a vegetarian", "Ada Lund is a vegetarian"),
        ("Graduated in 2019", "Ada Lund graduated in 2019"),
        ("Met Bo in Faro", "Ada Lund met Bo in Faro"),
        ("Allergic to nuts", "Ada Lund is allergic to nuts"),
        ("Vegetarian", "Ada Lund is vegetarian"),
        ("Born on 3 March", "Ada Lund was born on 3 March"),
        ("User likes tea", "Ada Lund likes tea"),
        ("The user's name is Ada", "Ada Lund's name is Ada"),
        ("Ada Lund lives in Porto", "Ada Lund lives in Porto"),
        ("ada lund has a dog", "ada lund has a dog"),
        ("I live in Porto", "I live in Porto"),
        ("My sister is Marta", "My sister is Marta"),
        ("Boss of the harbour", "Boss of the harbour"),
        ("2019: Lisbon", "2019: Lisbon"),
        ("日本語", "日本語"),
    ],
)
def test_a_note_without_a_subject_gets_one(note: str, read: str) -> None:
    assert sentence("Ada Lund", note) == read


@pytest.mark.parametrize("note", ["lives in Porto", "Ada Lund lives in Porto", "a: b", "Ada Lund: x"])
def test_the_words_of_a_note_come_back_out_of_its_message(note: str) -> None:
    message = written("Ada Lund", note)
    assert message.startswith("Ada Lund")
    assert stated("Ada Lund", message) in (note, note.removeprefix("Ada Lund: "))


def test_a_note_about_nobody_in_particular_stays_as_it_is() -> None:
    assert written("", "tea") == stated("", "tea") == sentence("", "tea") == "tea"


def test_a_conversation_of_notes_names_what_it_is_about() -> None:
    assert about_of("mem0 notes on Ada Lund") == "Ada Lund"
    assert about_of("mem0 notes") == ""
