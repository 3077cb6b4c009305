from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.backends.scripted import ScriptedChat
from agents.errors import BackendUnreachable
from agents.extractors.model import LOOK_BACK, STRETCH, ModelExtractor
from memory.ports import Roster
from memory.types import Episode

ROSTER = Roster(("Ana Reis", "Leo Kamp"))


def episodes(n: int) -> list[Episode]:
    start = datetime(2025, 5, 1, tzinfo=UTC)
    return [
        Episode(f"e{i}", "c", i, "a", "Ana Reis", start + timedelta(hours=i), f"message {i}")
        for i in range(n)
    ]


def fact(**changes: Any) -> dict[str, Any]:
    return {
        "subject": "Ana Reis",
        "subject_kind": "person",
        "predicate": "lives_in",
        "object": "Utrecht",
        "object_kind": "place",
        "messages": [0],
        "confidence": 0.9,
        "change": "state",
        "corrects": None,
        "valid_from": "2025-05-01",
        "valid_to": None,
        **changes,
    }


def answer(*facts: dict[str, Any]) -> str:
    return json.dumps({"facts": facts})


def test_a_good_answer_becomes_candidates_with_evidence() -> None:
    extractor = ModelExtractor(ScriptedChat([answer(fact(messages=[1, 0]))]))
    (found,) = extractor.extract(episodes(2), ROSTER)
    assert (found.subject, found.predicate, found.object) == ("Ana Reis", "lives_in", "Utrecht")
    assert found.episode_ids == ("e0", "e1")
    assert found.valid_from == datetime(2025, 5, 1, tzinfo=UTC)
    assert found.asserted_by == "Ana Reis"
    assert found.rule == "model/scripted"


@pytest.mark.parametrize(
    "bad",
    [
        fact(messages=[7]),
        fact(messages=[]),
        fact(object="  "),
        fact(valid_from="soon"),
        fact(valid_from="2025-05-02", valid_to="2025-05-01"),
        fact(predicate="drop table; --"),
    ],
)
def test_a_bad_fact_is_dropped_and_counted_and_the_others_kept(bad: dict[str, Any]) -> None:
    extractor = ModelExtractor(ScriptedChat([answer(bad, fact())]))
    assert [found.object for found in extractor.extract(episodes(2), ROSTER)] == ["Utrecht"]
    assert (extractor.counts.dropped_facts, extractor.counts.kept_facts) == (1, 1)


@pytest.mark.parametrize(
    "text", ["Sure, here you go", '{"facts": [{"subject": "x"}]}', answer(fact(confidence=7))]
)
def test_an_answer_that_breaks_the_schema_is_dropped_whole(text: str) -> None:
    extractor = ModelExtractor(ScriptedChat([text]))
    assert extractor.extract(episodes(2), ROSTER) == []
    assert extractor.counts.bad_answers == 1


def test_long_stretches_are_cut_with_a_look_back_that_makes_no_facts() -> None:
    model = ScriptedChat([answer(), answer(fact(messages=[0]), fact(messages=[LOOK_BACK], object="Delft"))])
    found = ModelExtractor(model).extract(episodes(STRETCH + 1), ROSTER)
    assert [(f.object, f.episode_ids) for f in found] == [("Delft", (f"e{STRETCH}",))]


def test_messages_are_shown_as_data() -> None:
    model = ScriptedChat([answer()])
    ModelExtractor(model).extract(episodes(1), ROSTER)
    system, user = (message["content"] for message in model.calls[0])
    assert "lives_in" in system
    assert "message 0" not in system
    assert '"text": "message 0"' in user


def test_a_model_out_of_reach_raises() -> None:
    with pytest.raises(BackendUnreachable):
        ModelExtractor(ScriptedChat([])).extract(episodes(1), ROSTER)
