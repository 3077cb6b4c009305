"""`slowwave why-said` as a person runs it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.service.conftest import SAID

ADA = [text for _, speaker, text in SAID if speaker == "Ada Lund"]


@pytest.fixture
def talked(slowwave: Any, tiny_nights: None) -> Any:
    """The home with a turn of Ada's persona in it."""
    slowwave("consent", "Ada", "--by", "Ada Lund")
    assert slowwave("chat", "Ada", "--as", "Bo", "--once", "Where do you live?", "--seed", "3").code == 0
    return slowwave


def texts(found: Any) -> list[str]:
    return [item["text"] for item in found["messages"]]


@pytest.mark.parametrize("method", ["activation", "gradient", "bm25", "dense"])
def test_a_message_explains_itself(slowwave: Any, tiny_nights: None, method: str) -> None:
    found = slowwave("why-said", "--text", ADA[0], "--method", method, "--json").json
    assert texts(found)[0] == ADA[0]
    assert found["method"] == method
    scores = [item["score"] for item in found["messages"]]
    assert scores == sorted(scores, reverse=True)


def test_a_turn_is_explained_by_what_its_persona_knew(talked: Any) -> None:
    turns = talked("why-said", "--json").json
    assert [turn["speaker"] for turn in turns] == ["Ada Lund"]
    found = talked("why-said", turns[0]["id"][:6], "--json").json
    assert found["turn"] == turns[0]["id"]
    assert set(texts(found)) <= {text for _, _, text in SAID}
    assert talked("why-said", "last", "--json").json["messages"] == found["messages"]


@pytest.mark.parametrize("method", ["activation", "gradient", "bm25", "dense"])
def test_what_a_person_cannot_know_is_not_shown(
    slowwave: Any, tiny_nights: None, tmp_path: Any, method: str
) -> None:
    secret = tmp_path / "secret.jsonl"
    rows = [
        {"time": f"2025-04-0{day}T10:00:00", "speaker": speaker, "text": text, "conversation": "aside"}
        for day, speaker, text in (
            (1, "Cai Moe", "I hid the boat key under the mat"),
            (2, "Dan Poe", "clever"),
        )
    ]
    secret.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert slowwave("import", secret).code == 0
    asked = ("why-said", "--text", "the boat key is under the mat", "--method", method, "-k", "20", "--json")
    assert any("under the mat" in text for text in texts(slowwave(*asked).json))
    assert not any("under the mat" in text for text in texts(slowwave(*asked, "--known-to", "Ada").json))


def test_what_was_said_after_a_turn_does_not_explain_it(talked: Any) -> None:
    with closing(sqlite3.connect(talked.home / "graph.db")) as store, store:
        store.execute("UPDATE episode SET time = '2025-03-04 00:00:00.000000' WHERE origin = 'simulated'")
    found = talked("why-said", "last", "-k", "20", "--json").json
    assert 0 < len(found["messages"]) <= 3
    assert all(item["time"] < "2025-03-04" for item in found["messages"])


def test_the_table_shows_date_speaker_score_and_message(slowwave: Any, tiny_nights: None) -> None:
    shown = slowwave("why-said", "--text", ADA[0], "-k", "1")
    assert shown.code == 0
    assert all(part in shown.out for part in ("2025-03-01", "Ada Lund", "1.000", ADA[0]))


def test_a_turn_that_is_not_there_is_refused(slowwave: Any) -> None:
    assert "no turn of a persona" in slowwave("why-said", "abcdef").refusal
    assert slowwave("why-said").out.startswith("no persona has said anything yet")


@pytest.mark.parametrize(
    "arguments",
    [
        ("last", "--text", "x"),
        ("--known-to", "Ada"),
        ("--text", "  "),
        ("last", "--context", "x"),
        ("-k", "0"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(slowwave: Any, arguments: tuple[str, ...]) -> None:
    assert slowwave("why-said", *arguments).code == 2
