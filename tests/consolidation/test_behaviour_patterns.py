"""A behaviour out of a pattern: how the person replied in its messages, if they agreed and if there is enough of it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from consolidation.behaviour_patterns import FromPattern, from_pattern
from consolidation.errors import BadBehaviour
from consolidation.recipe_serving import Place
from memory import consent
from memory.episodes import list_episodes
from memory.errors import UnknownFact
from memory.facts import add_candidates, decide, get_fact
from memory.importing import import_file
from memory.people import find_person
from memory.types import FactCandidate
from tests.consolidation.conftest import REGISTRY, START, at_noon

N = 20


@pytest.fixture
def talk(place: Place, tmp_path: Path) -> Place:
    """Twenty evenings: Bo tells something, Ada asks back in two lines, Bo answers."""
    rows = []
    for day in range(N):
        for minute, (speaker, text) in enumerate(
            (
                ("Bo Rask", f"evening {day} was long"),
                ("Ada Lund", f"oh, number {day}?"),
                ("Ada Lund", "why so long?"),
                ("Bo Rask", "work"),
            )
        ):
            time = START + timedelta(days=day, minutes=minute)
            rows.append({"time": time.isoformat(), "speaker": speaker, "text": text})
    path = tmp_path / "talk.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    import_file(place.database, place.space_id, path, clock=at_noon)
    return place


def pattern(place: Place, text: str = "asks questions when sad", n: int = N) -> str:
    """The id of a stored pattern of Ada's that rests on her first lines."""
    said = [e.id for e in list_episodes(place.database, place.space_id) if e.text.startswith("oh,")]
    candidate = FactCandidate(
        subject="Ada Lund",
        predicate="pattern",
        object=text,
        object_kind="pattern",
        episode_ids=tuple(said[:n]),
        asserted_by="Ada Lund",
        confidence=0.8,
        rule="pattern: shown",
        is_inferred=True,
    )
    with place.database.transaction() as session:
        (fact_id,) = add_candidates(session, place.space_id, [candidate], REGISTRY, clock=at_noon)
        decide(
            session,
            place.space_id,
            fact_id,
            "STORE",
            ["counted"],
            REGISTRY,
            run_id=None,
            is_stated=True,
            clock=at_noon,
        )
    return fact_id


def agree(place: Place) -> None:
    ada = find_person(place.database, place.space_id, "Ada Lund").id
    consent.record(place.database, place.space_id, ada, agreed_by="Ada Lund", clock=at_noon)


def made(place: Place, fact_id: str, **given: str) -> FromPattern:
    return from_pattern(place, REGISTRY, "asking", fact_id, **given)


def test_the_examples_are_the_replies_that_the_pattern_rests_on(talk: Place) -> None:
    fact_id = pattern(talk)
    agree(talk)
    found = made(talk, fact_id)
    yardstick = found.behaviour.yardstick
    assert (yardstick.measure, yardstick.wanted) == ("asks", "more")
    assert (len(found.behaviour.examples), len(yardstick.held_out)) == (15, 5)
    replies = {example[-1]["content"] for example in found.behaviour.examples}
    assert all(
        reply.startswith("oh, number ") and reply.endswith("\n[ADA] why so long?") for reply in replies
    )
    assert found.behaviour.examples[0][0]["role"] == "system"
    people = {find_person(talk.database, talk.space_id, name).id for name in ("Ada Lund", "Bo Rask")}
    assert set(found.people) == people
    assert found.pattern == get_fact(talk.database, talk.space_id, fact_id, REGISTRY).object_id
    assert made(talk, fact_id) == found


def test_other_patterns_need_a_measure_of_their_own(talk: Place) -> None:
    fact_id = pattern(talk, "bakes when stressed")
    agree(talk)
    with pytest.raises(BadBehaviour, match="give --measure and --wanted"):
        made(talk, fact_id)
    assert made(talk, fact_id, measure="words_per_reply", wanted="less").behaviour.yardstick.wanted == "less"


def test_without_consent_evidence_or_a_pattern_nothing_is_made(talk: Place) -> None:
    fact_id = pattern(talk, n=10)
    with pytest.raises(BadBehaviour, match="Ada Lund has not agreed to be simulated"):
        made(talk, fact_id)
    agree(talk)
    with pytest.raises(BadBehaviour, match="rests on 10 replies that can be trained; 16 are needed"):
        made(talk, fact_id)
    with pytest.raises(UnknownFact):
        made(talk, "0123456789abcdef")
