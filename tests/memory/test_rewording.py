"""A later export that shows messages edited or deleted: words, former words, facts, vectors and the ledger follow."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from db.engine import Database
from db.tables import (
    Embedding,
    EmotionTag,
    Episode,
    EpisodeVersion,
    Evidence,
    Fact,
    LedgerEntry,
    Reading,
    Source,
)
from memory import emotions, types
from memory.candidates import add_candidates
from memory.decisions import decide
from memory.erasure import Target, erase
from memory.importing import import_export, import_file, open_export
from memory.ports import utc_now
from memory.readings import Reading as Found
from memory.readings import keep_readings
from memory.registry import Registry
from memory.spaces import ensure_space
from memory.types import FactCandidate
from memory.verify import verify

BEGIN = 1741802580
Chat = list[tuple[int, str, str]]  # id, who, words
TALK: Chat = [(i, ("Noor", "Piet")[i % 2], f"line {i}") for i in range(1, 9)]


def telegram(path: Path, talk: Chat, name: str = "Piet") -> Path:
    messages = [
        {"id": i, "type": "message", "date_unixtime": str(BEGIN + 60 * i), "from": who, "from_id": f"user{who}",
         "date": "2025-03-12T18:03:00", "text": words}
        for i, who, words in talk
    ]  # fmt: skip
    chat = {"name": name, "type": "personal_chat", "id": 5, "messages": messages}
    path.write_text(json.dumps(chat), encoding="utf-8")
    return path


def discord(path: Path, talk: Chat, name: str = "Piet") -> Path:
    messages = [
        {"id": str(i), "type": "Default", "timestamp": datetime.fromtimestamp(BEGIN + 60 * i, UTC).isoformat(),
         "content": words, "author": {"id": who, "name": who.lower(), "nickname": who, "isBot": False}}
        for i, who, words in talk
    ]  # fmt: skip
    head = {"guild": {"id": "0", "name": "Direct Messages"}, "channel": {"id": "1", "type": "DirectTextChat", "name": name}}  # fmt: skip
    path.write_text(json.dumps({**head, "messages": messages}), encoding="utf-8")
    return path


def slack(path: Path, talk: Chat, name: str = "piet") -> Path:
    folder = path.with_suffix("")
    (folder / name).mkdir(parents=True, exist_ok=True)
    users = [
        {"id": f"U{who}", "name": who.lower(), "profile": {"real_name": who}} for who in ("Noor", "Piet")
    ]
    (folder / "users.json").write_text(json.dumps(users))
    (folder / "channels.json").write_text(
        json.dumps([{"id": "C1", "name": name, "members": ["UNoor", "UPiet"]}])
    )
    day = [
        {"type": "message", "user": f"U{who}", "text": words, "ts": f"{BEGIN + 60 * i}.000{i:03d}"}
        for i, who, words in talk
    ]
    (folder / name / "2025-03-12.json").write_text(json.dumps(day))
    return folder


def jsonl(path: Path, talk: Chat, name: str = "") -> Path:
    lines = [
        json.dumps({"time": BEGIN + 60 * i, "speaker": who, "text": words, "id": i}) for i, who, words in talk
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def whatsapp(path: Path, talk: Chat, name: str = "") -> Path:
    lines = []
    for i, who, words in talk:
        time = datetime(2025, 3, 13, 10, 0, tzinfo=UTC) + timedelta(minutes=i)
        lines.append(f"{time:%d/%m/%Y, %H:%M} - {who}: {words}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


WITH_IDS = pytest.mark.parametrize(  # one format on every store, the others on one
    ("database", "write"),
    [
        *((store, telegram) for store in ("memory", "disk", "postgres")),
        *(("memory", write) for write in (discord, slack, jsonl)),
    ],
    indirect=["database"],
    ids=lambda item: item if isinstance(item, str) else item.__name__,
)
Write = Callable[[Path, Chat], Path]


def texts(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(Episode.text).order_by(Episode.time, Episode.position)))


def kinds(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(select(Episode.kind).order_by(Episode.time, Episode.position)))


def with_words(talk: Chat, number: int, words: str) -> Chat:
    return [(i, who, words if i == number else said) for i, who, said in talk]


@WITH_IDS
def test_an_edited_message_takes_its_new_words_and_keeps_the_old(
    database: Database, tmp_path: Path, write: Write
) -> None:
    space = ensure_space(database)
    import_file(database, space, write(tmp_path / "a.json", TALK[:6]))
    longer = with_words(TALK, 3, "line three, better")
    report = import_file(database, space, write(tmp_path / "b.json", longer))
    assert (report.n_new, report.n_edited, report.n_deleted) == (2, 1, 0)
    assert texts(database) == [words for _, _, words in longer]
    with database.reading() as session:
        (version,) = session.scalars(select(EpisodeVersion)).all()
        assert (version.text, version.number, version.source_id) == ("line 3", 1, report.source_id)
    assert verify(database, space, tmp_path, Registry.load()).problems == ()


@WITH_IDS
def test_an_older_export_takes_nothing_back(database: Database, tmp_path: Path, write: Write) -> None:
    space = ensure_space(database)
    import_file(database, space, write(tmp_path / "a.json", TALK[:6]))
    newer = with_words(TALK, 3, "line three, better")
    import_file(database, space, write(tmp_path / "b.json", newer))
    report = import_file(database, space, write(tmp_path / "c.json", TALK[1:5]))
    assert (report.n_new, report.n_edited, report.n_deleted) == (0, 0, 0)
    assert texts(database) == [words for _, _, words in newer]


@WITH_IDS
def test_a_message_that_is_missing_between_two_is_marked_and_comes_back(
    database: Database, tmp_path: Path, write: Write
) -> None:
    space = ensure_space(database)
    import_file(database, space, write(tmp_path / "a.json", TALK[:6]))
    without = [row for row in TALK if row[0] != 4]
    report = import_file(database, space, write(tmp_path / "b.json", without))
    assert (report.n_new, report.n_deleted) == (2, 1)
    assert texts(database)[3] == "<deleted>"
    assert kinds(database) == ["text"] * 3 + ["deleted"] + ["text"] * 4
    again = import_file(database, space, write(tmp_path / "c.json", [*TALK, (9, "Piet", "line 9")]))
    assert (again.n_new, again.n_edited) == (1, 1)
    assert texts(database)[3] == "line 4"


def signal(folder: Path, *rows: dict[str, Any]) -> Path:
    (folder / "Piet").mkdir(parents=True)
    rest = {"quote": "", "sticker": "", "reactions": [], "attachments": []}
    lines = [json.dumps(rest | row) for row in rows]
    (folder / "Piet" / "data.json").write_text("\n".join(lines))
    return folder


def messenger(path: Path, *rows: dict[str, Any]) -> Path:
    people = [{"name": "Noor"}, {"name": "Piet"}]
    thread = {
        "participants": people,
        "messages": list(reversed(rows)),
        "title": "Piet",
        "thread_path": "inbox/piet",
    }
    path.write_text(json.dumps(thread))
    return path


def test_formats_without_ids_but_with_exact_times_tell_edits_and_deletions(
    database: Database, tmp_path: Path
) -> None:
    space = ensure_space(database)

    def said(i: int, body: str, **more: Any) -> dict[str, Any]:
        return {"date": f"2025-03-12T18:0{i}:11.123", "sender": "Piet", "body": body, **more}

    def sent(i: int, content: str, **more: Any) -> dict[str, Any]:
        return {"sender_name": "Noor", "timestamp_ms": (BEGIN + i) * 1000, "content": content, **more}

    import_file(database, space, signal(tmp_path / "a", said(1, "one"), said(2, "two"), said(3, "three")))
    later = said(1, "one"), said(2, "", deleted=True), said(3, "drei"), said(4, "four")
    report = import_file(database, space, signal(tmp_path / "b", *later))
    assert (report.n_new, report.n_edited, report.n_deleted) == (1, 1, 1)
    import_file(database, space, messenger(tmp_path / "message_1.json", sent(1, "uno"), sent(2, "due")))
    again = messenger(
        tmp_path / "message_2.json", sent(1, "uno!"), sent(2, "", is_unsent=True), sent(3, "tre")
    )
    report = import_file(database, space, again)
    assert (report.n_new, report.n_edited, report.n_deleted) == (1, 1, 1)
    assert sorted(texts(database)) == sorted(["one", "<deleted>", "drei", "four", "uno!", "<deleted>", "tre"])


def test_what_others_answered_in_slack_is_deleted_as_well(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    import_file(database, space, slack(tmp_path / "a.json", TALK[:6]))
    folder = slack(tmp_path / "b.json", TALK)
    day = folder / "piet" / "2025-03-12.json"
    rows = json.loads(day.read_text())
    rows[2] |= {"user": "USLACKBOT", "subtype": "tombstone", "text": "This message was deleted."}
    rows.insert(4, {"type": "message", "subtype": "bot_message", "text": "beep", "ts": f"{BEGIN + 290}.1"})
    day.write_text(json.dumps(rows))
    report = import_file(database, space, folder)
    assert (report.n_new, report.n_deleted) == (2, 1)
    assert kinds(database)[2] == "deleted"


def test_an_export_cut_by_date_or_by_pieces_deletes_nothing(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    talk: Chat = [(i, ("Noor", "Piet")[i % 2], f"line {i}") for i in range(1, 201)]
    import_file(database, space, telegram(tmp_path / "a.json", talk))
    end: Chat = [(201, "Noor", "the end")]
    assert import_file(database, space, telegram(tmp_path / "b.json", talk[90:] + end)).n_deleted == 0
    pieces = talk[:50] + talk[120:] + end + [(202, "Noor", "more")]
    report = import_file(database, space, telegram(tmp_path / "c.json", pieces))
    assert (report.n_deleted, report.n_new) == (0, 1)
    assert any("70 messages that are known are not in this export" in note for note in report.notes)
    of_one = [row for row in talk if row[1] == "Noor"] + end + [(203, "Noor", "and more")]
    assert import_file(database, space, telegram(tmp_path / "d.json", of_one)).n_deleted == 0


def test_what_came_in_another_format_is_not_missing(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    import_file(database, space, discord(tmp_path / "a.json", TALK))
    import_file(database, space, telegram(tmp_path / "b.json", [(1, "Piet", "x"), (8, "Noor", "y")]))
    report = import_file(database, space, telegram(tmp_path / "c.json", [(1, "Piet", "x"), (8, "Noor", "z")]))
    assert (report.n_new, report.n_edited, report.n_deleted) == (0, 1, 0)


def test_a_damaged_export_deletes_nothing(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    import_file(database, space, jsonl(tmp_path / "a.jsonl", TALK[:6]))
    damaged = jsonl(tmp_path / "b.jsonl", TALK)
    lines = damaged.read_text().split("\n")
    lines[3] = lines[3][:20]
    damaged.write_text("\n".join(lines))
    report = import_file(database, space, damaged)
    assert (report.n_new, report.n_deleted, report.skipped[0].n) == (2, 0, 1)


@pytest.mark.parametrize("words", ["This message was deleted", "You deleted this message."])
def test_whatsapp_says_that_a_message_was_deleted(database: Database, tmp_path: Path, words: str) -> None:
    space = ensure_space(database)
    talk: Chat = [(1, "Noor", "one"), (1, "Noor", "secret"), (1, "Piet", "two"), (2, "Noor", "three")]
    import_file(database, space, whatsapp(tmp_path / "a.txt", talk))
    talk = [(i, who, words if said == "secret" else said) for i, who, said in talk] + [(3, "Piet", "four")]
    report = import_file(database, space, whatsapp(tmp_path / "b.txt", talk))
    assert (report.n_new, report.n_edited, report.n_deleted) == (1, 0, 1)
    assert kinds(database) == ["text", "deleted", "text", "text", "text"]
    assert "secret" not in texts(database)
    again = import_file(database, space, whatsapp(tmp_path / "c.txt", [*talk, (4, "Noor", "five")]))
    assert (again.n_new, again.n_deleted) == (1, 0)


def test_whatsapp_marks_an_edited_message(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    talk: Chat = [(1, "Noor", "see you at five"), (1, "Noor", "bring bread"), (2, "Piet", "ok")]
    import_file(database, space, whatsapp(tmp_path / "a.txt", talk))
    talk[1] = (1, "Noor", "bring bread and milk <This message was edited>")
    report = import_file(database, space, whatsapp(tmp_path / "b.txt", [*talk, (3, "Noor", "bye")]))
    assert (report.n_new, report.n_edited) == (1, 1)
    assert texts(database) == ["see you at five", "bring bread and milk", "ok", "bye"]
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Episode).where(Episode.is_edited)) == 1


@pytest.mark.parametrize("n_bytes", [1, 9, 25, 40])
def test_a_message_that_was_cut_is_made_whole(database: Database, tmp_path: Path, n_bytes: int) -> None:
    space = ensure_space(database)
    talk: Chat = [*TALK[:4], (5, "Noor", "we meet at the café, bring the ñandú\nand the map\nand bread")]
    whole = whatsapp(tmp_path / "whole.txt", talk)
    cut = tmp_path / "cut.txt"
    cut.write_bytes(whole.read_bytes()[: -n_bytes - 1])
    import_file(database, space, cut)
    report = import_file(database, space, whole)
    assert (report.n_new, report.n_edited) == (0, 1)
    assert texts(database) == [words for _, _, words in talk]
    import_file(database, space, whatsapp(tmp_path / "longer.txt", [*talk, (6, "Piet", "ok")]))
    assert texts(database) == [*(words for _, _, words in talk), "ok"]


def test_a_file_that_is_cut_does_not_double_what_is_whole(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    whole = whatsapp(tmp_path / "whole.txt", [*TALK[:4], (5, "Noor", "we meet at the station")])
    import_file(database, space, whole)
    cut = tmp_path / "cut.txt"
    cut.write_bytes(whole.read_bytes()[:-9])
    assert import_file(database, space, cut).n_new == 0
    assert len(texts(database)) == 5


def test_words_that_only_begin_alike_stay_two_messages(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    import_file(database, space, whatsapp(tmp_path / "a.txt", [(1, "Noor", "ok"), (2, "Piet", "yes")]))
    talk: Chat = [(1, "Noor", "ok"), (1, "Noor", "ok then"), (2, "Piet", "yes"), (3, "Noor", "bye")]
    report = import_file(database, space, whatsapp(tmp_path / "b.txt", talk))
    assert (report.n_new, report.n_edited) == (2, 0)


def test_a_chat_under_another_title_goes_on(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    import_file(database, space, telegram(tmp_path / "a.json", TALK[:6], "Trip"))
    assert import_file(database, space, telegram(tmp_path / "b.json", TALK, "Trip 2025")).n_new == 2


def test_messages_of_before_ids_were_kept_get_theirs(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    import_file(database, space, telegram(tmp_path / "a.json", TALK[:6]))
    with database.transaction() as session:
        for episode in session.scalars(select(Episode)):
            episode.external_id = None
    import_file(database, space, telegram(tmp_path / "b.json", TALK[:7]))
    report = import_file(database, space, telegram(tmp_path / "c.json", with_words(TALK, 2, "anew")))
    assert (report.n_new, report.n_edited) == (1, 1)


def believe(database: Database, space: str, text: str, value: str, *more: str) -> str:
    """Store a fact that rests on the message with these words, and on others."""
    registry = Registry.load()
    with database.transaction() as session:
        ids = [
            session.scalars(select(Episode.id).where(Episode.text == said)).one() for said in (text, *more)
        ]
        candidate = FactCandidate("Noor", "lives_in", value, tuple(ids), "Noor", 0.9, "test")
        (fact_id,) = add_candidates(session, space, [candidate], registry)
        decide(session, space, fact_id, "STORE", ["test"], registry, run_id=None)
        session.add(Embedding(owner_kind="episode", owner_id=ids[0], model="m", space_id=space, width=1, vector=b"\0" * 4))  # fmt: skip
        emotions.add_tags(session, space, [types.EmotionTag(ids[0], "joy", 5, "test")])
        keep_readings(session, space, [Found(ids[0], "r", {"joy": 1.0})], clock=utc_now)
    return fact_id


def test_a_fact_goes_with_the_words_that_it_rested_on_and_can_be_read_again(
    database: Database, tmp_path: Path
) -> None:
    space, registry = ensure_space(database), Registry.load()
    talk = with_words(TALK, 3, "I live in Porto")
    talk = [(i, "Noor", words) for i, _, words in talk]
    import_file(database, space, telegram(tmp_path / "a.json", talk[:6]))
    fact_id = believe(database, space, "I live in Porto", "Porto")
    import_file(database, space, telegram(tmp_path / "b.json", with_words(talk, 3, "I live in Porto!")))
    with database.reading() as session:
        assert session.get_one(Fact, fact_id).state == "rejected"
        assert session.scalar(select(func.count()).select_from(Embedding)) == 0
        assert session.scalar(select(func.count()).select_from(EmotionTag)) == 0
        assert session.scalar(select(func.count()).select_from(Reading)) == 0
        entry = session.scalars(select(LedgerEntry).where(LedgerEntry.kind == "rewording")).one()
        assert "Porto" not in json.dumps(entry.payload)
    assert verify(database, space, tmp_path, registry).problems == ()
    assert believe(database, space, "I live in Porto!", "Porto") != fact_id


def test_a_fact_that_others_messages_hold_loses_only_this_one(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    talk = [(i, "Noor", words) for i, _, words in TALK]
    import_file(database, space, telegram(tmp_path / "a.json", talk[:6]))
    fact_id = believe(database, space, "line 2", "Porto", "line 5")
    import_file(database, space, telegram(tmp_path / "b.json", [row for row in talk if row[0] != 2]))
    with database.reading() as session:
        assert session.get_one(Fact, fact_id).state == "stored"
        (held,) = session.scalars(select(Evidence.episode_id).where(Evidence.fact_id == fact_id))
        assert session.get_one(Episode, held).text == "line 5"
    assert verify(database, space, tmp_path, Registry.load()).problems == ()


def test_erasing_the_later_import_brings_the_former_words_back(database: Database, tmp_path: Path) -> None:
    space, registry = ensure_space(database), Registry.load()
    talk = [(i, "Noor", words) for i, _, words in TALK]
    import_file(database, space, telegram(tmp_path / "a.json", talk[:6]))
    changed = with_words(talk, 3, "I moved to Lagos with Bo")
    second = import_file(database, space, telegram(tmp_path / "b.json", changed))
    fact_id = believe(database, space, "I moved to Lagos with Bo", "Lagos")
    outcome = erase(database, space, tmp_path / "home", Target("source", second.source_id), registry)
    assert outcome.scan.is_clean
    assert texts(database) == [f"line {i}" for i in range(1, 7)]
    with database.reading() as session:
        assert session.get(Fact, fact_id) is None
        assert session.scalar(select(func.count()).select_from(EpisodeVersion)) == 0
        assert session.scalar(select(func.count()).select_from(Source)) == 1
    assert verify(database, space, tmp_path / "home", registry).problems == ()


def test_erasing_a_person_takes_their_former_words_and_their_name_in_others(
    database: Database, tmp_path: Path
) -> None:
    space, registry = ensure_space(database), Registry.load()
    talk = with_words(with_words(TALK, 3, "I hid it under the blue stove"), 4, "ask Piet Vink about it")
    talk = [(i, {"Noor": "Ana Reis", "Piet": "Piet Vink"}[who], words) for i, who, words in talk]
    import_file(database, space, telegram(tmp_path / "a.json", talk[:6]))
    import_file(
        database, space, telegram(tmp_path / "b.json", with_words(with_words(talk, 3, "-"), 4, "never mind"))
    )
    with database.reading() as session:
        person = session.scalars(select(Episode.speaker_id).where(Episode.text == "-")).one()
    outcome = erase(database, space, tmp_path / "home", Target("person", person), registry)
    assert outcome.scan.is_clean
    with database.reading() as session:
        (version,) = session.scalars(select(EpisodeVersion)).all()
    assert "Vink" not in version.text
    assert verify(database, space, tmp_path / "home", registry).problems == ()


def test_a_preview_counts_and_writes_nothing(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    import_file(database, space, telegram(tmp_path / "a.json", TALK[:6]))
    later = [row for row in with_words(TALK, 3, "anew") if row[0] != 5]
    export = open_export(telegram(tmp_path / "b.json", later))
    report = import_export(database, space, export, is_preview=True)
    assert (report.n_new, report.n_edited, report.n_deleted) == (2, 1, 1)
    assert texts(database) == [words for _, _, words in TALK[:6]]
    assert import_export(database, space, export).n_new == 2


def test_former_words_past_the_program_are_found_by_verify(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    import_file(database, space, telegram(tmp_path / "a.json", TALK[:6]))
    import_file(database, space, telegram(tmp_path / "b.json", with_words(TALK, 3, "anew")))
    with database.transaction() as session:
        session.scalars(select(EpisodeVersion)).one().text = "forged"
    (problem,) = verify(database, space, tmp_path, Registry.load()).problems
    assert "is not what the ledger recorded" in problem.what


def test_nothing_is_reported_of_an_export_that_changed_nothing(database: Database, tmp_path: Path) -> None:
    space = ensure_space(database)
    import_file(database, space, telegram(tmp_path / "a.json", TALK[:6]))
    report: Any = import_file(database, space, telegram(tmp_path / "b.json", TALK))
    assert (report.n_edited, report.n_deleted, report.n_new) == (0, 0, 2)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(LedgerEntry)) == 0
