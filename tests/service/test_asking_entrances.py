"""`ask` and `search` at both entrances: what they take, what they print, and that both say the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from memory.uses import uses
from service.http.application import create_app
from service.settings import Settings
from service.wiring import Services

HIT = {"kind", "id", "score", "text", "time", "speaker", "sensitive", "parts"}


@pytest.fixture
def web(slowwave: Any) -> Iterator[TestClient]:
    local = {"base_url": "http://localhost", "headers": {"host": "localhost"}, "client": ("127.0.0.1", 5000)}
    with (
        Services(Settings(home=slowwave.home)) as services,
        TestClient(create_app(services), **local) as client,
    ):
        yield client


def test_search_lists_hits_with_their_parts(slowwave: Any) -> None:
    hits = slowwave("search", "Where does Ada live?", "-k", "3", "--json").json
    assert len(hits) == 3
    assert all(set(hit) - {"status"} == HIT for hit in hits)
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    assert all(sum(hit["parts"].values()) == pytest.approx(hit["score"], abs=0.01) for hit in hits)
    table = slowwave("search", "Where does Ada live?", "--explain").out
    assert "Lagos" in table
    assert "dense +" in table


def test_search_keeps_to_kinds_times_and_viewers(slowwave: Any) -> None:
    assert {hit["kind"] for hit in slowwave("search", "Ada", "--kinds", "fact", "--json").json} == {"fact"}
    assert {hit["kind"] for hit in slowwave("search", "Ada", "--kinds", "session", "--json").json} == {
        "session"
    }
    early = slowwave("search", "moved to Lagos", "--as-of", "2025-04-01", "--json").json
    assert early
    assert not any("Lagos" in hit["text"] for hit in early)
    assert slowwave("search", "Ada", "--known-to", "Bo", "--json").json
    assert slowwave("search", "Ada", "--kinds", "poem").code == 2
    assert "--kinds" in slowwave("search", "Ada", "--kinds", "poem").err


def test_an_explanation_says_what_was_understood(slowwave: Any) -> None:
    shown = slowwave(
        "ask", "Where did I live in April 2025?", "--asked-by", "Ada", "--explain", "--json"
    ).json
    assert "Porto" in shown["answer"]
    why = shown["explain"]
    assert why["understood"]["asked"] == "Where did Ada Lund live in April 2025?"
    assert why["abstained_because"] is None
    assert why["facts"][0]["predicate"] == "lives_in"
    text = slowwave("ask", "Where does Ada live?", "--explain").out
    assert json.loads(text[text.index("\n{") :])["kind"] == "where"


def test_the_web_says_what_the_command_says(slowwave: Any, web: TestClient) -> None:
    asked = {"question": "Where do I live?", "asked_by": "Ada", "explain": True}
    answer = web.post("/v1/ask", json=asked).json()
    assert "Lagos" in answer["answer"]
    assert answer["explain"]["understood"]["asked"] == "Where does Ada Lund live?"
    found = web.get("/v1/search", params={"q": "harbour office", "k": 2, "kind": ["episode"]}).json()
    assert found[0]["text"] == "I work at the harbour office."
    assert {hit["kind"] for hit in found} == {"episode"}


@pytest.mark.parametrize("params", [{}, {"q": ""}, {"q": "a", "k": 0}, {"q": "a", "kind": "poem"}])
def test_a_search_without_sense_is_refused(web: TestClient, params: dict[str, Any]) -> None:
    assert web.get("/v1/search", params=params).status_code == 422


@pytest.mark.parametrize(("is_counted", "n"), [(True, 2), (False, 0)])
def test_what_was_asked_for_is_counted_unless_the_settings_say_no(
    slowwave: Any, is_counted: bool, n: int
) -> None:
    settings = Settings(home=slowwave.home, count_asked=is_counted)
    with Services(settings) as services:
        answers = [services.ask("Where does Ada live?") for _ in range(2)]
        (fact,) = answers[0].facts
        services.ask("What is the name of Zebedee's parrot?")
        services.uses.settle()
        with services.database.reading() as session:
            counted = {fact_id: use.n for fact_id, use in uses(session, [fact.id]).items()}
    assert counted == ({fact.id: n} if n else {})
