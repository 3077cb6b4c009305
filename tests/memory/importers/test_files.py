"""Files, folders and archives as streams."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from memory.errors import BrokenExport, EmptyChat, UnknownFormat, ZipInZip
from memory.importers.files import Meter, encoding_of, gather
from memory.importing import open_export

ANDROID = "12/03/2025, 18:03 - Ana: hi\n13/03/2025, 18:04 - Bo: ho\n"


def archive(path: Path, **files: bytes | str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name.replace("__", "."), content)
    return path


def test_a_zip_in_a_zip_is_refused_with_what_to_do(tmp_path: Path) -> None:
    inner = archive(tmp_path / "inner.zip", chat__txt=ANDROID)
    outer = archive(tmp_path / "outer.zip", inner__zip=inner.read_bytes(), a__txt=ANDROID)
    with pytest.raises(ZipInZip, match=r"outer\.zip holds another zip archive; unpack it"):
        open_export(outer)


def test_a_whatsapp_zip_is_read_and_its_pictures_passed_over(look: Any) -> None:
    found = look(
        {"_chat.txt": ANDROID, "00000012-PHOTO.jpg": b"\xff\xd8\0\0", "notes.pdf": b"%PDF\0"}, is_zip=True
    )
    assert (found.kind, [text for _, text in found.said]) == ("whatsapp", ["hi", "ho"])
    assert "2 of 3 files are no chats and were passed over" in found.notes


@pytest.mark.parametrize("n_bytes", [30, 120])
def test_a_zip_that_breaks_off_is_damaged(tmp_path: Path, n_bytes: int) -> None:
    path = archive(tmp_path / "x.zip", chat__txt=ANDROID * 50)
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(BrokenExport, match="zip archive breaks off"):
        open_export(path)


def test_a_member_whose_bytes_are_damaged_is_told(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", chat__txt=ANDROID * 50)
    raw = bytearray(path.read_bytes())
    raw[45:60] = bytes(15)
    path.write_bytes(raw)
    with pytest.raises(BrokenExport, match=r"x\.zip is damaged"):
        open_export(path)


def test_a_member_whose_name_is_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("ché.txt", ANDROID * 50)
    named = "ché.txt".encode()
    path.write_bytes(
        path.read_bytes().replace(named, named[:-6] + b"\xff\xfe.txt", 1)
    )  # where the member is, not the list
    with pytest.raises(BrokenExport, match=r"x\.zip"):
        open_export(path)


def test_a_folder_without_a_chat_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptyChat):
        open_export(tmp_path)
    (tmp_path / "a.txt").write_text("prose")
    with pytest.raises(UnknownFormat):
        open_export(tmp_path)


def test_what_systems_add_to_folders_is_no_file_of_the_export(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip", **{"__MACOSX/_chat__txt": "x", "_chat__txt": ANDROID})
    assert len(gather(path, Meter())) <= 2
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "in" / "chat.txt").write_text(ANDROID)
    assert [file.name for file in gather(tmp_path / "in", Meter())] == ["chat.txt"]


def test_what_is_read_is_counted_and_told(tmp_path: Path) -> None:
    path = tmp_path / "chat.txt"
    path.write_text(ANDROID * 60_000)
    told: list[tuple[int, int, str]] = []
    open_export(path, progress=lambda done, total, note="": told.append((done, total, note)))
    size = path.stat().st_size
    assert told[-1] == (size, size, "looking through")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


GERMAN = "12/03/2025, 18:03 - Jürgen: schöne Grüße\n13/03/2025, 18:04 - Bo: ‘äh’ – nö\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_an_export_may_be_written_in_any_of_these(look: Any, encoding: str) -> None:
    found = look(GERMAN.encode(encoding))
    assert found.said == [("Jürgen", "schöne Grüße"), ("Bo", "‘äh’ – nö")]
    assert found.skipped == []
    assert any("Windows-1252" in note for note in found.notes) == (encoding == "cp1252")


def test_bytes_that_are_nothing_are_lost_and_told(look: Any) -> None:
    found = look(ANDROID.encode() + b"13/03/2025, 18:05 - Bo: \xff\xfe and \xc3\xa9\n")
    assert found.said[-1] == ("Bo", "\ufffd\ufffd and é")
    assert found.skipped == [("the file", "2 places are no valid UTF-8; they read as \ufffd")]


def test_pictures_are_no_text() -> None:
    for raw in (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", bytes(range(256)) * 20, b"\0" * 500):
        assert encoding_of(raw) is None
