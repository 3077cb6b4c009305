"""What each parser makes of files in the shapes that the real exporters document."""

from __future__ import annotations

import json
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.errors import BrokenExport, EmptyChat, GraphError, UnknownFormat
from memory.importers import detect
from memory.importers.detect import Export
from memory.importers.files import File, Meter
from memory.importers.shape import ReadOptions
from memory.importers.tally import Tally
from memory.importing import ImportOptions, open_export
from memory.types import Message, Skipped

FIXTURES = Path(__file__).parent / "fixtures"
LATER = datetime(2060, 1, 1, tzinfo=UTC)


class Read:
    """An export read to its end, for looking at."""

    def __init__(self, export: Export) -> None:
        rows = list(export.rows())
        self.kind, self.notes = export.kind, export.notes
        self.messages = [row for row in rows if isinstance(row, Message)]
        self.skipped = [row for row in rows if isinstance(row, Skipped)]
        self.tally = Tally()
        for row in rows:
            self.tally.add(row)
        self.n_system = self.tally.n_system

    @property
    def conversation(self) -> str:
        (name,) = self.tally.chats
        return name


def read(name: str, timezone: str = "UTC") -> Read:
    return Read(open_export(FIXTURES / name, ImportOptions(timezone)))


def opened(raw: bytes, name: str, folder: Path | None = None) -> Export:
    with tempfile.TemporaryDirectory() as made:
        path = Path(folder or made) / "given"
        path.write_bytes(raw)
        meter = Meter()
        file = File(name, len(raw), path, None, meter)
        return detect.open_files((file,), name, meter, ReadOptions(UTC, LATER))


def parse(text: str | bytes, name: str = "chat.txt") -> Read:
    raw = text.encode() if isinstance(text, str) else text
    with tempfile.TemporaryDirectory() as folder:
        return Read(opened(raw, name, Path(folder)))


def at(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)  # type: ignore[arg-type, misc]


def test_android_month_first_is_seen_from_a_field_above_twelve() -> None:
    export = read("android_us.txt")
    assert [m.time for m in export.messages[:3]] == [
        at(2025, 3, 5, 18, 3),
        at(2025, 3, 5, 23, 59),
        at(2025, 3, 14, 0, 1),
    ]
    assert (export.kind, export.conversation, export.n_system) == ("whatsapp", "Ruth Okafor & Sam Petit", 1)


def test_android_lines_without_a_head_continue_the_message() -> None:
    assert read("android_us.txt").messages[1].text == "yes: all three crates\nthey are in the hall"


def test_android_media_deleted_and_edited_lines_are_told_apart() -> None:
    found = [(m.kind, m.text, m.is_edited) for m in read("android_us.txt").messages[2:]]
    assert found == [
        ("media", "<Media omitted>", False),
        ("deleted", "This message was deleted", False),
        ("text", "looks great", True),
        ("text", "the blue one is mine", False),
        ("media", "VID-20250314-WA0004.mp4 (file attached)", False),
    ]


def test_android_dotted_dates_bom_and_phone_numbers() -> None:
    export = read("android_dotted.txt")
    assert [m.speaker for m in export.messages[:2]] == ["Jürgen Weiß", "+49 170 0000001"]
    assert [m.kind for m in export.messages] == ["text", "text", "media", "deleted", "text"]
    assert export.messages[0].time == at(2025, 3, 12, 18, 3)
    assert export.messages[-1].is_edited
    assert export.n_system == 1


def test_android_group_notices_with_colons_are_no_speakers() -> None:
    export = read("android_group.txt")
    assert {m.speaker for m in export.messages} == {"Mia Sand", "Ivo: plumber", "🦊 Fen", "+34 600 000 001"}
    assert export.n_system == 7
    assert export.conversation == "Trip: south"
    assert export.messages[2].text == "list:\n- pegs\n- rope: two"


def test_ios_marks_media_captions_and_notices() -> None:
    export = read("ios_direct.txt")
    assert [(m.kind, m.text) for m in export.messages] == [
        ("text", "I found the key"),
        ("text", "where?\n\nunder the mat?"),
        ("media", "image omitted"),
        ("text", "look here"),
        ("media", "plan.pdf • 2 pages document omitted"),
        ("deleted", "This message was deleted."),
        ("text", "I meant Tuesday"),
        ("text", "I noticed the image omitted"),
    ]
    assert export.messages[0].time == at(2025, 3, 12, 18, 3, 11)
    assert export.messages[6].is_edited
    assert (export.n_system, export.conversation) == (2, "Lena Voss & Omar Haddad")


def test_ios_group_is_named_by_its_notices_and_tildes_go() -> None:
    export = read("ios_group.txt")
    assert [m.speaker for m in export.messages] == ["Ana", "Bo", "+1 (555) 010-0001"]
    assert (export.conversation, export.n_system) == ("Choir", 3)
    assert export.messages[1].time == at(2024, 2, 2, 7, 4)


def chat(dates: list[str], form: str = "{}, 10:00 - Ana: hi") -> str:
    return "\n".join(form.format(date) for date in dates)


@pytest.mark.parametrize(
    ("dates", "form", "first_and_last"),
    [
        (["03/04/2025", "13/04/2025"], "{}, 10:00 - Ana: hi", [(4, 3), (4, 13)]),
        (["3/4/25", "3/13/25"], "{}, 10:00 - Ana: hi", [(3, 4), (3, 13)]),
        (["11/01/2025", "12/01/2025", "01/02/2025"], "{}, 10:00 - Ana: hi", [(1, 11), (2, 1)]),
        (["1/11/25", "1/12/25", "2/1/25"], "{}, 10:00 - Ana: hi", [(1, 11), (2, 1)]),
        (["05/04/2025", "06/04/2025", "07/04/2025"], "{}, 10:00 - Ana: hi", [(4, 5), (4, 7)]),
        (["4/5/25", "4/6/25", "4/7/25"], "{}, 10:00 - Ana: hi", [(4, 5), (4, 7)]),
        (["04/05/2025"], "{}, 10:00 - Ana: hi", [(5, 4), (5, 4)]),
        (["4/5/25"], "{}, 9:00\u202fPM - Ana: hi", [(4, 5), (4, 5)]),
        (["04/05/25"], "{}, 9:00\u202fpm - Ana: hi", [(5, 4), (5, 4)]),
        (["2025-04-05", "2025-04-06"], "{} 10:00 - Ana: hi", [(4, 5), (4, 6)]),
        (["2025/4/5"], "{} 下午6:03 - Ana: hi", [(4, 5), (4, 5)]),
        (["05.04.2025"], "{} 18.03 - Ana: hi", [(4, 5), (4, 5)]),
        (["2025. 4. 5."], "{} 오후 6:03 - Ana: hi", [(4, 5), (4, 5)]),
        (["5/4/25"], "{}, 6:03 p. m. - Ana: hi", [(4, 5), (4, 5)]),
    ],
)
def test_date_order_is_decided_over_the_file(
    dates: list[str], form: str, first_and_last: list[tuple[int, int]]
) -> None:
    messages = parse(chat(dates, form)).messages
    assert [(m.time.month, m.time.day) for m in (messages[0], messages[-1])] == first_and_last


def test_an_undecided_date_order_is_noted() -> None:
    assert any("nothing in the file decides" in note for note in parse(chat(["04/05/2025"])).notes)


def test_dates_in_two_orders_are_all_read_and_told() -> None:
    export = parse(chat(["13/04/2025", "14/04/2025", "4/15/2025", "04/16/2025", "17/04/2025"]))
    assert [m.time.day for m in export.messages] == [13, 14, 15, 16, 17]
    assert "dates read day first; 2 dates only fit the other order" in export.notes


def test_lines_before_the_first_message_are_told() -> None:
    export = parse("a title\n\n12/03/2025, 18:03 - Ana: hi")
    assert export.skipped == [Skipped("line 1", "no message begins before it")]


def test_a_message_without_end_is_cut_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memory.importers.whatsapp.MAX_MESSAGE", 100)
    export = parse("12/03/2025, 18:03 - Ana: hi\n" + "more\n" * 50 + "12/03/2025, 18:04 - Bo: ho")
    assert [len(m.text) < 120 for m in export.messages] == [True, True]
    assert export.messages[1].text == "ho"
    assert export.skipped == [Skipped("line 1", "it goes on for more than 100 characters")]


def test_a_pasted_chat_of_another_style_stays_inside_its_message() -> None:
    text = "12/03/2025, 18:03 - Ana: look\n[11/03/2025, 10:00:00] Zed: hi\n12/03/2025, 18:04 - Bo: who is Zed"
    assert [m.speaker for m in parse(text).messages] == ["Ana", "Bo"]


def test_times_are_read_in_the_given_zone() -> None:
    message = read("ios_direct.txt", "Europe/Lisbon").messages[0]
    assert message.time == datetime(2025, 3, 12, 18, 3, 11, tzinfo=ZoneInfo("Europe/Lisbon"))


def test_telegram_personal_chat() -> None:
    export = read("telegram_personal.json")
    assert [(m.speaker, m.kind, m.text) for m in export.messages] == [
        ("Noor", "text", "see https://example.org and hurry"),
        ("Piet", "text", "on my way"),
        ("Piet", "media", "<sticker 🙂>"),
        ("Noor", "text", "my new desk"),
        ("Deleted account user7", "text", "hello?"),
        ("Piet", "text", "Forwarded from Radio:\n> storm\n> tonight"),
    ]
    assert export.messages[0].time == at(2025, 3, 12, 17, 3, 11)
    assert [m.is_edited for m in export.messages[:2]] == [False, True]
    assert (export.conversation, export.n_system) == ("Noor", 1)


def test_telegram_account_export_gives_every_chat_with_messages() -> None:
    export = read("telegram_all.json", "Europe/Lisbon")
    chats = export.tally.chats
    assert [(name, chat.n_messages) for name, chat in chats.items()] == [("Noor", 6), ("Saved messages", 1)]
    assert export.messages[-1].time.astimezone(UTC) == at(2025, 3, 13, 18, 8)


def test_discord_channel() -> None:
    export = read("discord_guild.json")
    assert [(m.speaker, m.kind, m.text) for m in export.messages] == [
        ("Kim (kim_b)", "text", "anyone tried ash glaze?"),
        ("Kim (kim_c)", "text", "twice, it ran"),
        ("Kim (kim_b)", "media", "<attachment>"),
        ("lou", "media", "<sticker>"),
    ]
    assert export.messages[0].time.astimezone(UTC) == at(2025, 3, 12, 17, 3, 11, 123000)
    assert export.messages[1].is_edited
    assert (export.conversation, export.n_system) == ("Potters / glaze", 1)
    assert [row for row in export.skipped if "bot" in row.reason] == [
        Skipped("message 5", "written by a bot")
    ]


def test_json_lines() -> None:
    export = read("lines.jsonl", "Europe/Stockholm")
    assert [m.time.astimezone(UTC) for m in export.messages] == [
        at(2025, 3, 12, 18, 3, 11),
        at(2025, 3, 12, 17, 4),
        at(2025, 3, 12, 19),
    ]
    assert (export.conversation, export.n_system, export.messages[1].is_edited) == ("Ada & Bo", 1, True)


def test_the_ending_of_the_name_decides_nothing() -> None:
    for name, kind in (
        ("telegram_personal.json", "telegram"),
        ("lines.jsonl", "jsonl"),
        ("ios_direct.txt", "whatsapp"),
    ):
        assert opened((FIXTURES / name).read_bytes(), "file.bin").kind == kind


@pytest.mark.parametrize("name", ["telegram_personal.json", "telegram_all.json", "discord_guild.json"])
@pytest.mark.parametrize("share", [0.7, 0.9, 0.99])
def test_a_truncated_json_is_read_up_to_the_break_and_says_where(name: str, share: float) -> None:
    raw = (FIXTURES / name).read_bytes()
    export = parse(raw[: int(len(raw) * share)], name)
    whole = parse(raw, name)
    assert export.messages == whole.messages[: len(export.messages)]
    assert re.fullmatch(r"line \d+, column \d+", export.skipped[-1].place)
    assert "nothing after it is read" in export.skipped[-1].reason


@pytest.mark.parametrize("name", ["telegram_personal.json", "telegram_all.json", "discord_guild.json"])
def test_a_json_truncated_before_its_first_message_names_line_and_column(name: str) -> None:
    with pytest.raises(BrokenExport, match=r"line \d+, column \d+"):
        parse((FIXTURES / name).read_bytes()[:60], name)


def test_a_truncated_line_of_json_lines_is_named() -> None:
    raw = (FIXTURES / "lines.jsonl").read_bytes()
    assert parse(raw[:-20], "lines.jsonl").skipped[-1].place.startswith("line 5, column")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"time": "2025-03-12T18:03:11Z", "text": "a"}', "it lacks speaker"),
        ('{"time": "yesterday", "speaker": "Ada", "text": "a"}', "no readable time or text"),
        ('{"time": true, "speaker": "Ada", "text": "a"}', "no readable time or text"),
        ('{"time": 1e300, "speaker": "Ada", "text": "a"}', "no readable time or text"),
        ('{"time": "0001-01-01", "speaker": "Ada", "text": "a"}', "no readable time or text"),
        ('{"time": "2025-03-12", "speaker": "Ada", "text": ["a"]}', "no readable time or text"),
        ('{"time": "2099-03-12", "speaker": "Ada", "text": "a"}', "its time, in 2099, lies in the future"),
        ("[1]", "no object"),
    ],
)
def test_a_damaged_json_line_is_left_out_with_its_number_and_the_rest_is_read(line: str, why: str) -> None:
    good = '{"time": "2025-03-12T18:03:11Z", "speaker": "Ada", "text": "a"}\n'
    export = parse(f"{good}{line}\n{good}", "x.jsonl")
    assert [row.reason for row in export.skipped] == [why]
    assert len(export.messages) == 2
    assert "future" in why or export.skipped[0].place == "line 2"


@pytest.mark.parametrize("line", ["[1]", '{"time": "soon", "speaker": "Ada", "text": "a"}'])
def test_a_file_of_which_nothing_can_be_read_is_refused_with_the_first_reason(line: str) -> None:
    with pytest.raises(BrokenExport, match="line 1: "):
        parse('{"time": 0, "speaker": "Ada"}\n' + line, "x.jsonl")


@pytest.mark.parametrize("field", ["date", "text"])
def test_a_damaged_telegram_message_is_left_out_with_its_number(field: str) -> None:
    good = {"type": "message", "date": "2025-03-12T18:04:00", "from": "Piet", "text": "a"}
    rows = [good, {**good, field: {"nothing": 1}}, good]
    export = parse(json.dumps({"name": "x", "type": "personal_chat", "messages": rows}))
    assert len(export.messages) == 2
    assert [row.place for row in export.skipped] == ["message 1"]


@pytest.mark.parametrize("row", [1, None, {"type": "Default"}, {"type": "Default", "author": None}])
def test_a_damaged_discord_message_is_left_out(row: object) -> None:
    with pytest.raises(BrokenExport, match="message 0"):
        parse(json.dumps({"channel": {"name": "c"}, "messages": [row]}))


@pytest.mark.parametrize("name", ["telegram_all.json", "discord_guild.json"])
def test_a_value_of_the_wrong_kind_anywhere_is_damage_or_harmless(name: str) -> None:
    text = (FIXTURES / name).read_text(encoding="utf-8")
    document = json.loads(text)
    for owner, key in [*_places(document)]:
        kept = owner[key]
        for odd in (None, 1, "\ud800", [1], {"a": 1}):
            owner[key] = odd
            try:
                export = parse(json.dumps(document), name)
            except GraphError:
                continue
            assert all(m.text.encode() and m.speaker.encode() for m in export.messages)
        owner[key] = kept


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


@pytest.mark.parametrize(
    "raw",
    [
        b"just some prose\nand more",
        b"%PDF-1.7\n\0\0",
        b"\x89PNG\r\n\0\0",
        b"{\\rtf1 x}",
        b"[1, 2]",
        b'{"a": 1}',
        b"a,b\n1,2",
    ],
)
def test_other_files_are_refused_with_the_formats_that_are_read(raw: bytes) -> None:
    with pytest.raises(UnknownFormat, match="WhatsApp"):
        parse(raw, "other")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "\ufeff",
        '{"name": "x", "type": "personal_chat", "messages": []}',
        '{"guild": {}, "channel": {"name": "x"}, "messages": []}',
        "12/03/2025, 18:03 - Messages and calls are end-to-end encrypted.",
    ],
)
def test_a_chat_without_messages_is_empty(text: str) -> None:
    with pytest.raises(EmptyChat):
        parse(text)


def test_bytes_that_are_no_utf8_are_replaced_and_noted() -> None:
    raw = b"12/03/2025, 18:03 - Ana: caf\xe9 ol\xe9\n"
    export = parse(raw, "x.txt")
    assert export.messages[0].text == "caf\ufffd ol\ufffd"
    assert "2 places" in export.skipped[-1].reason


def test_utf16_is_read() -> None:
    assert parse("12/03/2025, 18:03 - Ana: olá".encode("utf-16")).messages[0].text == "olá"


def test_halves_of_surrogate_pairs_can_be_stored() -> None:
    line = '{"time": "2025-03-12", "speaker": "A\\ud800", "text": "x \\ud83d \\ud83d\\ude00"}'
    message = parse(line).messages[0]
    assert message.text == "x \ufffd 😀"
    assert message.speaker.encode()


_FILLERS = "\u115f\u1160\u3164\uffa0\u2800"  # letters by category that draw nothing, and leave a name
_NAMES = st.text(st.characters(categories=("L", "So"), exclude_characters=_FILLERS), min_size=1, max_size=12)
_WORDS = st.lists(st.text(st.characters(categories=("L", "N", "P", "So"), exclude_characters="<>\u200e"), max_size=12), min_size=1, max_size=6)  # fmt: skip


@given(st.lists(st.tuples(_NAMES, _WORDS, st.integers(0, 10**6)), min_size=1, max_size=12))
def test_what_is_written_in_android_form_reads_back(rows: list[tuple[str, list[str], int]]) -> None:
    time, lines, expected = at(2024, 1, 13), [], []
    for name, words, minutes in rows:
        time += timedelta(minutes=minutes)
        text = " ".join(f"w{word}" for word in words)
        expected.append(Message(time, unicodedata.normalize("NFC", f"N{name}"), text))
        lines.append(f"{time:%d/%m/%Y, %H:%M} - N{name}: {text}")
    assert [replace(m, conversation="") for m in parse("\n".join(lines)).messages] == expected
