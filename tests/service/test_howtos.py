"""Every how-to of docs/howto and the quick start, followed as a reader would, each in a fresh home."""

from __future__ import annotations

import contextlib
import functools
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.wiring import Services
from tests.console_blocks import WRITTEN_ON, Page, Reader, read_page

ROOT = Path(__file__).parents[2]
PAGES = [
    read_page(path)
    for path in (ROOT / "docs" / "quickstart.md", *sorted((ROOT / "docs" / "howto").glob("*.md")))
]
SLOW = "slow"
FIRST = "import examples/family"


def the_day_of_writing() -> datetime:
    """Facts grow stale as years pass, which is no change of the program."""
    now = datetime.now(UTC)
    return now.combine(datetime.fromisoformat(WRITTEN_ON).date(), now.timetz())


@pytest.fixture(scope="module")
def imported_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first page that imports the example leaves for the others to begin with, as most of them do."""
    return tmp_path_factory.mktemp("imported-once")


@pytest.fixture
def reader(
    empty: Any,
    tmp_path: Path,
    imported_once: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Reader]:
    """Somebody in a folder beside `examples`, with a home of their own that is not there yet."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("service.wiring.Services", functools.partial(Services, clock=the_day_of_writing))

    def slowwave(command: str) -> tuple[int, str]:
        if command == FIRST and not empty.home.exists() and (imported_once / "home").exists():
            shutil.copytree(imported_once / "home", empty.home)
            return 0, (imported_once / "printed").read_text(encoding="utf-8")
        is_first = command == FIRST and not empty.home.exists()
        outcome = empty(*shlex.split(command))
        printed = outcome.out + outcome.err
        if is_first:
            shutil.copytree(empty.home, imported_once / "home")
            (imported_once / "printed").write_text(printed, encoding="utf-8")
        return outcome.code, printed

    with contextlib.ExitStack() as daemons:
        serve = lambda: daemons.enter_context(daemon(tmp_path / "daemon.log"))  # noqa: E731
        # an address at which nobody answers stands for the server of a language model
        addresses = {"http://127.0.0.1:8000": "http://127.0.0.1:9"}
        yield Reader(slowwave, serve, tmp_path, empty.home / "config.toml", addresses)


@contextlib.contextmanager
def daemon(log: Path) -> Iterator[str]:
    """`slowwave serve` on a free port; gives its address."""
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--port", "0"], cwd=ROOT, stderr=stderr
        )
    try:
        deadline = time.monotonic() + 240
        while not (found := re.search(r"listening on (http://\S+:\d+)", log.read_text())):
            assert time.monotonic() < deadline, "the daemon did not come up"
            assert process.poll() is None, "the daemon ended"
            time.sleep(0.05)
        yield found[1]
    finally:
        process.terminate()
        process.wait(240)


def marked(page: Page) -> Any:
    return pytest.param(page, id=page.path.stem, marks=[pytest.mark.slow] if SLOW in page.asides else [])


@pytest.mark.parametrize("page", [marked(page) for page in PAGES])
def test_a_how_to_prints_what_it_shows(
    page: Page, reader: Reader, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fixture in page.asides.get("needs", "").split():
        request.getfixturevalue(fixture)
    if "the persona says" in page.asides:
        script = reader.folder / "script.txt"
        script.write_text(page.asides["the persona says"], encoding="utf-8")
        monkeypatch.setenv("SLOWWAVE_PERSONA__ENGINE", "scripted")
        monkeypatch.setenv("SLOWWAVE_PERSONA__SCRIPT", str(script))
    reader.follow(page)
