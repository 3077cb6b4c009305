"""The command line as a person runs it: a home with a small chat in it, and what a command prints and returns."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from memory.matching import warm
from service.cli import main
from service.settings import Settings, load_settings
from service.wiring import Services
from tests.made_recipes import base_of, linear_shapes, make_vector

ROOT = Path(__file__).parents[2]
SAID = (
    ("2025-03-01T10:00:00", "Ada Lund", "I live in Porto."),
    ("2025-03-02T10:00:00", "Bo Rask", "I work at the harbour office."),
    ("2025-03-03T10:00:00", "Ada Lund", "My sister Marta lives in Faro."),
    ("2025-03-05T10:00:00", "Bo Rask", "I am so happy about the new boat!"),
    ("2025-06-05T10:00:00", "Ada Lund", "I moved to Lagos last week."),
)

TURN = {  # what every entrance tells of a turn
    "reply",
    "status",
    "session",
    "turn",
    "mood",
    "deliberation",
    "draws",
    "objections",
    "facts",
    "readouts",
    "heard",
    "recipe",
    "left_to_weights",
    "steering",
    "claims",
    "notices",
    "simulated",
}

OPEN_GATE = {
    "MIN_RECALL_PARAPHRASE": "0",
    "MAX_PPL_CHANGE": "1e9",
    "MAX_KL_TO_BASE": "1e9",
    "MAX_EARLIER_LOSS": "1",
    "MIN_NEIGHBOUR_INTACT": "0",
    "MIN_UNKNOWN_REFUSED": "0",
    "MAX_STALE_ANSWERED": "1",
}
FEW_STEPS = {"STEPS": "2", "RANK": "2", "ALPHA": "4", "KL_PER_STEP": "0", "DTYPE": "float32"}


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """The one line on stderr, after checking that it is one and holds nobody's words."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("slowwave: ")
        assert not any(text in self.err for _, _, text in SAID)
        return lines[0].removeprefix("slowwave: ")

    @property
    def refusal(self) -> str:
        assert self.code == 1, self.err
        assert self.out == ""
        return self.line


@dataclass
class Program:
    """`slowwave` on a home of its own. Calling it runs a command in this process, through the program's `main`."""

    home: Path
    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]

    def __call__(self, *arguments: object) -> Outcome:
        self.monkeypatch.setattr(sys, "argv", ["slowwave", *map(str, arguments)])
        self.capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = self.capfd.readouterr()
        return Outcome(code, printed.out, printed.err)

    def process(self, *arguments: object, python: tuple[str, ...] = (), **options: Any) -> Outcome:
        """The same as a process of its own."""
        command = [sys.executable, *python, "-m", "service", *map(str, arguments)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        done = subprocess.run(command, text=True, timeout=240, cwd=ROOT, **options)
        return Outcome(done.returncode, done.stdout or "", done.stderr)

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of the store but of the audit log, by table; nothing where there is no store."""
        path = self.home / "graph.db"
        if not path.exists():
            return {}
        with closing(sqlite3.connect(path)) as store:
            every = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'act' ORDER BY 1"
            found = store.execute(every).fetchall()
            return {
                name: sorted(store.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for (name,) in found
            }


def write_chat(path: Path, said: tuple[tuple[str, str, str], ...] = SAID) -> Path:
    rows = [{"time": time, "speaker": speaker, "text": text} for time, speaker, text in said]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home into which the chat above was imported and read. To be copied, not changed."""
    folder = tmp_path_factory.mktemp("imported")
    with Services(Settings(home=folder)) as services:
        services.import_file(write_chat(folder / "chat.jsonl"))
        services.index.refresh()
        warm(services.index)  # so that copies of the home have it
    return folder


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with nothing in its store. To be copied, not changed."""
    folder = tmp_path_factory.mktemp("bare")
    Services(Settings(home=folder)).close()
    return folder


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Program:
    """A home that is not there yet."""
    for name in [name for name in os.environ if name.startswith("SLOWWAVE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SLOWWAVE_HOME", str(tmp_path / "home"))
    return Program(tmp_path / "home", monkeypatch, capfd)


@pytest.fixture
def slowwave(empty: Program, imported: Path) -> Program:
    """A home with the chat above."""
    shutil.copytree(imported, empty.home)
    return empty


@pytest.fixture
def chat(imported: Path) -> Path:
    """The file of the chat above."""
    return imported / "chat.jsonl"


@pytest.fixture
def more(tmp_path: Path) -> Path:
    """A chat of 3000 further messages, in which nothing is to be learnt."""
    said = tuple(
        (f"2025-07-01T{i // 60 % 24:02}:{i % 60:02}:00", "Bo Rask", f"well, number {i}") for i in range(3000)
    )
    return write_chat(tmp_path / "more.jsonl", said)


@pytest.fixture
def tiny_nights(monkeypatch: pytest.MonkeyPatch, talkative: Path, empty: Any) -> None:
    monkeypatch.setenv("SLOWWAVE_NIGHT__BASE_MODEL", str(talkative))
    for name, value in OPEN_GATE.items():
        monkeypatch.setenv(f"SLOWWAVE_NIGHT__GATE__{name}", value)
    for name, value in FEW_STEPS.items():
        monkeypatch.setenv(f"SLOWWAVE_NIGHT__TRAIN__{name}", value)


@pytest.fixture
def told_vectors(
    slowwave: Program, talkative: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Program:
    """The home with the chat, and beside it the folders `one`, `two` and `three` with vectors that were trained elsewhere."""
    monkeypatch.setenv("SLOWWAVE_NIGHT__BASE_MODEL", str(talkative))
    (slowwave.home / "chat.jsonl").unlink()
    with Services(load_settings()) as services:
        base = base_of(services.model_spec())
    for seed, name in enumerate(("one", "two", "three"), 1):
        make_vector(base, seed, linear_shapes(talkative), scale=0.01).save(tmp_path / name)
    return slowwave


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def slept(slowwave: Any, tiny_nights: None, kept: Path) -> Any:
    """A home after one published night; `night` is what the command printed. The first test that asks pays for it."""
    if not (kept / "home").exists():
        done = slowwave("sleep", "--json", "--seed", "1")
        assert done.code == 0, done.err
        (kept / "night.json").write_text(done.out)
        shutil.copytree(slowwave.home, kept / "home")
    shutil.rmtree(slowwave.home)
    shutil.copytree(kept / "home", slowwave.home)
    return slowwave
