from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx
import pytest
from fastapi.testclient import TestClient

from service.http.application import create_app
from service.settings import Settings
from service.wiring import Services

LOOPBACK = {"Host": "127.0.0.1:7777"}


@pytest.fixture
def filled(slowwave: Any) -> Iterator[TestClient]:
    with (
        Services(Settings(home=slowwave.home)) as services,
        TestClient(create_app(services), headers=LOOPBACK) as client,
    ):
        yield client


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[TestClient]:
    with (
        Services(Settings(home=tmp_path / "fresh")) as services,
        TestClient(create_app(services), headers=LOOPBACK) as client,
    ):
        yield client


def test_a_space_goes_from_one_daemon_to_another(filled: TestClient, fresh: TestClient) -> None:
    answer = filled.get("/v1/export")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    loaded = fresh.post("/v1/load", content=answer.content)
    assert loaded.status_code == 200, loaded.text
    assert loaded.json()["records"]["episode"] == 5
    assert fresh.get("/v1/export").content == answer.content
    facts = "/v1/people/Ada Lund/facts"
    assert fresh.get(facts).json() == filled.get(facts).json() != {"facts": [], "next": None}


def test_an_export_has_vectors_when_asked(filled: TestClient) -> None:
    assert b'"type":"embedding"' not in filled.get("/v1/export").content
    assert b'"type":"embedding"' in filled.get("/v1/export", params={"vectors": True}).content


def test_a_used_space_refuses_a_load(filled: TestClient) -> None:
    whole = filled.get("/v1/export").content
    refused = filled.post("/v1/load", content=whole)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:slowwave:problem:space-in-use")
    assert filled.get("/v1/export").content == whole


def test_a_cut_body_changes_nothing(filled: TestClient, fresh: TestClient) -> None:
    whole, empty = filled.get("/v1/export").content, fresh.get("/v1/export").content
    refused = fresh.post("/v1/load", content=whole[:-100])
    assert refused.status_code == 400
    assert "line" in refused.json()["detail"]
    assert fresh.get("/v1/export").content == empty
    assert fresh.post("/v1/load", content=b"hello").status_code == 415


def test_without_the_token_nothing_goes_out_or_comes_in(slowwave: Any) -> None:
    with Services(Settings(home=slowwave.home)) as services:
        client = TestClient(create_app(services, token="secret"), headers=LOOPBACK)
        assert client.get("/v1/export").status_code == 401
        assert client.post("/v1/load", content=b"").status_code == 401


def test_another_host_is_refused(filled: TestClient) -> None:
    assert filled.post("/v1/load", content=b"", headers={"Host": "evil.example"}).status_code == 403


def test_the_graph_is_given_as_nodes_and_edges(filled: TestClient) -> None:
    data = filled.get("/v1/graph", params={"person": "Ada Lund", "as_of": "2025-04-01"}).json()
    graph = networkx.node_link_graph(json.loads(json.dumps(data)), edges="edges")
    names = {name for _, name in graph.nodes(data="label")}
    assert {"Ada Lund", "Porto"} <= names
    assert "Lagos" not in names
    assert filled.get("/v1/graph", params={"person": "Zed"}).status_code == 404
