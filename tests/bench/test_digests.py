from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bench.digests import CHOICES, measure
from bench.locomo import Dialogue, Question, Turn
from memory.digests import LEAST
from memory.embedders.hashing import HashingEmbedder

BEGIN = datetime(2023, 1, 2, 9, tzinfo=UTC)


def dialogue(n_old: int) -> Dialogue:
    """Every third message of an old month tells something; one more message, a year later."""
    texts = [
        "ok then" if number % 3 else f"the ferry to island {number} leaves at {number} from the northern quay"
        for number in range(n_old)
    ]
    turns = [
        Turn(str(i), ("Ana", "Ben")[i % 2], text, BEGIN + timedelta(hours=i), "")
        for i, text in enumerate(texts)
    ]
    turns.append(Turn("last", "Ana", "hello again", BEGIN + timedelta(days=365), ""))
    questions = [
        Question("When does the ferry leave?", 1, frozenset({place})) for place in range(0, n_old, 3)
    ]
    return Dialogue(tuple(turns), tuple(questions))


def test_every_way_to_choose_is_counted_over_the_same_lines() -> None:
    found = measure([dialogue(LEAST + 1)], HashingEmbedder(32))
    assert (found["months"], found["lines"], found["questions"]) == (1, 3, 7)
    assert found["asked"] == dict.fromkeys(
        (*CHOICES, "chance"), 1.0
    )  # what cannot stand alone is never a line
    assert found["reached"]["ours"] == round(3 / 7, 4)


def test_without_an_old_month_there_is_nothing_to_count() -> None:
    found = measure([dialogue(LEAST - 1)], HashingEmbedder(32))
    assert (found["months"], found["lines"], found["asked"].get("ours", 0.0)) == (0, 0, 0.0)
