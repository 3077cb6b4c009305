"""An encrypted home as people use it: a daemon's day and night on it, then every byte of its folder; and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from db import sealing
from memory.sealed import homes
from memory.sealed.keys import HomeKey
from service.encryption import encrypt, opened
from service.errors import EXPECTED
from service.jobs.uploads import About, Spool
from service.settings import Settings, load_settings
from service.wiring import Services
from tests.service.conftest import FEW_STEPS, OPEN_GATE, SAID, Program, write_chat
from tests.service.test_daemon import daemon

ROOT = Path(__file__).parents[2]
KEY, OTHER = bytes(range(32)).hex(), bytes(range(1, 33)).hex()
# each word is said in one way alone, so that a leak tells where from
WORDS = {
    "a message": "quokkaberg",
    "a fact": "zanzibarine",
    "a turn of a chat": "flumadiddle",
    "an upload": "brobdignagian",
    "a name": "Wilhelmxina",
}
HEADERS = (
    b"SQLite format 3",
    b"PK\x03\x04",
    b"data_offsets",
    b"\x93NUMPY",
    b"<html",
    b"-----BEGIN",
    b'"text"',
)


@dataclass
class Told:
    """A home on which a daemon had a day and a night, shut."""

    place: Path
    environ: dict[str, str]
    published: bool
    env_of_children: str


@pytest.fixture(scope="module")
def told(talkative: Path, tmp_path_factory: pytest.TempPathFactory) -> Told:
    place = tmp_path_factory.mktemp("encrypted") / "home"
    chat = write_chat(
        place.parent / "chat.jsonl",
        (*SAID, ("2025-06-06T10:00:00", "Bo Rask", f"The {WORDS['a message']} ferry is late.")),
    )
    environ = {
        "SLOWWAVE_NIGHT__BASE_MODEL": str(talkative),
        **{f"SLOWWAVE_NIGHT__GATE__{name}": value for name, value in OPEN_GATE.items()},
        **{f"SLOWWAVE_NIGHT__TRAIN__{name}": value for name, value in FEW_STEPS.items()},
    }
    homes.make(place, HomeKey(bytes.fromhex(KEY)))
    with daemon(place, SLOWWAVE_KEY=KEY, **environ) as running:
        folder = homes.folder_in_memory(place)
        assert folder is not None
        _day(running, chat)
        children, run = _night(running)
        upload = running.post("/v1/imports?preview=true", content=_more(chat))
        assert upload.status_code == 200, upload.text
        assert running.end() == 0
        assert not folder.exists()
    (place / "daemon.log").rename(place.parent / "daemon.log")
    return Told(place, environ, run["published"], children)


def _day(running: Any, chat: Path) -> None:
    job = running.post("/v1/imports", content=chat.read_bytes(), params={"name": "chat.jsonl"})
    while (seen := running.get(job.headers["location"]).json())["state"] not in ("done", "failed"):
        time.sleep(0.1)
    assert seen["state"] == "done", seen
    for path, body in {
        "/v1/facts": {"person": "Bo Rask", "predicate": "likes", "object": WORDS["a fact"]},
        "/v1/people/Ada Lund/consent": {"by": WORDS["a name"]},
        "/v1/chat": {
            "person": "Ada Lund",
            "as": "Bo Rask",
            "text": f"Is the {WORDS['a turn of a chat']} here?",
        },
        "/v1/ask": {"question": "Where does Ada live?"},
    }.items():
        answer = running.post(path, json=body)
        assert answer.status_code < 300, (path, answer.text)


def _night(running: Any) -> tuple[str, dict[str, Any]]:
    """What the environments of the daemon's children held while it ran, and how it ended."""
    run_id = running.post("/v1/sleep").json()["run"]
    seen = ""
    while (run := running.get(f"/v1/runs/{run_id}").json())["status"] == "running":
        seen += _environments(running.process.pid)
        time.sleep(0.2)
    assert run["status"] == "done", run
    assert "slowwave-" in seen  # TMPDIR: children were seen
    return seen, run


def _environments(pid: int) -> str:
    found = ""
    with suppress(OSError):  # it has ended
        of_threads = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
        for child in " ".join(of_threads).split():
            found += Path(f"/proc/{child}/environ").read_text() + _environments(int(child))
    return found


def _more(chat: Path) -> bytes:
    row = {"time": "2025-08-01T10:00:00", "speaker": "Bo Rask", "text": f"a {WORDS['an upload']} wave"}
    return chat.read_bytes() + b"\n" + json.dumps(row).encode()


@pytest.fixture(scope="module")
def small(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain home with a chat and an upload, made an encrypted one. To be copied, not changed."""
    old, new = tmp_path_factory.mktemp("plain") / "home", tmp_path_factory.mktemp("small") / "home"
    shutil.copytree(imported, old)
    key = HomeKey(bytes.fromhex(KEY))
    encrypt(Settings(home=old), new, key)
    with opened(Settings(home=new), key) as settings, Services(settings) as services:
        said = (("2025-06-06T10:00:00", "Bo Rask", f"The {WORDS['a message']} ferry is late."),)
        services.import_file(write_chat(old / "more.jsonl", said))
        services.index.refresh()
        receiving = Spool(settings.home, services.space_id, spool_mb=10).receive()
        receiving.write(_more(old / "more.jsonl"))
        receiving.finish(About(f"{WORDS['a name']}.jsonl"))
    return new


@pytest.fixture
def sealed(small: Path, empty: Program, monkeypatch: pytest.MonkeyPatch) -> Program:
    """`slowwave` on a copy of that home, with its key at hand."""
    shutil.copytree(small, empty.home)
    monkeypatch.setenv("SLOWWAVE_KEY", KEY)
    return empty


def every_file(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def leaks(files: dict[str, bytes]) -> list[tuple[str, str]]:
    told = {what: word.encode() for what, word in WORDS.items()}
    return [
        (name, what)
        for name, content in files.items()
        for what, word in told.items()
        if word.lower() in content.lower() or word in name.encode()
    ]


def prove_that_nothing_is_told(home: Path) -> None:
    files = every_file(home)
    assert len(files) > 20
    assert leaks(files) == []
    private = {name: content for name, content in files.items() if not name.startswith("cache/")}
    assert [(name, head) for name, content in private.items() for head in HEADERS if head in content] == []
    assert {name.split("/")[0] for name in files} <= {
        "cache",
        "encrypted.json",
        "graph.db",
        "sealed",
        ".gate",
        ".session",
        ".users",
    }
    assert KEY.encode() not in b"".join(files.values())


def inside_of(settings: Settings) -> dict[str, bytes]:
    """What lies on the disk, as it is inside; the pages of the store with it."""
    home = homes.opened_at(settings.home)
    assert home is not None
    found = {name: stream.read() for name, stream in home.contents()}
    pages = sealing.pages(home.place / "graph.db")
    return found | {f"page {number}": page for number, page in enumerate(pages)}


def test_no_byte_of_an_encrypted_home_tells_what_it_holds(sealed: Program) -> None:
    prove_that_nothing_is_told(sealed.home)
    with opened(load_settings()) as settings:
        inside = inside_of(settings)
    assert {name.split("/")[0] for name in inside} >= {"index", "uploads", "page 0"}
    assert {what for _, what in leaks(inside)} == {"a message", "an upload", "a name"}


@pytest.mark.slow
def test_a_day_and_a_night_of_a_daemon_leave_no_word_in_the_clear(told: Told) -> None:
    assert told.published
    prove_that_nothing_is_told(told.place)
    with opened(Settings(home=told.place), HomeKey(bytes.fromhex(KEY))) as settings:
        inside = inside_of(settings)
    assert {name.split("/")[0] for name in inside} >= {"index", "runs", "adapters", "recipes", "uploads"}
    assert {what for _, what in leaks(inside)} == set(WORDS)


@pytest.mark.slow
def test_its_daemon_hands_the_key_to_no_child_and_no_log(told: Told) -> None:
    assert KEY not in told.env_of_children
    log = (told.place.parent / "daemon.log").read_text()
    assert KEY not in log
    assert leaks({"": log.encode()}) == []


def test_everything_works_on_it(sealed: Program, tmp_path: Path) -> None:
    assert sealed("verify", "--quick").out.startswith("sound: ")
    assert "Lagos" in sealed("ask", "Where does Ada live?").out
    assert sealed("status", "--json").json["spaces"][0]["space"] == "default"
    findings = {one["check"]: one for one in sealed("doctor", "--json").json}
    assert findings["encryption"]["says"] == "the home is encrypted and its key opens it"
    assert findings["extra encrypted"]["severity"] == "ok"
    assert [one for one in sealed("config", "check", "--json").json if one["severity"] == "wrong"] == []
    assert sealed("path").out.strip() == str(sealed.home)
    assert os.environ["SLOWWAVE_KEY"] == KEY
    assert leaks(every_file(sealed.home)) == []


def test_what_leaves_it_in_the_clear_says_so(sealed: Program, tmp_path: Path) -> None:
    done = sealed("export", tmp_path / "out.jsonl")
    assert f"{tmp_path / 'out.jsonl'} is plain: the home is encrypted, this is not" in done.err
    assert "leave it by no path; `slowwave serve` shows them" in sealed("sleep", "report", "--path").refusal


COMMANDS = (
    ("people",),
    ("ask", "Where?"),
    ("status",),
    ("verify",),
    ("backup", "b.zip"),
    ("serve",),
    ("restore",),
)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("SLOWWAVE_ENCRYPTION__KEY_ENV", "NOWHERE", "its key is not there; set NOWHERE, or"),
        ("SLOWWAVE_KEY", OTHER, "was encrypted with another key; give the one it was made with"),
        ("SLOWWAVE_KEY", "words", "SLOWWAVE_KEY is no key that can be used: it takes 64 hex digits"),
        ("SLOWWAVE_ENCRYPTION__KEY_FILE", "/nowhere/key", "/nowhere/key is no key that can be used"),
        ("SLOWWAVE_ENCRYPTION__MEMORY_FOLDER", "/proc", "which is a disk; set encryption.memory_folder"),
        ("SLOWWAVE_DATABASE_URL", "postgresql://x@127.0.0.1/y", "an encrypted home has its own; unset it"),
    ],
)
def test_without_its_key_nothing_is_opened_and_nothing_touched(
    sealed: Program, monkeypatch: pytest.MonkeyPatch, chat: Path, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    before = every_file(sealed.home)
    for command in COMMANDS:
        arguments = (*command, chat) if command == ("restore",) else command
        assert said in sealed(*arguments).refusal, command
    assert every_file(sealed.home) == before


def test_doctor_and_config_check_say_that_the_key_is_another(
    sealed: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOWWAVE_KEY", OTHER)
    found = {one["check"]: one for one in json.loads(sealed("doctor", "--json").out)}
    assert "was encrypted with another key" in found["encryption"]["says"]
    found = sealed("config", "check")
    assert found.code == 1
    assert "wrong: the settings: encryption.key_env:" in found.out


def test_one_flipped_bit_in_any_sealed_file_keeps_the_home_shut(sealed: Program) -> None:
    settings = load_settings()
    for path in sorted((sealed.home / "sealed").glob("??/*")):
        whole = path.read_bytes()
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        with pytest.raises(EXPECTED, match="is damaged or was changed; restore the home from a backup"):
            opened(settings).__enter__()
        path.write_bytes(whole)
    path.write_bytes(whole[:-1])
    assert "is damaged or was changed" in sealed("people").refusal


def test_a_flipped_bit_in_the_store_is_refused(sealed: Program) -> None:
    stored = bytearray((sealed.home / "graph.db").read_bytes())
    stored[3000] ^= 1
    (sealed.home / "graph.db").write_bytes(stored)
    assert "cannot be used" in sealed("people").refusal


def test_a_store_without_its_marker_is_no_plain_store(sealed: Program) -> None:
    (sealed.home / "encrypted.json").unlink()
    assert "file is not a database" in sealed("people").refusal


def test_no_part_of_slowwave_opens_it_around_the_key(small: Path) -> None:
    with pytest.raises(EXPECTED, match="is encrypted; open it with the key"):
        Services(Settings(home=small))


def test_a_backup_is_sealed_and_becomes_an_encrypted_home_again(
    sealed: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, moved = tmp_path / "b.sealed", tmp_path / "moved"
    assert sealed("backup", file).code == 0
    content = file.read_bytes()
    assert content.startswith(b"slowwave sealed 1\n")
    assert leaks({"": content}) == []
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "note").write_text("x")
    assert "is sealed and" in sealed("restore", file, "--into", plain).refusal
    monkeypatch.setenv("SLOWWAVE_KEY", OTHER)
    assert (
        "is damaged or was changed, or sealed with another key"
        in sealed("restore", file, "--into", moved).line
    )
    assert not moved.exists()
    monkeypatch.setenv("SLOWWAVE_KEY", KEY)
    (tmp_path / "bad").write_bytes(content[:-400] + bytes([content[-400] ^ 1]) + content[-399:])
    assert "is damaged" in sealed("restore", tmp_path / "bad", "--into", moved).line
    assert sealed("restore", file, "--into", moved).code == 0
    assert leaks(every_file(moved)) == []
    assert sealed("--home", moved, "verify", "--quick").out.startswith("sound: ")


def test_what_is_erased_is_in_no_page_and_no_sealed_file(sealed: Program) -> None:
    done = sealed("forget", "person", "Bo Rask", "--yes", "--leave-weights", "--json").json
    assert done["scan"]["clean"]
    assert done["scan"]["files"] > 20
    with opened(load_settings()) as settings:
        assert leaks(inside_of(settings)) == []


def test_a_plain_home_becomes_an_encrypted_one_and_back(
    slowwave: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, plain, key = tmp_path / "new", tmp_path / "plain", tmp_path / "key"
    (slowwave.home / "config.toml").write_text('timezone = "Europe/Lisbon"\n')
    before = slowwave.rows()
    told = slowwave("encrypt", "--to", new, "--new-key", key, "--json").json
    assert told == {"home": str(new), "rows": told["rows"], "files": 0, "old": str(slowwave.home)}
    assert slowwave.rows() == before
    assert "is encrypted already" in slowwave("--home", new, "encrypt", "--to", tmp_path / "x").line
    monkeypatch.setenv("SLOWWAVE_ENCRYPTION__KEY_FILE", str(key))
    assert "Lisbon" in (new / "config.toml").read_text()
    assert "holds something already" in slowwave("encrypt", "--to", new).line
    assert slowwave("--home", new, "decrypt", "--to", plain).code == 0
    after = Program(plain, slowwave.monkeypatch, slowwave.capfd).rows()
    assert {name: rows for name, rows in after.items() if name in ("node", "episode", "fact")} == {
        name: rows for name, rows in before.items() if name in ("node", "episode", "fact")
    }


def test_a_plain_home_imports_nothing_of_it(slowwave: Program) -> None:
    script = (
        "import sys; from service.cli import main; sys.argv = ['slowwave', 'people'];\n"
        "try: main()\nfinally: print(sorted({'sqlcipher3', 'cryptography', 'service.encryption'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script]
    assert subprocess.check_output(command, text=True, cwd=ROOT).strip().endswith("[]")


INITIALIZE = b"""{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",\
"capabilities":{},"clientInfo":{"name":"a test","version":"1"}}}
"""


def test_a_terminated_command_seals_what_it_holds(sealed: Program) -> None:
    command = [sys.executable, "-m", "service", "mcp"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        running.stdin.write(INITIALIZE)
        running.stdin.flush()
        assert b"serverInfo" in running.stdout.readline()
        folder = homes.folder_in_memory(sealed.home)
        assert folder is not None
        running.send_signal(signal.SIGTERM)
        running.wait(30)
    assert not folder.exists()
