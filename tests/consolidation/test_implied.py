from __future__ import annotations

from typing import Any

import pytest

from consolidation import check, decide
from consolidation.stage import no_progress
from memory.facts import get_fact, list_decisions, undo
from memory.registry import Registry


def night(chat: Any) -> None:
    context = chat.context()
    check.run(context, no_progress)
    decide.run(context, no_progress)


def status(chat: Any, fact_id: str) -> str:
    return str(get_fact(chat.database, chat.space_id, fact_id).status)


@pytest.mark.parametrize(
    ("owned", "news"),
    [
        (("Mona Berg", "owns_boat", "Sild", 0), ("Sild", "boat_status", "sold to a neighbour", 5)),
        (("Mona Berg", "owns", "the red tent", 0), ("Mona Berg", "sold", "red tent", 5)),
        (("Mona Berg", "exercise", "rowing", 0), ("Mona Berg", "gave_up", "rowing", 5)),
        (("Mona Berg", "dog", "Tass", 0), ("Tass", "died_on", "2025-03-06", 5)),
        (("Vera", "job", "pilot", 0), ("Vera", "died_on", "2025-03-06", 5)),
        (("Vera", "lives_in", "Oslo", 0), ("Vera", "status", "passed away", 5)),
    ],
)
def test_what_cannot_go_on_beside_it_ends(
    chat: Any, owned: tuple[str, str, str, int], news: tuple[str, str, str, int]
) -> None:
    (old,) = chat.propose(owned)
    night(chat)
    chat.propose(news)
    night(chat)
    assert status(chat, old) == "past"


@pytest.mark.parametrize(
    "news",
    [
        ("Mona Berg", "sold", "a boat engine", 5),
        ("Sild", "boat_status", "in the water", 5),
        ("Vera", "sold", "Sild", 5),
        ("Mona Berg", "gave_up", "Sild", 5),
        ("Mona Berg", "died_on", "2025-03-06", 5),
        ("Sild", "status", "lost a sail", 5),
    ],
)
def test_what_can_go_on_beside_it_stays(chat: Any, news: tuple[str, str, str, int]) -> None:
    (old,) = chat.propose(("Mona Berg", "owns_boat", "Sild", 0))
    night(chat)
    chat.propose(news)
    night(chat)
    assert status(chat, old) == "current"


def test_an_implied_end_can_be_undone_by_itself(chat: Any) -> None:
    (old,) = chat.propose(("Mona Berg", "owns_boat", "Sild", 0))
    night(chat)
    (news,) = chat.propose(("Sild", "boat_status", "sold", 5))
    night(chat)
    row = next(
        row for row in list_decisions(chat.database, chat.space_id) if "follows from" in str(row.reasons)
    )
    undo(chat.database, chat.space_id, row.id, Registry.load())
    assert (status(chat, old), status(chat, news)) == ("current", "current")
