"""The history of a persona over HTTP: read it, change it, go back; and the night that serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from consolidation import recipe_serving
from consolidation.stage import NightSettings, TrainSettings
from service.http.application import create_app
from service.settings import Settings
from service.wiring import Services
from tests.made_recipes import base_of, linear_shapes, make_vector, publish_night


@pytest.fixture
def client(tmp_path: Path, talkative: Path) -> Iterator[TestClient]:
    night = NightSettings(base_model=str(talkative), train=TrainSettings(dtype="float32"))
    with Services(Settings(home=tmp_path / "home", night=night)) as services:
        base = base_of(services.model_spec())
        for number in (1, 2, 3):
            vector = make_vector(base, number, linear_shapes(talkative), scale=0.01)
            publish_night(services.place(), vector, f"aaaa{number}")
        yield TestClient(create_app(services), base_url="http://127.0.0.1:7777")


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_the_history_is_read_in_pages(client: TestClient) -> None:
    first = client.get("/v1/recipes", params={"limit": 2}).json()
    assert [one["night"] for one in first["recipes"]] == ["aaaa3", "aaaa2"]
    rest = client.get("/v1/recipes", params={"limit": 2, "after": first["next"]}).json()
    assert ([one["night"] for one in rest["recipes"]], rest["next"]) == (["aaaa1"], None)
    shown = client.get("/v1/recipes/serving").json()
    assert [entry["night"] for entry in shown["entries"]] == ["aaaa1", "aaaa2", "aaaa3"]
    changed = client.get("/v1/recipes/serving^^/diff").json()["changes"]
    assert [one["night"] for one in changed] == ["aaaa2", "aaaa3"]
    assert client.get("/v1/recipes", params={"after": "nothing"}).status_code == 400
    assert client.get("/v1/recipes/nothing").status_code == 404


def test_a_change_serves_and_is_taken_back(client: TestClient) -> None:
    before = client.get("/v1/recipes/serving").json()["recipe"]
    assert client.put("/v1/tags/good").json()["recipe"] == before
    told = client.post("/v1/recipes/revert", json={"entries": ["aaaa2"]}).json()
    assert (told["serves"], told["served_before"]) == (True, before)
    scaled = client.post(
        "/v1/recipes/scale",
        json={"entry": "aaaa1", "coefficient": 0.5},
        headers={"Accept": "text/event-stream"},
    )
    name, done = events(scaled.text)[-1]
    assert (name, done["changes"][0]["after"]) == ("done", 0.5)
    assert client.post("/v1/recipes/apply", json={"recipe": "good"}).json()["recipe"] == before
    assert [one["tag"] for one in client.get("/v1/tags").json()] == ["good"]
    assert client.delete("/v1/tags/good").json()["recipe"] == before
    assert client.delete("/v1/tags/good").status_code == 400


def test_a_mend_says_why_it_added_nothing(client: TestClient) -> None:
    before = client.get("/v1/recipes/serving").json()["recipe"]
    told = client.post("/v1/recipes/mend").json()
    assert (told["recipe"], told["why"], told["exam"]) == (before, "no night was asked", None)
    assert client.post("/v1/recipes/mend", json={"minutes": 0}).status_code == 422
    late = client.post("/v1/recipes/mend", headers={"If-Match": '"0"'})
    assert late.status_code == 412


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_a_change_that_came_first_is_seen_under_the_lease(
    client: TestClient, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = recipe_serving.alone

    def after_another(place: Any) -> Any:
        monkeypatch.setattr(recipe_serving, "alone", alone)
        assert client.post("/v1/recipes/revert", json={"entries": ["aaaa2"]}).status_code == 200
        return alone(place)

    headers = {"If-Match": client.get("/v1/recipes/serving").headers["etag"], "Accept": accept}
    monkeypatch.setattr(recipe_serving, "alone", after_another)
    late = client.post("/v1/recipes/scale", json={"entry": "aaaa1", "coefficient": 0.5}, headers=headers)
    assert late.status_code == 412
    entries = client.get("/v1/recipes/serving").json()["entries"]
    assert [(one["night"], one["coefficient"]) for one in entries] == [("aaaa1", 1.0), ("aaaa3", 1.0)]


def test_what_cannot_be_is_said_and_changes_nothing(client: TestClient) -> None:
    before = client.get("/v1/recipes/serving").json()["recipe"]
    for end, body, status in (
        ("revert", {}, 422),
        ("revert", {"entries": ["nothing"]}, 404),
        ("scale", {"entry": "aaaa1", "coefficient": 1.0}, 409),
        ("rule", {"rule": "ties", "density": 7.0}, 400),
        ("apply", {"recipe": "../../x"}, 422),
    ):
        answer = client.post(f"/v1/recipes/{end}", json=body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert client.get("/v1/recipes/serving").json()["recipe"] == before


def test_an_earlier_night_serves_again(client: TestClient) -> None:
    assert client.post("/v1/roll-back").json() == {"run": "aaaa2"}
    assert client.post("/v1/roll-back", json={"to": "aaaa1"}).json() == {"run": "aaaa1"}
    assert client.post("/v1/roll-back").json() == {"run": None}
    assert client.post("/v1/roll-back").status_code == 409


def test_behaviours_and_probes_are_listed(client: TestClient) -> None:
    names = [one["behaviour"] for one in client.get("/v1/behaviours").json()]
    assert client.get(f"/v1/behaviours/{names[0]}").json()["held_out"] > 0
    assert client.get("/v1/probes").json() == []
    assert client.get("/v1/probes/none").status_code == 404
