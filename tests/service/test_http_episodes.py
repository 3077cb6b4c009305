"""Messages, conversations and feelings over time, as the daemon serves them."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from consolidation.readouts import MANIFEST_FILE, VECTORS_FILE, read_files, sha256_of
from consolidation.stage import NightSettings, TrainSettings
from memory.emotions import add_tags
from memory.importing import import_file
from memory.readings import Reading, keep_readings
from memory.types import EmotionTag
from service.http.application import create_app
from service.settings import Settings
from service.wiring import Services
from tests.made_readouts import write_tiny_readout

SAID = 5


@pytest.fixture
def services(imported: Path, tmp_path: Path) -> Iterator[Services]:
    shutil.copytree(imported, tmp_path / "home")
    with Services(Settings(home=tmp_path / "home")) as opened:
        yield opened


@pytest.fixture
def client(services: Services) -> TestClient:
    return TestClient(create_app(services), base_url="http://127.0.0.1:7777")


def say(services: Services, conversation: str, at: datetime) -> None:
    line = {"time": at.isoformat(), "speaker": conversation, "text": "Hello."}
    path = services.settings.home / f"{conversation} {at:%H}.jsonl"
    path.write_text(json.dumps(line))
    import_file(services.database, services.space_id, path)


def pages(client: TestClient, path: str, name: str, **query: Any) -> list[dict[str, Any]]:
    """Every row of a list, read two at a time."""
    found, after = [], None
    while True:
        page = client.get(path, params={**query, "limit": 2} | ({"after": after} if after else {})).json()
        found += page[name]
        assert len(page[name]) <= 2
        after = page["next"]
        if after is None:
            return found


def test_messages_are_paged_in_time_order_and_backwards(client: TestClient) -> None:
    found = pages(client, "/v1/episodes", "episodes")
    assert len({row["id"] for row in found}) == SAID
    assert [row["time"] for row in found] == sorted(row["time"] for row in found)
    assert pages(client, "/v1/episodes", "episodes", newest=True) == found[::-1]
    (one,) = {row["conversation"]["id"] for row in found}
    assert pages(client, "/v1/episodes", "episodes", conversation=one) == found
    assert client.get(f"/v1/episodes/{found[0]['id']}").json() == found[0]


def test_messages_are_chosen_by_speaker_and_time_and_by_who_could_hear_them(client: TestClient) -> None:
    ada = pages(client, "/v1/episodes", "episodes", person="Ada", to="2025-03-03")
    assert [row["text"] for row in ada] == ["I live in Porto."]
    assert pages(client, "/v1/episodes", "episodes", known_to="Marta") == []
    assert pages(client, "/v1/episodes", "episodes", origin="simulated") == []
    assert len(pages(client, "/v1/episodes", "episodes", **{"from": "2025-06-05T10:00:00"})) == 1


def test_a_page_goes_on_behind_a_message_that_was_erased(client: TestClient) -> None:
    first = client.get("/v1/episodes", params={"limit": 1}).json()
    wanted = {"kind": "episode", "what": first["episodes"][0]["id"]}
    plan = client.post("/v1/forget", json=wanted).json()["plan"]
    done = client.post("/v1/forget", json={**wanted, "plan": plan})
    assert done.status_code == 200, done.text
    rest = client.get("/v1/episodes", params={"after": first["next"]}).json()["episodes"]
    assert len(rest) == SAID - 1


_TOO_EARLY = base64.urlsafe_b64encode(b"0001-01-01T00:00:00+14:00 a").decode().rstrip("=")


@pytest.mark.parametrize("path", ["/v1/episodes", "/v1/conversations"])
@pytest.mark.parametrize("after", ["nothing", "é", "MjAyNS0wMy0wMVQxMDowMDowMCBh", "==", _TOO_EARLY])
def test_a_place_that_no_page_gave_is_a_problem(client: TestClient, path: str, after: str) -> None:
    answer = client.get(path, params={"after": after})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:slowwave:problem:unknown-cursor")


def test_an_unknown_message_is_a_404(client: TestClient) -> None:
    assert client.get("/v1/episodes/nosuchmessage").status_code == 404


def test_conversations_have_their_people(client: TestClient) -> None:
    (talk,) = pages(client, "/v1/conversations", "conversations")
    assert (talk["people"], talk["messages"]) == (["Ada Lund", "Bo Rask"], SAID)


def test_a_page_of_conversations_goes_on_where_the_one_before_ended(
    client: TestClient, services: Services
) -> None:
    now = services.clock()
    for number, name in enumerate(("c1", "c2", "c3")):
        say(services, name, now + timedelta(hours=number))
    first = client.get("/v1/conversations", params={"limit": 2}).json()
    assert [talk["name"] for talk in first["conversations"]] == ["c3", "c2"]
    say(services, "c2", now + timedelta(hours=9))
    second = client.get("/v1/conversations", params={"limit": 2, "after": first["next"]}).json()
    assert second["conversations"][0]["name"] == "c1"
    assert len(second["conversations"]) == 2


def test_feelings_are_told_by_the_month_and_by_the_week(client: TestClient, services: Services) -> None:
    spoken = client.get("/v1/episodes", params={"person": "Ada"}).json()["episodes"]
    with services.database.transaction() as session:
        tags = [EmotionTag(row["id"], "pride", 4.0 + n, "hand") for n, row in enumerate(spoken)]
        add_tags(session, services.space_id, [*tags, EmotionTag(spoken[0]["id"], "pride", 9.0, "other")])
    told = client.get("/v1/people/Ada/emotions", params={"concept": "pride"}).json()
    assert (told["person"], told["made_of"], told["concepts"]) == ("Ada Lund", "tags", ["pride"])
    assert [(row["from"][:7], row["messages"]) for row in told["buckets"]] == [("2025-03", 2), ("2025-06", 1)]
    assert told["buckets"][0]["emotions"] == {"pride": {"n": 2, "mean": 7.0, "max": 9.0}}
    weeks = client.get("/v1/people/Ada/emotions", params={"by": "week", "known_to": "Marta"}).json()
    assert weeks["buckets"] == []


def test_readings_are_told_of_the_readout_that_serves(
    client: TestClient, services: Services, monkeypatch: pytest.MonkeyPatch, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = write_tiny_readout(tiny_folder, tmp_path / "cache", tmp_path)
    monkeypatch.setattr(services, "settings", replace(services.settings, night=of_base(tiny_folder)))
    monkeypatch.setenv("SLOWWAVE_READOUT_VECTORS", str(folder / VECTORS_FILE))
    monkeypatch.setenv("SLOWWAVE_READOUT_MANIFEST", str(folder / MANIFEST_FILE))
    sha256 = sha256_of(read_files(folder / VECTORS_FILE, folder / MANIFEST_FILE))
    (last,) = client.get("/v1/episodes", params={"newest": True, "limit": 1}).json()["episodes"]
    with services.database.transaction() as session:
        reading = Reading(last["id"], sha256, {"joy": 1.5})
        keep_readings(session, services.space_id, [reading], clock=services.clock)
    told = client.get("/v1/people/Ada/emotions", params={"made_of": "readings"}).json()
    assert told["buckets"][-1]["emotions"] == {"joy": {"n": 1, "mean": 1.5, "max": 1.5}}
    assert client.get("/v1/readouts").json()[0]["serves"]
    assert client.get("/v1/readouts/serving").json()["concepts"] == ["joy", "fear", "pride"]
    assert client.get("/v1/readouts/abcd").status_code == 404
    assert client.get("/v1/readouts/..%2F..").status_code in (404, 422)
    assert {one["direction"] for one in client.get("/v1/directions").json()["concepts"]} > {"joy", "fear"}
    scored = client.post("/v1/readouts/score", json={"texts": ["hooray!", "no"], "use_weights": False}).json()
    assert [set(one["readings"]) for one in scored["texts"]] == [{"joy", "fear", "pride"}] * 2


def of_base(folder: Path) -> NightSettings:
    return NightSettings(base_model=str(folder), train=TrainSettings(dtype="float32"))
