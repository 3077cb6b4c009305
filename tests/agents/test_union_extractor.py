from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from agents.backends.scripted import ScriptedChat
from agents.extractors.both import UnionExtractor
from agents.extractors.model import ModelExtractor
from agents.extractors.rules import RuleExtractor
from memory.ports import Roster
from memory.registry import Registry
from memory.types import Episode

REGISTRY = Registry.load()
ROSTER = Roster(("Ana Reis", "Leo Kamp"))
SAID = ("I live in Utrecht.", "My brother plays the oboe in some band nobody has heard of.")


def episodes() -> list[Episode]:
    start = datetime(2025, 5, 1, tzinfo=UTC)
    return [
        Episode(f"e{i}", "c", i, "a", "Ana Reis", start + timedelta(hours=i), text)
        for i, text in enumerate(SAID)
    ]


def fact(subject: str, predicate: str, value: str, *messages: int) -> dict[str, Any]:
    return {
        "subject": subject,
        "subject_kind": "person",
        "predicate": predicate,
        "object": value,
        "object_kind": None,
        "messages": list(messages),
        "confidence": 0.9,
        "change": "state",
        "corrects": None,
        "valid_from": None,
        "valid_to": None,
    }


def union(*facts: dict[str, Any]) -> UnionExtractor:
    model = ScriptedChat([json.dumps({"facts": facts})] if facts else [])
    return UnionExtractor(RuleExtractor(), ModelExtractor(model, REGISTRY), REGISTRY)


def found(*facts: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    candidates = union(*facts).extract(episodes(), ROSTER)
    return [(item.subject, item.predicate, item.object, item.rule.split("/")[0]) for item in candidates]


def ruled() -> list[tuple[str, str, str]]:
    return [
        (item.subject, item.predicate, item.object) for item in RuleExtractor().extract(episodes(), ROSTER)
    ]


def test_the_rules_find_where_somebody_lives() -> None:
    assert ("Ana Reis", "lives_in", "Utrecht") in ruled()


def test_the_model_adds_what_the_rules_left_out() -> None:
    everything = found(fact("Leo Kamp", "hobby", "the theremin", 1))
    assert ("Leo Kamp", "hobby", "the theremin", "model") in everything
    assert [item[:3] for item in everything[:-1]] == ruled()


def test_what_the_rules_said_is_not_said_twice() -> None:
    assert [item[:3] for item in found(fact("Ana", "lives_in", "utrecht", 0))] == ruled()


def test_where_both_read_one_message_about_one_value_the_rules_stand() -> None:
    assert [item[:3] for item in found(fact("Ana Reis", "lives_in", "Delft", 0))] == ruled()


def test_another_message_about_the_same_matter_is_the_models_to_read() -> None:
    assert ("Ana Reis", "lives_in", "Delft", "model") in found(fact("Ana Reis", "lives_in", "Delft", 1))


def test_while_the_model_is_away_the_rules_are_kept_and_the_messages_wait() -> None:
    read = union().read(episodes(), ROSTER)
    assert [(item.subject, item.predicate, item.object) for item in read.candidates] == ruled()
    assert read.unread == {"e0": "away", "e1": "away"}
