"""The documents hold what the program has: commands, parameters, settings, JSON; and what they point at is there.

Routes are looked for in tests/service/test_http.py, tools of MCP in tests/service/test_mcp.py.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from service.api_reference import description, reference
from service.settings import Settings
from tests.cli_commands import every_command

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FOLDERS = (
    "db",
    "memory",
    "agents",
    "consolidation",
    "simulator",
    "service",
    "bench",
    "tests",
    "docs",
    "examples",
)

_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(
    rf"(?<![\w./-])((?:{'|'.join(FOLDERS)})/[\w./-]*\w\.(?:py|md|toml|json|html|sh|txt|tsv))\b"
)


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def commands() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, command in every_command():
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", child) for inner, child in command.commands.items()]
        if not isinstance(command, click.Group) or command.invoke_without_command:
            found.append((name, command))
    return found


@functools.cache
def openapi() -> dict[str, Any]:
    return description()


def settings(of: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    for one in fields(of):
        value = getattr(of, one.name)
        if is_dataclass(value):
            yield from settings(value, f"{before}{one.name}.")
        elif one.name != "home":
            yield before + one.name, value


@pytest.mark.parametrize(
    ("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_is_documented_and_says_what_it_does(name: str, command: click.Command) -> None:
    assert f"`slowwave {name}" in read("commands.md")
    assert command.help


def test_every_command_that_prints_json_has_its_shape_documented() -> None:
    text = read("json.md")
    printing = [name for name, command in commands() if any("--json" in one.opts for one in command.params)]
    # a row may name several: `slowwave fact add ... --json`, `correct`, `end`
    missing = [name for name in printing if not re.search(rf"`[^`]*\b{name.split()[-1]}\b[^`]*`", text)]
    assert missing == []


def test_the_reference_of_http_is_what_the_application_says() -> None:
    assert read("api.md") == reference(openapi()), "run python -m service.api_reference > docs/api.md"


def test_every_setting_is_documented_with_its_default() -> None:
    text = read("settings.md")
    missing = [
        key
        for key, value in settings(Settings(home=Path("home")))
        if f"| `{key}` | `{as_toml(value)}` |" not in text
    ]
    assert missing == []


def as_toml(value: Any) -> str:
    if value is None or value == ():
        return "none" if value is None else "[]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere_and_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [link for link in _LINK.findall(_FENCED.sub("", text)) if not leads_somewhere(page, link)] == []
    if "adr" not in page.parts:  # a decision may tell of what has gone since
        assert [name for name in _FILE.findall(text) if not (ROOT / name).exists()] == []


def test_the_index_leads_to_every_page() -> None:
    linked = set(_LINK.findall(read("README.md")))
    pages = (path.relative_to(DOCS).as_posix() for path in (*DOCS.glob("*.md"), *DOCS.glob("howto/*.md")))
    assert [page for page in pages if page not in linked | {"README.md"}] == []


def leads_somewhere(page: Path, link: str) -> bool:
    if re.match(r"[a-z]+:", link):
        return True
    target, _, anchor = link.partition("#")
    path = (page.parent / target).resolve() if target else page
    if not anchor or path.suffix != ".md":
        return path.exists()
    return path.exists() and anchor in anchors(path)


@functools.cache
def anchors(path: Path) -> set[str]:
    """As GitHub makes them: lower case, blanks to hyphens, neither points nor marks."""
    text = _FENCED.sub("", path.read_text(encoding="utf-8"))
    kept = (
        "".join(
            letter
            for letter in heading.lower().replace(" ", "-")
            if letter in "-_" or unicodedata.category(letter)[0] in "LN"
        )
        for heading in _HEADING.findall(text)
    )
    return set(kept)
