"""Imports into a real store: nothing twice, nothing by halves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select

from db.engine import Database, open_database, sqlite_url
from db.errors import StoreFull
from db.tables import Conversation, Episode, Node, Participant, Source
from memory.episodes import audience, list_episodes
from memory.errors import BadPattern, BrokenExport, GraphError, UnknownTimezone
from memory.importers.bots import Bots
from memory.importing import ImportOptions, import_export, import_file, open_export
from memory.people import list_people
from memory.spaces import ensure_space

FIXTURES = Path(__file__).parent / "fixtures"
ALL_KINDS = ("text", "media", "deleted")


def counts(database: Database) -> dict[str, int]:
    with database.transaction() as session:
        return {
            table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Source, Conversation, Node, Participant, Episode)
        }


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_harbor_positions_are_the_gold_message_indices(database: Database, harbor: Path) -> None:
    space = ensure_space(database)
    report = import_file(database, space, harbor)
    episodes = list_episodes(database, space, kinds=ALL_KINDS)
    assert (report.n_messages, report.n_new) == (485, 485)
    assert [episode.position for episode in episodes] == list(range(485))
    gold = json.loads((harbor.parent / "facts.json").read_text(encoding="utf-8"))
    rows = gold["facts"] if isinstance(gold, dict) else gold
    assert [episodes[row["evidence"][0]].speaker for row in rows] == [row["speaker"] for row in rows]


def test_the_same_file_twice_adds_nothing(database: Database) -> None:
    space = ensure_space(database)
    first = import_file(database, space, FIXTURES / "android_group.txt")
    before = counts(database)
    again = import_file(database, space, FIXTURES / "android_group.txt")
    assert (again.n_new, again.n_messages, again.source_id) == (0, first.n_messages, first.source_id)
    assert counts(database) == before


@pytest.mark.parametrize(
    "name",
    ["android_us.txt", "ios_group.txt", "telegram_all.json", "discord_guild.json", "lines.jsonl"],
)
def test_a_copy_that_differs_in_bytes_only_adds_no_message(
    database: Database, tmp_path: Path, name: str
) -> None:
    space = ensure_space(database)
    import_file(database, space, FIXTURES / name)
    copy = tmp_path / name
    copy.write_bytes((FIXTURES / name).read_bytes() + b"\n")
    assert import_file(database, space, copy).n_new == 0


@pytest.mark.parametrize("n_first", [1, 3, 6])
def test_a_longer_export_adds_only_what_is_new(database: Database, tmp_path: Path, n_first: int) -> None:
    lines = [
        f"12/03/2025, 18:0{i} - {who}: ok"
        for i, who in enumerate(["Ana", "Ana", "Ana", "Bo", "Ana", "Bo", "Cy"])
    ]
    lines.insert(2, lines[1])  # the same words in the same minute are two messages
    space = ensure_space(database)
    import_file(database, space, write(tmp_path / "a.txt", lines[:n_first]))
    report = import_file(database, space, write(tmp_path / "b.txt", lines))
    assert report.n_new == len(lines) - n_first
    assert counts(database)["episode"] == len(lines)
    assert counts(database)["conversation"] == 1


def test_equal_words_in_two_chats_are_two_messages(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    for other in ("Bo", "Cy"):
        lines = [f"01/01/2025, 00:0{i} - Ana: happy new year {i}" for i in range(5)]
        import_file(
            database,
            space,
            write(tmp_path / f"{other}.txt", [*lines, f"13/01/2025, 00:09 - {other}: you too"]),
        )
    assert counts(database)["conversation"] == 2
    assert counts(database)["episode"] == 12


def test_speakers_become_people_and_the_audience(database: Database) -> None:
    space = ensure_space(database)
    import_file(database, space, FIXTURES / "ios_group.txt")
    people = list_people(database, space)
    assert all(person.is_speaker for person in people)
    assert list(audience(database, space).values()) == [frozenset(person.id for person in people)]


def test_two_spaces_hold_the_same_chat_apart(database: Database) -> None:
    one, other = ensure_space(database, "one"), ensure_space(database, "other")
    for space in (one, other):
        assert import_file(database, space, FIXTURES / "lines.jsonl").n_new == 3
    assert len(list_episodes(database, one)) == 3


def test_the_report_spans_the_file_and_progress_reaches_the_end(database: Database) -> None:
    seen: list[tuple[int, int]] = []
    report = import_file(
        database,
        ensure_space(database),
        FIXTURES / "telegram_all.json",
        progress=lambda done, total, note="": seen.append((done, total)),
    )
    assert seen[-1] == 2 * ((FIXTURES / "telegram_all.json").stat().st_size,)
    assert (report.conversation, report.people) == ("2 chats", ("Noor", "Piet", "Deleted account user7"))
    assert report.first == datetime(2025, 3, 12, 17, 3, 11, tzinfo=UTC)


@pytest.mark.parametrize("raw", [b"", b"prose", b'{"messages": [', b'{"type": "x", "messages": [1]}'])
def test_a_bad_file_writes_nothing(database: Database, tmp_path: Path, raw: bytes) -> None:
    space = ensure_space(database)
    before = counts(database)
    path = tmp_path / "bad"
    path.write_bytes(raw)
    with pytest.raises(GraphError) as caught:
        import_file(database, space, path)
    assert "\n" not in str(caught.value)
    assert counts(database) == before


def test_an_unknown_time_zone_is_refused(database: Database) -> None:
    with pytest.raises(UnknownTimezone, match="Europe/Lisbon"):
        import_file(database, ensure_space(database), FIXTURES / "lines.jsonl", timezone="Mars/Base")


def many_lines(n: int) -> list[str]:
    return [
        f"{1 + i // 1440 % 28:02}/01/2025, {i // 60 % 24:02}:{i % 60:02} - Ana: word {i}" for i in range(n)
    ]


def test_a_full_disk_leaves_nothing_written(tmp_path: Path) -> None:
    database = open_database(sqlite_url(tmp_path / "graph.db"))
    space = ensure_space(database)
    with database.engine.connect() as connection:
        n_pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def limit(connection: object, _record: object, _proxy: object) -> None:
        connection.execute(f"PRAGMA max_page_count={n_pages + 40}")  # type: ignore[attr-defined]

    event.listen(database.engine, "checkout", limit)
    with pytest.raises(StoreFull, match="no space left"):
        import_file(database, space, write(tmp_path / "a.txt", many_lines(9000)))
    assert sum(counts(database).values()) == 0
    database.close()


KILLED = """
import os, signal, sys
from pathlib import Path
from db.engine import open_database, sqlite_url
from memory.importing import import_file
from memory.spaces import ensure_space
database = open_database(sqlite_url(Path(sys.argv[1])))
def die(done, total, note=""):
    if done > total / 2:
        os.kill(os.getpid(), signal.SIGKILL)
import_file(database, ensure_space(database), Path(sys.argv[2]), progress=die)
"""


def test_a_kill_in_the_middle_leaves_nothing_written(tmp_path: Path) -> None:
    chat = write(tmp_path / "a.txt", many_lines(5000))
    where = tmp_path / "graph.db"
    child = subprocess.run(
        [sys.executable, "-c", KILLED, where, chat], env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    assert child.returncode == -signal.SIGKILL
    database = open_database(sqlite_url(where))
    assert sum(counts(database).values()) == 0
    assert import_file(database, ensure_space(database), chat).n_new == 5000
    database.close()


def test_a_damaged_file_is_named_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text('{"name": "Ana",\n "messages": [')
    with pytest.raises(BrokenExport, match=r"result\.json is damaged"):
        open_export(path)


def lines_of(*said: tuple[str, str, str]) -> str:
    return "".join(
        json.dumps(dict(zip(("time", "speaker", "text"), row, strict=True))) + "\n" for row in said
    )


def test_what_a_bot_wrote_is_simulated_whether_told_by_name_or_by_words(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        lines_of(
            ("2025-01-01", "Ana", "I live in Oslo"),
            ("2025-01-02", "Helper Bot", "She lives in Rome"),
            ("2025-01-03", "Ana", "[auto] I live in Bern"),
        )
    )
    space = ensure_space(database)
    options = ImportOptions(bots=Bots.of(("helper bot",), (r"^\[auto\]",)))
    report = import_export(database, space, open_export(path, options))
    assert [episode.text for episode in list_episodes(database, space)] == ["I live in Oslo"]
    assert len(list_episodes(database, space, origins=("simulated",))) == 2
    assert "2 messages were written by programs and are no evidence" in report.notes


def test_a_pattern_that_is_none_is_refused() -> None:
    with pytest.raises(BadPattern, match="is no pattern"):
        Bots.of((), ("[",))


def test_equals_that_lie_far_apart_are_numbered_by_the_store(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory.storing.CHUNK", 2)
    monkeypatch.setattr("memory.arrivals._N_REMEMBERED", 2)
    others = [("2025-01-02", "Bo", f"word {i}") for i in range(9)]
    said = [("2025-01-01", "Ana", "ok"), *others, ("2025-01-01", "Ana", "ok"), ("2025-01-01", "Ana", "ok")]
    path = tmp_path / "a.jsonl"
    path.write_text(lines_of(*said))
    space = ensure_space(database)
    assert import_file(database, space, path).n_new == 12
    path.write_text(lines_of(*said, ("2025-01-03", "Bo", "one more")))
    assert import_file(database, space, path).n_new == 1


def test_hearers_take_part_without_a_word(database: Database, tmp_path: Path) -> None:
    mail = "From a@x Wed Mar 12 18:03:11 2025\nFrom: Ana <a@x>\nTo: Bo <b@x>\nDate: Wed, 12 Mar 2025 18:03:11 +0000\n\nhi\n"
    (tmp_path / "mbox").write_text(mail)
    space = ensure_space(database)
    import_file(database, space, tmp_path / "mbox")
    assert [len(people) for people in audience(database, space).values()] == [2]


def test_the_report_counts_what_was_left_out_by_reason(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(lines_of(("2025-01-01", "Ana", "a")) + "{}\n" * 7 + "[1]\n")
    report = import_file(database, ensure_space(database), path)
    assert [(count.reason, count.n, len(count.places)) for count in report.skipped] == [
        ("it lacks time and speaker and text", 7, 5),
        ("no object", 1, 1),
    ]


def test_a_folder_is_one_source_that_is_known_again(database: Database, tmp_path: Path) -> None:
    for name in ("Ana", "Bo"):
        folder = tmp_path / "export" / name
        folder.mkdir(parents=True)
        (folder / "a.jsonl").write_text(lines_of(("2025-01-01", name, "hi")))
    space = ensure_space(database)
    assert import_file(database, space, tmp_path / "export").n_new == 2
    again = import_file(database, space, tmp_path / "export")
    assert "this very file was imported before" in again.notes
    assert counts(database)["source"] == 1


@pytest.mark.parametrize(
    "name", ["telegram_all.json", "discord_guild.json", "android_group.txt", "lines.jsonl"]
)
def test_importing_the_first_half_and_then_all_of_it_is_importing_all_of_it(
    database: Database, tmp_path: Path, name: str
) -> None:
    raw = (FIXTURES / name).read_bytes()
    (tmp_path / name).write_bytes(raw[: int(len(raw) * 0.75)])
    whole = len(list(open_export(FIXTURES / name).messages()))
    space = ensure_space(database)
    part = import_file(database, space, tmp_path / name).n_new
    assert part + import_file(database, space, FIXTURES / name).n_new in (whole, whole + 1)


def whatsapp(name: str, n: int) -> str:
    who = ("Bo", name, name, "Bo", name)
    return "".join(f"13/03/2025, 18:{i:02} - {who[i % 5]}: word {i}\n" for i in range(n))


def discord(name: str, n: int) -> str:
    return json.dumps(
        {
            "guild": {"name": "Potters"},
            "channel": {"name": "glaze", "type": "GuildTextChat"},
            "messages": [
                {
                    "id": str(i),
                    "type": "Default",
                    "timestamp": f"2025-03-12T18:{i:02}:00+00:00",
                    "content": f"word {i}",
                    "author": {
                        "id": str(i % 2),
                        "name": ("bo", name)[i % 2],
                        "nickname": ("Bo", name)[i % 2],
                    },
                }
                for i in range(n)
            ],
        }
    )


@pytest.mark.parametrize("write_chat", [whatsapp, discord])
def test_somebody_whose_name_changed_is_the_same_and_nothing_comes_twice(
    database: Database, tmp_path: Path, write_chat: Any
) -> None:
    space = ensure_space(database)
    path = tmp_path / "chat"
    for name, n, n_new in (
        ("+49 170 0000001", 20, 20),
        ("Jürgen Weiß", 25, 5),
        ("Jürgen Weiß", 30, 5),
        ("Jay", 40, 10),
    ):
        path.write_text(write_chat(name, n))
        assert import_file(database, space, path).n_new == n_new
    assert counts(database)["conversation"] == 1
    called = {person.name: set(person.aliases) for person in list_people(database, space)}
    assert called == {"Bo": set(), "+49 170 0000001": {"Jürgen Weiß", "Jay"}}


def test_somebody_new_in_a_known_chat_is_somebody_new(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    path = tmp_path / "chat"
    path.write_text(discord("Ana", 20))
    import_file(database, space, path)
    path.write_text(discord("Ana", 20).replace("word", "other words"))
    import_file(database, space, path)
    path.write_text(discord("Cy", 20).replace("word", "quite other words"))
    report = import_file(database, space, path)
    assert (report.n_new, report.n_edited) == (10, 10)  # Bo's have the same ids and times
    assert {person.name for person in list_people(database, space)} == {"Ana", "Bo", "Cy"}
