from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pytest

from consolidation import check, decide
from consolidation.check import TRIES_BEFORE_AWAY, findings_of
from consolidation.stage import no_progress
from memory.facts import candidates, get_fact, list_decisions
from memory.ledger import verify
from memory.types import Episode, Verdict


class BrokenJudge:
    """Fails as a server does that is down."""

    name = "broken"

    def __init__(self) -> None:
        self.asked = 0

    def supports(
        self, statement: str, episodes: Sequence[Episode], evidence: Collection[str] = ()
    ) -> Verdict:
        self.asked += 1
        raise ConnectionError("nobody there")


class WatchingJudge:
    """Supports everything and keeps what it was shown."""

    name = "watching"

    def __init__(self) -> None:
        self.shown: list[Sequence[Episode]] = []

    def supports(
        self, statement: str, episodes: Sequence[Episode], evidence: Collection[str] = ()
    ) -> Verdict:
        self.shown.append(episodes)
        return Verdict("supported", "it is said", 0.9)


class FixedJudge:
    name = "fixed"

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    def supports(
        self, statement: str, episodes: Sequence[Episode], evidence: Collection[str] = ()
    ) -> Verdict:
        return self.verdict


def night(chat: Any, judge: Any) -> Any:
    context = chat.context(tools={"judge": judge})
    check.run(context, no_progress)
    decide.run(context, no_progress)
    return context


def kinds(chat: Any) -> list[str]:
    return [row.kind for row in list_decisions(chat.database, chat.space_id)]


def test_the_judge_sees_the_evidence_with_its_neighbours_but_no_orders_to_machines(chat: Any) -> None:
    chat.propose(("Mona Berg", "sister", "Vera", 2))
    judge = WatchingJudge()
    check.run(chat.context(tools={"judge": judge}), no_progress)
    shown = [chat.episodes.index(episode) for episode in judge.shown[0]]
    assert shown == [0, 1, 2, 4, 5]


def test_a_judge_that_is_away_stores_nothing_and_all_is_looked_at_again(chat: Any) -> None:
    chat.propose(*[("Mona Berg", "likes", f"thing number {n}", 0) for n in range(40)])
    broken = BrokenJudge()
    night(chat, broken)
    assert kinds(chat) == ["QUARANTINE"] * 40
    assert broken.asked == TRIES_BEFORE_AWAY
    night(chat, WatchingJudge())
    assert kinds(chat).count("STORE") == 40


@pytest.mark.parametrize("label", ["maybe", "", "SUPPORTED!", "unsupported", "unclear"])
def test_any_answer_but_a_clear_yes_stores_nothing(chat: Any, label: str) -> None:
    chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    night(chat, FixedJudge(Verdict(label, "because", 0.9)))
    assert set(kinds(chat)) <= {"REJECT", "QUARANTINE"}


def test_a_message_that_orders_machines_about_supports_nothing(chat: Any) -> None:
    (fact_id,) = chat.propose(("Mona Berg", "owns", "a castle", 3))
    night(chat, WatchingJudge())
    assert get_fact(chat.database, chat.space_id, fact_id).status == "rejected"


def test_the_impossible_is_rejected_without_asking(chat: Any) -> None:
    chat.propose(("Karl Aas", "birthday", "30 February", 7))
    judge = WatchingJudge()
    night(chat, judge)
    assert (kinds(chat), judge.shown) == (["REJECT"], [])


def test_a_verdict_holds_for_its_evidence_and_is_not_asked_for_twice(chat: Any) -> None:
    chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    judge = WatchingJudge()
    context = chat.context(tools={"judge": judge})
    check.run(context, no_progress)
    check.run(context, no_progress)
    (fact,) = candidates(chat.database, chat.space_id)
    assert len(judge.shown) == 1
    with chat.database.reading() as session:
        found = findings_of(session, [fact.id])[fact.id]
    assert check.is_settled(found, fact)
    assert not check.is_settled({**found, "evidence_hash": "other"}, fact)


def test_too_little_waits_for_a_second_voice(chat: Any) -> None:
    (first,) = chat.propose(("Vera", "owns", "a boat", 2), confidence=0.3)
    night(chat, WatchingJudge())
    assert get_fact(chat.database, chat.space_id, first).state == "quarantined"
    (second,) = chat.propose(("Vera", "owns", "a boat", 5), confidence=0.3)
    night(chat, WatchingJudge())
    states = {get_fact(chat.database, chat.space_id, fact_id).state for fact_id in (first, second)}
    assert "stored" in states
    assert "quarantined" not in states


def test_a_repeat_by_the_same_person_is_no_second_voice(chat: Any) -> None:
    chat.propose(("Vera", "owns", "a boat", 0), ("Vera", "owns", "a boat", 2), confidence=0.3)
    night(chat, WatchingJudge())
    assert set(kinds(chat)) == {"QUARANTINE"}


def test_a_move_closes_the_old_home_and_says_so(chat: Any) -> None:
    (old,) = chat.propose(("Karl Aas", "lives_in", "Oslo", 1))
    chat.propose(("Karl Aas", "lives_in", "Tromso", 5), change="update")
    night(chat, WatchingJudge())
    rows = list_decisions(chat.database, chat.space_id)
    assert [row.kind for row in rows] == ["STORE", "CORRECT"]
    assert "takes the place of Oslo" in rows[1].reasons
    assert get_fact(chat.database, chat.space_id, old).status == "past"


def test_the_same_said_again_is_merged(chat: Any) -> None:
    chat.propose(("Karl Aas", "lives_in", "Oslo", 1))
    night(chat, WatchingJudge())
    chat.propose(("Karl Aas", "lives_in", "Oslo", 2))
    night(chat, WatchingJudge())
    assert kinds(chat) == ["STORE", "MERGE"]


def test_deciding_twice_decides_nothing_more_and_the_ledger_is_sound(chat: Any) -> None:
    chat.propose(("Mona Berg", "lives_in", "Bergen", 0), ("Mona Berg", "job", "nurse", 4))
    context = night(chat, WatchingJudge())
    again = decide.run(context, no_progress)
    assert (len(kinds(chat)), again.counts["store"]) == (2, 2)
    assert verify(chat.database, chat.space_id) == []
