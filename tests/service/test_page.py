"""The page's files as they are served, and the map that it draws."""

from __future__ import annotations

import gzip
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from memory.graph_map import graph_map
from service.http.application import create_app
from service.http.front import page
from service.settings import Settings
from service.wiring import Services
from tests.service.test_http import call

ROOT = Path(__file__).parents[2]
FILES = sorted(path for path in (ROOT / "service" / "page").rglob("*") if path.is_file())
FIRST_LOAD = ("index.html", "page.css", "app.js", "api.js", "dom.js", "ui.js", "icon.svg", "views/people.js")
MOST_BYTES = 80_000  # of the first load, uncompressed


@pytest.fixture(scope="module")
def services(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    import shutil

    home = tmp_path_factory.mktemp("page") / "home"
    shutil.copytree(imported, home)
    with Services(Settings(home=home)) as opened:
        yield opened


@pytest.fixture(scope="module")
def app(services: Services) -> FastAPI:
    return create_app(services)


def test_the_page_names_its_files_by_their_hash_and_is_asked_for_again(app: FastAPI) -> None:
    answer = call(app, "GET", "/")
    assert answer.headers["cache-control"] == "no-cache"
    assert f'src="/page/{page.version}/app.js"' in answer.text
    again = call(app, "GET", "/", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_file_of_the_page_may_be_kept_for_ever_and_comes_compressed(app: FastAPI) -> None:
    path = f"/page/{page.version}/views/people.js"
    answer = call(app, "GET", path)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["content-encoding"] == "gzip"
    plain = call(app, "GET", path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == answer.text == (ROOT / "service/page/views/people.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", ["0/app.js", "{v}/nothing.js", "{v}/..%2fhttp.py", "{v}//etc/passwd"])
def test_nothing_but_the_pages_own_files_is_served(app: FastAPI, path: str) -> None:
    answer = call(app, "GET", "/page/" + path.replace("{v}", page.version))
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_every_file_is_packaged() -> None:
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    assert {f"*{path.suffix}" for path in FILES} <= set(packaged)


def test_no_file_holds_inline_script_or_style_reads_text_as_markup_or_names_another_place() -> None:
    for path in FILES:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path
        assert not re.search(r"https?://|@import|url\(", text), path
        if path.suffix == ".html":
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)


def test_the_first_load_is_small() -> None:
    sizes = {name: len(page.find(name).body) for name in FIRST_LOAD if page.find(name) is not None}
    assert sizes.keys() == set(FIRST_LOAD)
    assert sum(sizes.values()) < MOST_BYTES
    assert (
        sum(len(gzip.compress((ROOT / "service/page" / name).read_bytes())) for name in FIRST_LOAD) < 25_000
    )


def test_the_routes_that_the_page_asks_for_are_those_of_the_daemon(app: FastAPI) -> None:
    known = set(call(app, "GET", "/page/routes").json())
    assert {"GET /v1/people", "POST /v1/ask", "GET /v1/graph/map"} <= known
    for path in FILES:
        wanted = set(re.findall(r'"((?:GET|POST|PUT|DELETE) /v1/[^"]+)"', path.read_text(encoding="utf-8")))
        assert wanted <= known, path.name


def test_the_map_holds_everybody_once_with_their_links_and_is_the_same_every_time(
    app: FastAPI, services: Services
) -> None:
    found = call(app, "GET", "/v1/graph/map").json()
    nodes, links = found["nodes"], found["links"]
    assert {"Ada Lund", "Bo Rask", "Marta"} <= set(nodes["label"])
    assert len(set(nodes["label"])) == len(nodes["label"]) == len(nodes["x"]) == len(nodes["kind"])
    told = {
        (nodes["label"][source], found["predicates"][what], nodes["label"][target])
        for source, target, what in zip(links["source"], links["target"], links["what"], strict=True)
    }
    assert ("Ada Lund", "sister", "Marta") in told
    assert graph_map(services.database, services.space_id).as_json() == found


def test_the_map_of_nothing_is_empty(tmp_path: Path) -> None:
    with Services(Settings(home=tmp_path)) as empty:
        found = graph_map(empty.database, empty.space_id).as_json()
    assert found["nodes"]["label"] == found["links"]["source"] == []
