"""The child that reads uploads: what it gives is what the importers give, and what it may use is bounded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from memory.errors import BrokenExport, ExportTooCostly, UnknownFormat
from memory.exchange.notes import Notebook
from memory.importers.files import Meter
from memory.importing import open_export
from memory.parsing import child, lines
from memory.parsing.limits import Asked, Limits
from memory.parsing.parsed import ParsedChats, open_parsed
from memory.ports import utc_now

FIXTURES = Path(__file__).parents[1] / "fixtures"
MEMORY = (
    '{"type":"entity","name":"Ada","entityType":"person","observations":["rows"]}\n'
    '{"type":"relation","from":"Ada","to":"Faro","relationType":"visits"}\n'
)


def asked(path: Path, **limits: Any) -> Asked:
    return Asked(str(path), path.name, now=utc_now().isoformat(), limits=Limits(**limits))


def read(path: Path, folder: Path, **limits: Any) -> Path:
    scratch, records = folder / "scratch", folder / "records"
    scratch.mkdir(exist_ok=True)
    child.read(asked(path, **limits), records, scratch)
    return records


@pytest.mark.parametrize("name", ["ios_group.txt", "telegram_all.json", "lines.jsonl"])
def test_what_a_child_reads_is_what_the_importers_read(name: str, tmp_path: Path) -> None:
    found = open_parsed(read(FIXTURES / name, tmp_path), name, "digest")
    assert isinstance(found, ParsedChats)
    export = open_export(FIXTURES / name)
    assert list(found.rows()) == list(export.rows())
    assert (found.kind, found.notes, found.sha256()) == (export.kind, export.notes, "digest")


def test_another_programs_memory_comes_back_whole(tmp_path: Path) -> None:
    path = tmp_path / "memory.jsonl"
    path.write_text(MEMORY)
    found = open_parsed(read(path, tmp_path), path.name, "digest")
    assert isinstance(found, Notebook)
    assert found.people == ("Ada",)
    assert [(item.subject, item.object) for item in found.relations] == [("Ada", "Faro")]


def test_what_is_no_export_is_told_by_class_without_its_name(tmp_path: Path) -> None:
    path = tmp_path / "Ada Lund.txt"
    path.write_text("nothing")
    with pytest.raises(UnknownFormat, match="the upload is no export"):
        read(path, tmp_path)
    assert not (tmp_path / "records").exists()


def test_memory_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "wide.json"
    path.write_bytes(
        b'{"name":"a","type":"personal_chat","id":1,"messages":[{"id":1,"text":[' + b"{}," * (6 << 20)
    )
    with pytest.raises(ExportTooCostly, match="memory"):
        read(path, tmp_path, memory_bytes=256 << 20)


def test_names_files_and_what_is_written_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    row = {"time": "2025-03-12T18:03:00Z", "text": "a"}
    path.write_text("\n".join(json.dumps({**row, "speaker": f"P{number}"}) for number in range(50)))
    with pytest.raises(ExportTooCostly, match="names more than 20"):
        read(path, tmp_path, n_names=20)
    with pytest.raises(ExportTooCostly, match="room on the disk"):
        read(path, tmp_path, written_bytes=1000)


def test_time_is_bounded_and_nothing_runs_on(tmp_path: Path) -> None:
    path = tmp_path / "endless"
    os.mkfifo(path)  # opening it waits for ever
    begun = time.monotonic()
    with pytest.raises(ExportTooCostly, match="1 seconds"):
        read(path, tmp_path, wall_s=1)
    assert time.monotonic() - begun < 20
    assert not (tmp_path / "records.part").exists()


def test_it_gets_no_secrets_and_ends_with_whoever_started_it(tmp_path: Path) -> None:
    path, told = tmp_path / "endless", tmp_path / "pid"
    os.mkfifo(path)
    code = (
        "import sys; from pathlib import Path; from memory.parsing import child; from memory.parsing.limits import Asked\n"
        f"out = open({str(tmp_path / 'out')!r}, 'wb')\n"
        f"made = child.start(Asked({str(path)!r}, 'a', now='2026-01-01T00:00:00+00:00'), out.fileno(), Path({str(tmp_path)!r}))\n"
        f"Path({str(told)!r}).write_text(str(made.pid)); made.wait()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "SLOWWAVE_TOKEN": "7f3a-of-the-daemon"}
    )
    until = time.monotonic() + 30
    while not (told.exists() and told.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    pid = int(told.read_text())
    assert b"7f3a-of-the-daemon" not in Path(f"/proc/{pid}/environ").read_bytes()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while _is_alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


@pytest.mark.parametrize(
    "second",
    [
        b"no json",
        b"[]",
        b'["m", "2025-01-01", "a", "b", "text", false, null, "", [], "observed", []]',
        b'["m", "2025-01-01T00:00:00Z", 5, "b", "text", false, null, "", [], "observed", []]',
        b'["m", "2025-01-01T00:00:00Z", "a", "b", "text", false, null, "", [], "believed", []]',
        b'["s", "line 1"]',
        b'["end", 7]',
        b"",
    ],
)
def test_records_that_are_none_are_refused(second: bytes, tmp_path: Path) -> None:
    records = tmp_path / "records"
    records.write_bytes(b'["head","jsonl",[],false]\n' + second + b"\n")
    found = open_parsed(records, "a", "digest")
    assert isinstance(found, ParsedChats)
    with pytest.raises(BrokenExport):
        list(found.rows())
    with pytest.raises(lines.BadLine):
        list(lines.read_rows(records, Meter()))
