from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from consolidation import check, decide
from consolidation.stage import no_progress
from memory.facts import get_fact, list_decisions
from memory.ports import FloatMatrix
from memory.types import Verdict


class Entailer:
    """Sees a contradiction, as surely as it is told to, where the premise holds the word; is neutral elsewhere."""

    name = "entailer"

    def __init__(self, word: str, share: float = 0.95) -> None:
        self.word, self.share = word, share
        self.pairs: list[tuple[str, str]] = []

    def judge(self, premises: Sequence[str], hypotheses: Sequence[str]) -> FloatMatrix:
        self.pairs += zip(premises, hypotheses, strict=True)
        shares = np.array([self.share if self.word in text else 0.0 for text in premises], np.float32)
        return np.stack([np.zeros_like(shares), 1 - shares, shares], axis=1)


class Referee:
    name = "referee"

    def __init__(self, verdict: Verdict | None) -> None:
        self.verdict = verdict

    def compare(self, first: str, second: str) -> Verdict:
        if self.verdict is None:
            raise ConnectionError
        return self.verdict


def night(chat: Any, **tools: Any) -> None:
    context = chat.context(tools=tools)
    check.run(context, no_progress)
    decide.run(context, no_progress)


def findings(chat: Any, fact_id: str) -> dict[str, Any]:
    with chat.database.reading() as session:
        found: dict[str, Any] = check.findings_of(session, [fact_id])[fact_id]["contradiction"]
    return found


def state(chat: Any, fact_id: str) -> str:
    return str(get_fact(chat.database, chat.space_id, fact_id).state)


def reasons(chat: Any, fact_id: str) -> str:
    return " ".join(map(str, list_decisions(chat.database, chat.space_id, fact_id=fact_id)[-1].reasons))


def test_another_value_of_a_slot_is_found_and_left_to_time(chat: Any) -> None:
    (old,) = chat.propose(("Karl Aas", "lives_in", "Oslo", 1))
    night(chat)
    (new,) = chat.propose(("Karl Aas", "lives_in", "Tromso", 5), change="update")
    night(chat)
    (found,) = findings(chat, new)["found"]
    assert (found["against"], found["kind"], found["verdict"]) == (old, "same_slot", "time decides")
    assert get_fact(chat.database, chat.space_id, old).status == "past"


def test_an_implied_slot_is_found(chat: Any) -> None:
    (old,) = chat.propose(("Vera", "diet", "vegan", 0))
    night(chat)
    (new,) = chat.propose(("Vera", "favourite_food", "bacon", 5))
    night(chat)
    (found,) = findings(chat, new)["found"]
    assert (found["against"], found["kind"], found["why"]) == (old, "implied", "no_meat")


@pytest.mark.parametrize(
    ("confidence", "change", "expected"),
    [(0.6, "state", "quarantined"), (0.9, "state", "stored"), (0.6, "update", "stored")],
)
def test_only_a_weak_newcomer_without_news_waits(
    chat: Any, confidence: float, change: str, expected: str
) -> None:
    (old,) = chat.propose(("Vera", "diet", "vegan", 0))
    night(chat)
    (new,) = chat.propose(("Vera", "favourite_food", "bacon", 5), confidence=confidence, change=change)
    night(chat)
    assert state(chat, new) == expected
    assert get_fact(chat.database, chat.space_id, old).status == "current"
    assert old in reasons(chat, new)


def test_a_second_voice_lets_the_newcomer_in(chat: Any) -> None:
    chat.propose(("Vera", "diet", "vegan", 0))
    night(chat)
    (first,) = chat.propose(("Vera", "favourite_food", "bacon", 5), confidence=0.6)
    night(chat)
    (second,) = chat.propose(("Vera", "favourite_food", "bacon", 6), confidence=0.6)
    night(chat)
    assert {state(chat, first), state(chat, second)} <= {"stored", "merged"}


def test_words_that_no_rule_compares_are_read_by_the_head(chat: Any) -> None:
    (old,) = chat.propose(("Vera", "rent", "640 euros", 0))
    night(chat)
    (new,) = chat.propose(("Vera", "rent", "690 euros", 5), confidence=0.6)
    entailer = Entailer("640")
    night(chat, entailer=entailer)
    (found,) = findings(chat, new)["found"]
    assert (found["against"], found["kind"], found["why"]) == (old, "free_text", "entailer")
    assert state(chat, new) == "quarantined"
    assert get_fact(chat.database, chat.space_id, old).status == "current"
    assert all("Vera" in premise and "690" in hypothesis for premise, hypothesis in entailer.pairs)


def test_a_well_said_newcomer_retires_nothing_by_a_guess_about_words(chat: Any) -> None:
    (old,) = chat.propose(("Vera", "rent", "640 euros", 0))
    night(chat)
    (new,) = chat.propose(("Vera", "rent", "690 euros", 5), confidence=0.9)
    night(chat, entailer=Entailer("640"))
    statuses = {get_fact(chat.database, chat.space_id, fact_id).status for fact_id in (old, new)}
    assert statuses == {"current"}


def test_without_a_head_the_finding_says_that_rules_alone_were_asked(chat: Any) -> None:
    chat.propose(("Vera", "rent", "640 euros", 0))
    night(chat)
    (new,) = chat.propose(("Vera", "rent", "690 euros", 5), confidence=0.6)
    night(chat)
    assert findings(chat, new) == {"words_read_by": "nobody: rules only", "found": []}
    assert state(chat, new) == "stored"


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict("contradiction", "one rent at a time", 0.95), "contradicts"),
        (Verdict("neutral", "two flats", 0.9), None),
        (Verdict(None, "it is away"), "unsure"),
        (None, "unsure"),
    ],
)
def test_a_language_model_is_asked_where_the_head_is_unsure(
    chat: Any, verdict: Verdict | None, expected: str | None
) -> None:
    chat.propose(("Vera", "rent", "640 euros", 0))
    night(chat)
    (new,) = chat.propose(("Vera", "rent", "690 euros", 5), confidence=0.6)
    night(chat, entailer=Entailer("640", share=0.7), referee=Referee(verdict))
    assert [item["verdict"] for item in findings(chat, new)["found"]] == ([expected] if expected else [])
    assert state(chat, new) == ("quarantined" if expected == "contradicts" else "stored")


def test_known_predicates_are_not_read_by_the_head(chat: Any) -> None:
    chat.propose(("Vera", "rent", "640 euros", 0))
    night(chat)
    chat.propose(("Vera", "likes", "640 euros", 5))
    entailer = Entailer("640")
    night(chat, entailer=entailer)
    assert entailer.pairs == []


def test_what_was_withdrawn_is_no_longer_in_the_way(chat: Any) -> None:
    (old,) = chat.propose(("Vera", "diet", "vegan", 0))
    night(chat)
    (new,) = chat.propose(("Vera", "favourite_food", "bacon", 5), confidence=0.6)
    night(chat)
    with chat.database.transaction() as session:
        decide.decide(session, chat.space_id, old, "REJECT", ["wrong"], chat.tools().registry, run_id=None)
    night(chat)
    assert (findings(chat, new)["found"], state(chat, new)) == ([], "stored")
