from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agents.span_examples import Example
from agents.span_gold import examples_in, examples_of
from agents.span_head import ME, YOU
from memory.types import Episode

START = datetime(2025, 3, 10, 9, 0, tzinfo=UTC)
QUARRY = Path(__file__).parent / "extractors" / "fixtures" / "quarry"


def talk(*lines: str) -> list[Episode]:
    names = {"A": "Ana Reis", "L": "Leo Kamp"}
    return [
        Episode(str(i), "c", i, line[0], names[line[0]], START + timedelta(hours=i), line[3:])
        for i, line in enumerate(lines)
    ]


def fact(subject: str, predicate: str, value: str, *evidence: int, **more: Any) -> dict[str, Any]:
    return {"subject": subject, "predicate": predicate, "object": value, "evidence": list(evidence), **more}


def read(example: Example) -> list[tuple[str, str, object]]:
    return [(mark.predicate, example.text[mark.start : mark.end], mark.subject) for mark in example.marks]


def test_an_object_is_found_as_written_as_a_number_and_as_a_day() -> None:
    said = talk("A: in porto now", "A: i am forty today", "A: i start on the 1st of April")
    gold = [
        fact("Ana Reis", "lives_in", "Porto", 0),
        fact("Ana Reis", "age", "40", 1),
        fact("Ana Reis", "starts_on", "2025-04-01", 2),
    ]
    assert [read(example) for example in examples_of(said, gold)] == [
        [("lives_in", "porto", ME)],
        [("age", "forty", ME)],
        [("starts_on", "the 1st of April", ME)],
    ]


def test_a_subject_is_the_speaker_the_other_or_a_word_near_by() -> None:
    said = talk("A: how is Ines?", "L: she is a nurse", "L: and you are a baker")
    gold = [fact("Ines", "job", "nurse", 1), fact("Ana Reis", "job", "baker", 2)]
    assert [read(example) for example in examples_of(said, gold)][1:] == [
        [("job", "nurse", (True, 7))],
        [("job", "baker", YOU)],
    ]


def test_a_message_whose_fact_was_not_found_teaches_nothing_and_any_other_that_it_has_none() -> None:
    said = talk("A: we are over, he and i", "L: oh no")
    examples = examples_of(said, [fact("Ana Reis", "partner", "Tomek", 0)])
    assert [(e.text, e.marks) for e in examples] == [("oh no", ())]


def test_a_chat_folder_is_read_with_its_gold() -> None:
    examples = examples_in(QUARRY)
    assert len(examples) > 60
    assert ("address", "Lindenstraße 14") in {mark[:2] for example in examples for mark in read(example)}
