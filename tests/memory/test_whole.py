"""Claims about files and folders that are there whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from memory.whole import whole_file, whole_folder, write_text


def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "file", "before")
    with pytest.raises(TypeError), whole_file(tmp_path / "new" / "file") as part:
        part.write_bytes("half")  # type: ignore[arg-type]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    assert (tmp_path / "new" / "file").read_text(encoding="utf-8") == "before"


def test_a_folder_takes_its_name_at_the_end_and_replaces_only_where_told(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with whole_folder(folder, mode=0o700) as part:
        (part / "one").touch()
        assert not folder.exists()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with pytest.raises(OSError, match="not empty"), whole_folder(folder) as part:
        (part / "two").touch()
    with pytest.raises(RuntimeError), whole_folder(folder, replaces=True):
        raise RuntimeError
    assert [path.name for path in folder.iterdir()] == ["one"]
    with whole_folder(folder, replaces=True) as part:
        (part / "two").touch()
    assert [path.name for path in folder.iterdir()] == ["two"]
    assert [path.name for path in folder.parent.iterdir()] == ["folder"]
