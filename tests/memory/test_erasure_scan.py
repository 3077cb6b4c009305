"""Looking for erased words: every form in which bytes may hold them, in every file, and nothing by chance."""

from __future__ import annotations

import gzip
import html
import json
import shutil
import sqlite3
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from db.engine import open_database, sqlite_url
from memory.erasure.needles import SHORTEST, STRETCH, Needle, Scanner, stretches
from memory.erasure.residue import BLOCK, Scan, scan

SAID = 'Às dez a Inês disse "não, nunca mais" & saiu <depressa> com o cão'
NAME = Needle("Inês Carvalho", is_name=True)
FIRST = Needle("ines", is_name=True)
FORMS: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "utf-16-le": lambda text: text.encode("utf-16-le"),
    "utf-16-be": lambda text: text.encode("utf-16-be"),
    "json": lambda text: json.dumps(text).encode(),
    "json, letters kept": lambda text: json.dumps(text, ensure_ascii=False).encode(),
    "html": lambda text: html.escape(text).encode(),
    "url": lambda text: quote(text).encode(),
    "form": lambda text: quote_plus(text).encode(),
    "decomposed": lambda text: unicodedata.normalize("NFD", text).encode(),
    "upper": lambda text: text.upper().encode(),
    "folded": lambda text: text.casefold().encode(),
}


def found(scanner: Scanner, block: bytes) -> set[int]:
    return {item.needle for item in scanner.find(block)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("around", [b"", b"before ", b"\x00\xff\x00"])
def test_a_text_is_found_in_every_form(form: str, around: bytes) -> None:
    pieces = stretches([SAID])
    held = around + FORMS[form](SAID) + around
    assert found(Scanner(pieces), held) == set(range(len(pieces)))


@pytest.mark.parametrize("form", FORMS)
def test_a_name_is_found_in_every_form_as_a_whole_word(form: str) -> None:
    scanner = Scanner([NAME])
    parted = FORMS[form]("Hi Inês Carvalho, hello")
    inside = FORMS[form]("Hi Inês Carvalhosa, hello")
    assert found(scanner, parted) == {0}
    assert found(scanner, inside) == set()


@pytest.mark.parametrize(
    ("held", "is_there"),
    [
        (b"Ines", True),
        (b"INES's", True),
        ("Ines’s".encode(), True),
        (b"[INES] hi", True),
        (b"line\\nInes left", True),
        (b"caf\\u00e9Ines", False),
        (b"say%20ines%20", True),
        (b"Vines", False),
        (b"Inessa", False),
        ("Inesé".encode(), False),
        ("éInes".encode(), False),
        (b"ines_carvalho", True),
        (b"\x00I\x00n\x00e\x00s\x00", True),
    ],
)
def test_a_name_counts_as_a_whole_word(held: bytes, is_there: bool) -> None:
    assert bool(found(Scanner([FIRST]), held)) is is_there


def test_a_name_that_is_a_word_counts_with_a_capital() -> None:
    scanner = Scanner([Needle("will", is_name=True, is_cased=True)])
    assert not found(scanner, b"he will come")
    assert found(scanner, b"he and Will come")


def test_names_joined_as_file_names_join_them_are_found() -> None:
    scanner = Scanner([NAME])
    assert all(found(scanner, held) for held in (b"chat_ines-carvalho.txt", b"x/Ines_Carvalho/y"))


def test_short_texts_are_not_searched_and_long_ones_in_stretches() -> None:
    assert stretches(["ok", "see you then", "x" * (SHORTEST - 1)]) == []
    long = "".join(np.random.default_rng(0).choice(list("abcdefghijklmnop"), 3 * STRETCH + 5))
    pieces = stretches([long])
    assert all(SHORTEST <= len(piece.text) <= STRETCH for piece in pieces)
    torn = long[: STRETCH + 7].encode() + b"\x00\x00\x12\x34" + long[STRETCH + 7 :].encode()
    assert len(found(Scanner(pieces), torn)) == len(pieces) - 1


@given(st.lists(st.text(min_size=SHORTEST, max_size=90), min_size=1, max_size=8), st.binary(max_size=40))
def test_the_scanner_finds_what_a_plain_search_finds(texts: list[str], noise: bytes) -> None:
    pieces = stretches(texts)
    held = noise + b"|".join(piece.text.encode("utf-8", "surrogatepass") for piece in pieces) + noise
    assert found(Scanner(pieces), held) == set(range(len(pieces)))


def test_nothing_is_found_in_bytes_that_hold_nothing() -> None:
    noise = np.random.default_rng(0).integers(0, 256, 1 << 20, dtype=np.uint8).tobytes()
    assert found(Scanner(stretches([SAID])), noise) == set()
    assert found(Scanner([]), noise) == set()


# Files


NEEDLES = (*stretches([SAID]), NAME, FIRST)


@pytest.fixture
def look(tmp_path: Path, migrated: Path) -> Iterator[Callable[..., Scan]]:
    """Scan the folder `home` for the text and the names above; the store is empty and elsewhere."""
    store = open_database(sqlite_url(shutil.copy(migrated, tmp_path / "store.db")))

    def do(**options: Any) -> Scan:
        return scan(store, tmp_path / "home", Scanner(NEEDLES), **options)

    yield do
    store.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    for name in ("runs/r1/train", "cache/model", "adapters/a", "index/s"):
        (folder / name).mkdir(parents=True)
    (folder / "config.toml").write_text("timezone = 'UTC'\n")
    return folder


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt", SAID)


def write_tar(path: Path) -> None:
    (path.parent / "inner.txt").write_text(SAID)
    with tarfile.open(path, "w:gz") as archive:
        archive.add(path.parent / "inner.txt")
    (path.parent / "inner.txt").unlink()


def write_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(SAID.encode()))


def write_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("CREATE TABLE t (a TEXT)")
        store.execute("INSERT INTO t VALUES (?)", ("z" * 9000 + SAID + "z" * 9000,))
        store.commit()


def write_deleted_row(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA secure_delete=OFF")
        store.execute("CREATE TABLE t (a TEXT)")
        store.execute("INSERT INTO t VALUES (?)", (SAID,))
        store.commit()
        store.execute("DELETE FROM t")
        store.commit()


def write_header(path: Path) -> None:
    save_file({"x": np.zeros(4, np.float32)}, path, metadata={"by": "Ines"})


@pytest.mark.parametrize(
    ("name", "write", "kind"),
    [
        ("notes.zip", write_zip, "other"),
        ("notes.tar.gz", write_tar, "other"),
        ("runs/r1/train/rows.jsonl.gz", write_gzip, "night"),
        ("index/s/texts.db", write_sqlite, "index"),
        ("graph.db", write_deleted_row, "database"),
        ("adapters/a/adapter_model.safetensors", write_header, "adapter"),
    ],
)
def test_every_kind_of_file_is_looked_into(
    home: Path, look: Any, name: str, write: Callable[[Path], None], kind: str
) -> None:
    assert look().is_clean
    write(home / name)
    assert [(item.where, item.kind) for item in look().found] == [(name, kind)]


def test_a_text_across_two_blocks_is_found_once(home: Path, look: Any) -> None:
    for shift in (1, 30, 60, 4096, 4100):
        path = home / "runs" / "r1" / "report.html"
        path.write_bytes(b"." * (BLOCK - shift) + SAID.encode() + b"." * BLOCK)
        (item,) = look().found
        assert item.n_texts == len(stretches([SAID]))


def test_a_file_that_ends_with_a_block_is_read_to_its_end(home: Path, look: Any) -> None:
    held = SAID.encode()
    (home / "runs" / "r1" / "report.html").write_bytes(b"." * (2 * BLOCK - len(held)) + held)
    assert not look().is_clean


def test_a_name_in_the_name_of_a_file_counts_and_is_not_printed(home: Path, look: Any) -> None:
    (home / "chat with Ines.txt").write_text("nothing")
    (item,) = look().found
    assert item.n_names == 1
    assert "Ines" not in json.dumps(look().as_json())


def test_words_of_base_models_are_not_held_against_anybody(home: Path, look: Any) -> None:
    (home / "cache" / "model" / "tokenizer.json").write_text('{"vocab": {"Ines": 7}}')
    (home / "adapters" / "a" / "weights.bin").write_bytes(b"\x00Ines\x00")
    assert look().is_clean
    (home / "cache" / "model" / "tokenizer.json").write_text('{"vocab": {"Ines Carvalho": 7}}')
    assert [item.kind for item in look().found] == ["base model"]


def test_a_name_in_the_pages_of_a_store_counts_without_a_gap(home: Path, look: Any) -> None:
    with closing(sqlite3.connect(home / "graph.db")) as store:
        store.execute("CREATE TABLE t (a TEXT, b TEXT, c TEXT)")
        store.execute("INSERT INTO t VALUES ('person', 'Inês Carvalho', 'ines carvalho')")
        store.commit()
    (item,) = look().found
    assert item.n_names == 2


def test_a_short_name_that_numbers_spell_by_chance_does_not_count(home: Path, look: Any) -> None:
    (home / "index" / "s" / "vectors").write_bytes(b"\x91\x02.\x00Ines\x00\x17\x88\x03")
    assert look().is_clean
    (home / "index" / "s" / "words").write_bytes(b"so says Ines, and \x00")
    assert [item.where for item in look().found] == ["index/s/words"]


def test_a_name_of_two_letters_counts_in_a_run_of_text_and_not_among_numbers(home: Path, look: Any) -> None:
    scanner = Scanner([Needle("cy", is_name=True)])
    noise = np.random.default_rng(0).integers(0, 256, 1 << 22, dtype=np.uint8).tobytes()
    assert len(list(scanner.find(noise))) > 50
    assert not list(scanner.find(noise, held="packed"))
    for said in (
        b"\x00\x01it was Cy who came\x00",
        "\x01Olá, então o Cy já cá está\x02".encode(),
        b"\xa9\xa3 Cy told us so ",
        "\x02\u0418 Cy \u043f\u0440\u0438\u0448\u0451\u043b \u0434\u043e\u043c\u043e\u0439\x00".encode(),
        "\x02\u4eca\u65e5 Cy \u304c\u6765\u3066\u304f\u308c\u305f\u3088\u306d\x00".encode(),
    ):
        assert len(list(scanner.find(said, held="packed"))) == 1
    for form in ("utf-16-le", "utf-16-be"):
        assert list(scanner.find("it was Cy who came".encode(form), held="packed"))
    assert len(list(scanner.find(b"[Cy]", held="bytes"))) == 1  # all of a small file


def test_what_cannot_be_read_is_named(home: Path, look: Any) -> None:
    (home / "broken.gz").write_bytes(b"\x1f\x8b\x08\x00 no gzip")
    (home / "packed.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    assert set(look().unread) == {"broken.gz", "packed.zst"}
    assert not look().is_clean


def test_rows_of_the_store_are_looked_at_wherever_it_is(world: Any, tmp_path: Path) -> None:
    world.say("Ben Ode", 0, text=SAID)
    found_there = scan(world.database, tmp_path / "home", Scanner(NEEDLES)).found
    assert [(item.where, item.kind) for item in found_there] == [("episode.text", "row")]


def test_progress_counts_bytes_to_the_end(home: Path, look: Any) -> None:
    (home / "runs" / "r1" / "log.txt").write_bytes(b"." * 100)
    seen: list[tuple[int, int]] = []
    look(progress=lambda done, total, note="": seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
