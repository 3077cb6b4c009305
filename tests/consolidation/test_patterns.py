"""Claims about patterns in the graph: facts with counts, seen by who heard them, ended, undone, erased."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bench.patterns import Plan, invent
from consolidation import constitution
from consolidation.patterns import list_patterns, pattern_json
from consolidation.slots import is_teachable
from consolidation.stage import no_progress
from db import tables
from memory import erasure
from memory.decisions import undo
from memory.emotions import add_tags
from memory.episodes import list_episodes
from memory.facts import list_decisions, list_facts, sentence
from memory.importing import import_file
from memory.people import find_person
from memory.registry import Registry
from memory.types import EmotionTag, Episode, Fact

REGISTRY = Registry.load()
PLAN = Plan(sessions=60, strength=0.9, base=0.05)
NAMES = {"a": "Ada Voss", "b": "Ben Lund"}


@pytest.fixture
def talk(chat: Any) -> Any:
    """Ada says thank you when stressed, over sixty days with Ben; her stress stands as emotion tags."""
    invented, felt = invent(PLAN, ("says thank you", "stressed"), seed=5)
    path = chat.home / "talk.jsonl"
    invented_file(path, invented)
    import_file(chat.database, chat.space_id, path)
    own = {(e.time, e.text): e.id for e in list_episodes(chat.database, chat.space_id)}
    same = {e.id: own[e.time.replace(microsecond=0), e.text] for e in invented}
    tags = [EmotionTag(same[key], c, i, "test") for key, found in felt.items() for c, i in found.items()]
    with chat.database.transaction() as session:
        add_tags(session, chat.space_id, tags)
    return chat


def invented_file(path: Path, episodes: Sequence[Episode]) -> None:
    rows = [
        {"time": e.time.replace(microsecond=0).isoformat(), "speaker": NAMES[e.speaker], "text": e.text}
        for e in episodes
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def night(talk: Any) -> dict[str, float]:
    return constitution.run(talk.context(), no_progress).counts


def patterns(talk: Any, **asked: Any) -> list[Fact]:
    return list_patterns(talk.database, talk.space_id, REGISTRY, **asked)


def test_a_night_stores_it_with_its_counts_and_a_second_one_adds_nothing(talk: Any) -> None:
    first = night(talk)
    (fact,) = patterns(talk)
    assert first["patterns_new"] == 1
    assert sentence(fact) == "Ada Voss says thank you when stressed."
    assert fact.origin == "inferred"
    (told,) = pattern_json(talk.database, [fact])
    assert told["counts"]["k_when"] >= 5
    assert told["kind"] == "shown"
    again = night(talk)
    assert (again["patterns_new"], again["patterns_ended"]) == (0, 0)
    assert patterns(talk) == [fact]


def test_it_is_one_node_and_seen_by_who_could_hear_its_messages_only(talk: Any) -> None:
    night(talk)
    ben = find_person(talk.database, talk.space_id, "Ben Lund").id
    assert [f.object for f in patterns(talk, known_to=ben)] == ["says thank you when stressed"]
    path = talk.home / "other.jsonl"
    path.write_text('{"time": "2026-01-01T10:00:00+00:00", "speaker": "Cleo Roy", "text": "hello"}\n')
    import_file(talk.database, talk.space_id, path)
    cleo = find_person(talk.database, talk.space_id, "Cleo Roy").id
    assert patterns(talk, known_to=cleo) == []


def test_undone_by_a_person_it_does_not_come_back(talk: Any) -> None:
    night(talk)
    (fact,) = patterns(talk)
    (decision,) = list_decisions(talk.database, talk.space_id, fact_id=fact.id)
    undo(talk.database, talk.space_id, decision.id, REGISTRY)
    assert patterns(talk) == []
    assert night(talk)["patterns_new"] == 0
    assert patterns(talk) == []


def test_it_ends_when_it_no_longer_shows(talk: Any) -> None:
    """Feelings that another judge takes back: nothing is left to count."""
    night(talk)
    with talk.database.transaction() as session:
        session.execute(update(tables.EmotionTag).values(intensity=1.0))
    assert night(talk)["patterns_ended"] == 1
    assert patterns(talk) == []
    (fact,) = patterns(talk, statuses=("past",))
    last = max(e.time for e in list_episodes(talk.database, talk.space_id) if e.id in fact.evidence)
    assert fact.valid_to == last


def test_erasing_one_of_its_messages_takes_it_along(talk: Any) -> None:
    """It was inferred from all of them together; the next night counts what is left."""
    night(talk)
    (fact,) = patterns(talk)
    target = erasure.Target("episode", fact.evidence[0])
    erasure.erase(talk.database, talk.space_id, talk.home, target, REGISTRY)
    assert list_facts(talk.database, talk.space_id, REGISTRY, predicates=("pattern",)) == []


def test_it_is_not_taught_as_something_that_was_said(talk: Any) -> None:
    night(talk)
    assert not any(is_teachable(fact) for fact in patterns(talk))
