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


@pytest.mark.parametrize(
    ("old", "new", "change", "expected"),
    [
        (("Vera", "rent", "640 euros", 0), ("Vera", "rent", "690 euros", 5), "update", "past"),
        (("Vera", "rent", "640 euros", 0), ("Vera", "rent", "690 euros", 5), "state", "current"),
        (("Vera", "likes", "tea", 0), ("Vera", "likes", "rain", 5), "update", "current"),
    ],
)
def test_an_update_of_a_predicate_nobody_knows_takes_the_place_of_its_only_value(
    chat: Any, old: tuple[str, str, str, int], new: tuple[str, str, str, int], change: str, expected: str
) -> None:
    (first,) = chat.propose(old)
    night(chat)
    (second,) = chat.propose(new, change=change)
    night(chat)
    assert (status(chat, first), status(chat, second)) == (expected, "current")


def test_an_update_whose_own_words_end_the_old_value_ends_it(chat: Any) -> None:
    (old,) = chat.propose(("Mona Berg", "exercise", "sailing", 2))
    night(chat)
    (new,) = chat.propose(("Mona Berg", "exercise", "rowing", 8), change="update")
    night(chat)
    assert (status(chat, old), status(chat, new)) == ("past", "current")


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
