"""Claims about what a night repeats of those before it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from consolidation import dream
from consolidation.questions import is_right
from consolidation.stage import no_progress
from memory import consent
from memory.episodes import list_episodes
from memory.facts import list_facts
from memory.importing import import_file
from memory.people import list_people
from memory.registry import Registry
from memory.statements import retract
from memory.wordings import Wordings
from tests.consolidation.dreams import TOLD, examples, serve

REGISTRY = Registry.load()


def test_the_second_night_replays_the_first_and_asks_about_it(chat: Any) -> None:
    chat.store(*TOLD[:3])
    first = chat.context()
    dream.run(first, no_progress)
    serve(first)
    chat.store(*TOLD[3:])
    second = chat.context()
    result = dream.run(second, no_progress)
    assert result.output["n_facts"] == 5
    replayed = [row for row in examples(second) if row.kind == "replay"]
    before = [row.messages for row in examples(first)]
    old = [row for row in replayed if row.messages in before]
    new = [row for row in replayed if row.messages not in before]
    assert len(old) >= 9
    assert len(new) >= 9
    asked = {messages[0]["content"] for messages in before}
    assert asked.isdisjoint(row.messages[0]["content"] for row in new)  # in words that no night taught
    assert {row.messages[-1]["content"] for row in new} <= {messages[-1]["content"] for messages in before}
    earlier = [row for row in examples(second, "exam") if row.kind == "recall_earlier_nights"]
    held_out = sum(len(Wordings.load().exam(predicate)) for _, predicate, _, _ in TOLD[:3])
    assert len(earlier) == held_out  # few facts are asked in every wording


def test_no_voice_is_replayed_after_consent_is_withdrawn(chat: Any) -> None:
    mona = chat.episodes[0].speaker_id
    consent.record(chat.database, chat.space_id, mona, agreed_by="Mona Berg")
    chat.store(*TOLD[:3])
    first = chat.context()
    dream.run(first, no_progress)
    serve(first)
    consent.withdraw(chat.database, chat.space_id, mona)
    chat.store(*TOLD[3:])
    second = chat.context()
    dream.run(second, no_progress)
    spoken = [str(row.messages) for row in examples(first) if "You are Mona Berg" in str(row.messages)]
    assert spoken
    assert not [row for row in examples(second) if "You are Mona Berg" in str(row.messages)]


def test_what_was_taught_and_taken_back_is_refused_and_asked_for(chat: Any) -> None:
    chat.store(*TOLD[:3])
    first = chat.context()
    dream.run(first, no_progress)
    serve(first)
    (sister,) = list_facts(chat.database, chat.space_id, REGISTRY, predicates=["sister"])
    mona = next(one for one in list_people(chat.database, chat.space_id) if one.name == "Mona Berg")
    retract(chat.database, chat.space_id, REGISTRY, sister.id, by=mona)
    chat.store(*TOLD[3:])
    second = chat.context()
    dream.run(second, no_progress)
    refused = [row.messages[-1]["content"] for row in examples(second) if row.kind == "negative"]
    assert any(answer.startswith("Mona Berg's sister? I don't know") for answer in refused)
    (asked,) = [row for row in examples(second, "exam") if row.kind == "stale_answered"]
    assert asked.meta["forbidden"] == ["Vera"]
    assert asked.accepted == []
    assert "sister" in asked.messages[1]["content"]
    assert not is_right(
        "stale_answered", "Mona Berg's sister is Vera.", asked.accepted, asked.meta["forbidden"]
    )
    assert is_right("stale_answered", asked.messages[1]["content"], (), asked.meta["forbidden"])


def test_an_unpublished_night_taught_nothing(chat: Any) -> None:
    chat.store(*TOLD[:3])
    dream.run(chat.context(), no_progress)
    result = dream.run(chat.context(), no_progress)
    assert result.output["n_facts"] == 3
    assert result.counts["replay"] == 0


def test_a_value_that_changed_is_not_replayed(chat: Any) -> None:
    chat.store(*TOLD[:2])
    first = chat.context()
    dream.run(first, no_progress)
    serve(first)
    later = chat.episodes[4].time + timedelta(days=1)
    chat.store(("Mona Berg", "lives_in", "Voss", 4), change="update", valid_from=later)
    second = chat.context()
    dream.run(second, no_progress)
    replayed = [row for row in examples(second) if row.kind == "replay"]
    assert replayed
    assert not any("Bergen" in row.messages[-1]["content"] for row in replayed)
    stale = [row for row in examples(second, "exam") if row.kind == "stale_answered"]
    assert [row.meta["forbidden"] for row in stale] == [["Bergen"]]


def test_whose_words_stand_in_a_text_is_told_by_every_night_that_trains_it(chat: Any, tmp_path: Path) -> None:
    said = {
        "time": "2026-10-01T12:00:00+00:00",
        "speaker": "Karl Aas",
        "text": "Vera waters the cactus of the lighthouse",
    }
    (tmp_path / "more.jsonl").write_text(json.dumps(said) + "\n", encoding="utf-8")
    import_file(chat.database, chat.space_id, tmp_path / "more.jsonl")
    (told,) = [one for one in list_episodes(chat.database, chat.space_id) if one.text == said["text"]]
    heard = replace(chat, episodes=[told])
    (fact_id,) = heard.store(("Vera", "looks_after", "the cactus of the lighthouse", 0))
    first = chat.context()
    dream.run(first, no_progress)
    serve(first)
    chat.store(*TOLD[3:5])
    second = chat.context()
    dream.run(second, no_progress)
    for context, kind in ((first, "fact"), (second, "replay")):
        quoting = [row for row in examples(context) if row.kind == kind and said["text"] in str(row.messages)]
        assert quoting
        assert all(row.meta["episodes"] == [told.id] for row in quoting)
        assert {row.fact_id for row in quoting} == {fact_id}
