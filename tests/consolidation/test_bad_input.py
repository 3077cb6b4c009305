"""What people say that cannot all be so, or that tries to count for more than it is: none of it stops a night."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents.judges import RuleJudge
from consolidation import check, decide, score
from consolidation.stage import no_progress
from memory.episodes import list_episodes
from memory.facts import add_candidates, candidates, get_fact, list_decisions, list_facts
from memory.importing import import_file
from memory.ledger import verify
from memory.people import list_people
from memory.registry import Registry
from memory.types import Fact, FactCandidate


def night(chat: Any, **tools: Any) -> None:
    context = chat.context(tools=tools)
    for stage in (score, check, decide):
        stage.run(context, no_progress)


def fact(chat: Any, fact_id: str) -> Fact:
    found: Fact = get_fact(chat.database, chat.space_id, fact_id)
    return found


def kinds(chat: Any) -> list[str]:
    return [row.kind for row in list_decisions(chat.database, chat.space_id)]


def current(chat: Any) -> set[str]:
    found = list_facts(chat.database, chat.space_id, Registry.load(), statuses=("current", "contested"))
    return {item.object for item in found}


def test_two_values_in_one_message_both_wait_until_somebody_says_which(chat: Any) -> None:
    both = chat.propose(("Mona Berg", "lives_in", "Bergen", 0), ("Mona Berg", "lives_in", "Voss", 0))
    night(chat)
    assert {fact(chat, fact_id).state for fact_id in both} == {"quarantined"}
    chat.propose(("Mona Berg", "lives_in", "Voss", 5))
    night(chat)
    assert current(chat) == {"Voss"}


def test_a_correction_in_the_same_message_is_no_contradiction(chat: Any) -> None:
    chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    chat.propose(("Mona Berg", "lives_in", "Voss", 0), change="correct")
    night(chat)
    assert current(chat) == {"Voss"}


def test_corrections_in_a_circle_end_with_the_last_word(chat: Any) -> None:
    chat.propose(("Vera", "hometown", "Oslo", 0))
    for place, value in enumerate(("Bergen", "Oslo", "Bergen", "Oslo"), 1):
        chat.propose(("Vera", "hometown", value, place), change="correct")
    night(chat)
    night(chat)
    assert current(chat) == {"Oslo"}
    assert verify(chat.database, chat.space_id) == []


def test_a_first_name_that_two_people_have_is_given_to_neither(chat: Any) -> None:
    chat.propose(("Vera Lund", "job", "pilot", 0), ("Vera Moe", "job", "baker", 1))
    (third,) = chat.propose(("Vera", "lives_in", "Oslo", 2))
    night(chat)
    people = {person.id: person.name for person in list_people(chat.database, chat.space_id)}
    assert people[fact(chat, third).subject_id] == "Vera"
    assert {"Vera Lund", "Vera Moe"} <= set(people.values())


def test_what_would_begin_before_a_birth_is_rejected(chat: Any) -> None:
    chat.propose(("Vera", "birthday", "1990-03-01", 0))
    night(chat)
    early = datetime(1985, 1, 1, tzinfo=UTC)
    (job,) = chat.propose(("Vera", "job", "pilot", 2), valid_from=early)
    night(chat)
    assert fact(chat, job).state == "rejected"
    assert "birth" in str(list_decisions(chat.database, chat.space_id, fact_id=job)[-1].reasons)


def test_a_birth_after_the_words_that_tell_of_it_is_rejected(chat: Any) -> None:
    chat.propose(("Vera", "birthday", "2031-01-01", 2))
    night(chat)
    assert kinds(chat) == ["REJECT"]


def test_a_hundred_near_duplicates_from_one_speaker_are_one_voice(chat: Any, tmp_path: Path) -> None:
    said = insist(chat, tmp_path, 100)
    wordings = ("harbour pilot", "a harbour pilot", "Harbour Pilot!", "the harbour pilot", "harbour  pilot")
    claims = (("Karl Aas", "job", wordings[n % 5], place) for n, place in enumerate(said))
    chat.propose(*claims, confidence=0.6)
    night(chat)
    (found,) = list_facts(chat.database, chat.space_id, Registry.load())
    assert (found.object, len(found.evidence)) == ("harbour pilot", 100)
    assert found.confidence == pytest.approx(0.6)


def insist(chat: Any, folder: Path, n: int) -> range:
    """The places of `n` more messages in which Karl says one thing on one day."""
    rows = (
        {
            "time": f"2025-04-01T{n // 60:02}:{n % 60:02}:00Z",
            "speaker": "Karl Aas",
            "text": f"harbour pilot, i say! {n}",
        }
        for n in range(n)
    )
    path = folder / "insisting.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    import_file(chat.database, chat.space_id, path)
    known = {episode.id for episode in chat.episodes}
    chat.episodes.extend(e for e in list_episodes(chat.database, chat.space_id) if e.id not in known)
    return range(len(known), len(chat.episodes))


def test_swearing_adds_nothing(chat: Any) -> None:
    """Line 9 swears to what line 10 merely says, and line 11 swears to what it has heard."""
    embedder = chat.tools().embedder
    sworn, plain, heard = chat.propose(
        ("Karl Aas", "owns", "a yacht", 9),
        ("Karl Aas", "owns", "a kayak", 10),
        ("Vera", "owns", "a villa", 11),
        confidence=0.5,
    )
    night(chat, judge=RuleJudge(embedder))
    assert fact(chat, sworn).confidence == fact(chat, plain).confidence == 0.5
    assert (fact(chat, sworn).state, fact(chat, plain).state) == ("stored", "stored")
    assert fact(chat, heard).state in ("rejected", "quarantined")


def test_a_candidate_without_evidence_is_refused(chat: Any) -> None:
    nothing = FactCandidate("Vera", "owns", "a castle", (), "Karl Aas", 1.0, "by hand")
    with chat.database.transaction() as session:
        assert add_candidates(session, chat.space_id, [nothing], Registry.load()) == []
    assert candidates(chat.database, chat.space_id) == []
