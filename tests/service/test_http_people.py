"""People over HTTP: the same shapes as the command line."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.http.application import create_app
from service.settings import Settings
from service.wiring import Services


@pytest.fixture
def client(imported: Path, tmp_path: Path) -> Iterator[TestClient]:
    shutil.copytree(imported, tmp_path / "home")
    with Services(Settings(home=tmp_path / "home")) as services:
        yield TestClient(create_app(services), base_url="http://127.0.0.1:7777")


def test_the_card_is_served_as_json_and_as_a_page(client: TestClient) -> None:
    card = client.get("/v1/people/Ada").json()
    assert (card["name"], card["messages"]["count"], card["consent"]) == ("Ada Lund", 3, False)
    page = client.get("/v1/people/Ada", params={"format": "html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "<svg" in page.text
    assert client.get("/v1/people/Ada", params={"known_to": "Marta"}).json()["facts"] == {}
    assert client.get("/v1/people/Ada", params={"format": "pdf"}).status_code == 422
    assert client.get("/v1/people/Zed").status_code == 404


def test_relations_are_served_from_both_sides(client: TestClient) -> None:
    (back,) = client.get("/v1/people/Marta/relations").json()
    assert (back["predicate"], back["object"]) == ("sibling", "Ada Lund")


def test_names_are_given_taken_and_changed(client: TestClient) -> None:
    made = client.post("/v1/people/Ada/aliases", json={"name": "Addie"})
    assert (made.status_code, made.json()["aliases"]) == (201, ["Addie"])
    assert client.post("/v1/people/Ada/aliases", json={"name": "Bo Rask"}).status_code == 409
    assert client.delete("/v1/people/Ada/aliases/Addie").json()["aliases"] == []
    assert client.delete("/v1/people/Ada/aliases/Addie").status_code == 404
    assert client.put("/v1/people/Marta/name", json={"name": "Marta Lund"}).json()["aliases"] == ["Marta"]


def test_a_name_may_hold_a_slash(client: TestClient) -> None:
    assert client.put("/v1/people/Marta/name", json={"name": "Marta / Mum"}).status_code == 200
    for path in ("Marta%20%2F%20Mum", "Marta%20%2f%20Mum"):
        assert client.get(f"/v1/people/{path}").json()["name"] == "Marta / Mum"
        assert len(client.get(f"/v1/people/{path}/relations").json()) == 1
    assert client.get("/v1/people/Marta / Mum").status_code == 404
    assert client.get("/v1%2Fpeople").status_code == 404


def test_two_people_are_merged_and_parted(client: TestClient) -> None:
    wanted = {"kept": "Ada", "other": "Bo"}
    assert client.post("/v1/merges", json=wanted).status_code == 409
    tried = client.post("/v1/merges", json={**wanted, "force": True, "dry_run": True}).json()
    assert (tried["merge"], tried["moved"]["episode"]) == (None, 2)
    merge_id = client.post("/v1/merges", json={**wanted, "force": True}).json()["merge"]
    assert [row["merge"] for row in client.get("/v1/merges").json()["merges"]] == [merge_id]
    assert len(client.get("/v1/people").json()["people"]) == 2
    assert [one["name"] for one in client.delete(f"/v1/merges/{merge_id}").json()] == ["Ada Lund", "Bo Rask"]
    assert client.delete(f"/v1/merges/{merge_id}").status_code == 409
    assert client.delete("/v1/merges/0000").status_code == 404


def test_duplicates_are_suggested(client: TestClient) -> None:
    assert client.get("/v1/duplicates").json() == []
    client.put("/v1/people/Marta/name", json={"name": "Adda Lund"})
    assert client.get("/v1/duplicates").json()[0]["reasons"] == ["names one letter apart"]
