"""Claims about weights that were written for other programs: on record by space, found by vector, and without names."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

from memory.exports import (
    RECORDS_NAME,
    ExportRecord,
    exports_that_hold,
    forget_places,
    known_exports,
    remember,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
A, B = "a" * 64, "b" * 64


def record(path: Path | None, *vectors: str, space: str = "s1") -> ExportRecord:
    return ExportRecord(space, path, "peft", "c" * 64, vectors, "d" * 64, NOW)


def test_what_is_remembered_is_known_again_by_space_and_vector(tmp_path: Path) -> None:
    assert known_exports(tmp_path, "s1") == []
    made = [record(tmp_path / "one", A, B), record(tmp_path / "two", B), record(None, A, space="s2")]
    for one in made:
        remember(tmp_path, one)
    assert known_exports(tmp_path, "s1") == made[:2]
    assert exports_that_hold(tmp_path, "s1", {A}) == made[:1]
    assert exports_that_hold(tmp_path, "s1", set()) == []
    assert stat.S_IMODE((tmp_path / RECORDS_NAME).stat().st_mode) == 0o600


def test_a_folder_that_is_gone_is_told_from_one_whose_place_is_not_known(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    told = [record(path, A).as_json()["there"] for path in (tmp_path / "one", tmp_path / "two", None)]
    assert told == [True, False, None]


def test_only_places_that_hold_the_name_are_forgotten(tmp_path: Path) -> None:
    for name in ("voice of Ada", "voice"):
        remember(tmp_path, record(tmp_path / name, A))
    forget_places(tmp_path, lambda path: b"Ada" in path)
    assert [one.path for one in known_exports(tmp_path, "s1")] == [None, tmp_path / "voice"]
    assert b"Ada" not in (tmp_path / RECORDS_NAME).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [RECORDS_NAME]
