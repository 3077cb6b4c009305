"""`backup` and `restore` as a person runs them, on SQLite and on Postgres. `slowwave` is conftest's Program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def people(slowwave: Any, home: Path) -> Any:
    return slowwave("--home", home, "people", "--json").json


def test_a_backup_restores_into_another_home(slowwave: Any, tmp_path: Path) -> None:
    made = slowwave("backup", tmp_path / "b.zip", "--json").json
    assert made["path"] == str(tmp_path / "b.zip")
    restored = slowwave("restore", tmp_path / "b.zip", "--into", tmp_path / "other", "--json").json
    assert restored["rows"] == made["rows"] > 0
    assert people(slowwave, tmp_path / "other") == people(slowwave, slowwave.home)


def test_backups_are_listed_with_whether_they_are_still_there(slowwave: Any, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        assert slowwave("backup", tmp_path / name).code == 0
    (tmp_path / "a.zip").unlink()
    listed = slowwave("backup", "--list", "--json").json
    assert [(Path(item["path"]).name, item["is_there"]) for item in listed] == [
        ("a.zip", False),
        ("b.zip", True),
    ]


def test_a_restore_over_something_needs_force(slowwave: Any, tmp_path: Path) -> None:
    assert slowwave("backup", tmp_path / "b.zip").code == 0
    before = slowwave.rows()
    assert "--force" in slowwave("restore", tmp_path / "b.zip").refusal
    assert slowwave.rows() == before
    assert slowwave("restore", tmp_path / "b.zip", "--force").code == 0
    assert slowwave.rows() == before | {"change": [], "sqlite_sequence": [], "lease": []}


def test_what_is_no_backup_is_refused_in_one_line(slowwave: Any, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear Ada")
    refusal = slowwave("restore", tmp_path / "letter.txt", "--into", tmp_path / "other").refusal
    assert "nothing was changed" in refusal
    assert not (tmp_path / "other").exists()


def test_a_backup_needs_a_file_or_a_list(slowwave: Any) -> None:
    assert slowwave("backup").code == 2


def test_a_home_goes_to_postgres_and_back(
    slowwave: Any, tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = people(slowwave, slowwave.home)
    assert slowwave("backup", tmp_path / "b.zip").code == 0
    with monkeypatch.context() as on_postgres:
        on_postgres.setenv("SLOWWAVE_DATABASE_URL", postgres_url)
        assert slowwave("restore", tmp_path / "b.zip", "--into", tmp_path / "other").code == 0
        assert people(slowwave, tmp_path / "other") == expected
        assert slowwave("--home", tmp_path / "other", "backup", tmp_path / "c.zip").code == 0
    assert slowwave("restore", tmp_path / "c.zip", "--into", tmp_path / "third").code == 0
    assert people(slowwave, tmp_path / "third") == expected


def test_the_settings_are_shown_without_the_password(empty: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOWWAVE_DATABASE_URL", "postgresql://ana:s3cret@db.example.org/graph")
    assert empty("config").json["database_url"] == "postgresql://ana:***@db.example.org/graph"
    monkeypatch.setenv("SLOWWAVE_DATABASE_URL", "no address")
    assert "postgresql://" in empty("config").refusal
