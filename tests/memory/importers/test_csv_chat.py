"""Tables: DiscordChatExporter 2.46's CSV, and tables that people make themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from memory.errors import BrokenExport

# the columns and dates that DiscordChatExporter writes
DISCORD = '''AuthorID,Author,Date,Content,Attachments,Reactions
"101","kim","2025-03-12T18:03:11.1230000+01:00","anyone tried ash glaze?","","🔥 (2)"
"102","kim","2025-03-12T18:04:00.0000000+01:00","twice, it ran
all over the shelf","",""
"101","kim","2025-03-12T18:05:00.0000000+01:00","","https://example.org/a.png",""
"103","lou","2025-03-12T18:06:00.0000000+01:00","he said ""no""","",""
'''


def test_a_discord_table_tells_accounts_of_one_name_apart(look: Any) -> None:
    found = look(DISCORD, "Potters - clay - glaze [1122334455].csv")
    assert found.kind == "discord"
    assert found.said == [
        ("kim (101)", "anyone tried ash glaze?"),
        ("kim (102)", "twice, it ran\nall over the shelf"),
        ("kim (101)", "<attachment>"),
        ("lou", 'he said "no"'),
    ]
    assert found.messages[0].time.astimezone(UTC) == datetime(2025, 3, 12, 17, 3, 11, 123000, tzinfo=UTC)
    assert found.conversations == ["Potters - clay - glaze"]
    assert [message.kind for message in found.messages] == ["text", "text", "media", "text"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_and_columns_are_told_from_the_header(look: Any, delimiter: str) -> None:
    rows = [
        ("Sender", "Message", "Sent At"),
        ("Ana", "hi", "2025-03-12 18:03:11"),
        ("Bo", "ho", "1741802640"),
    ]
    found = look("\r\n".join(delimiter.join(row) for row in rows), "x.csv")
    assert (found.kind, found.said) == ("csv", [("Ana", "hi"), ("Bo", "ho")])
    assert found.messages[1].time == datetime(2025, 3, 12, 18, 4, tzinfo=UTC)
    assert found.conversations == ["Ana & Bo"]


@pytest.mark.parametrize(
    ("dates", "month_and_day"),
    [
        (("05/03/2025", "13/03/2025"), (3, 5)),
        (("5/3/25", "5/13/25"), (5, 3)),
        (("05.03.2025", "06.03.2025"), (3, 5)),
    ],
)
def test_the_order_of_dates_is_decided_over_the_whole_table(
    look: Any, dates: tuple[str, str], month_and_day: tuple[int, int]
) -> None:
    rows = "".join(f"{date},6:03 PM,Ana,hi\n" for date in dates)
    message = look(f"date,time,name,text\n{rows}").messages[0]
    assert (message.time.month, message.time.day) == month_and_day
    assert (message.time.hour, message.time.minute) == (18, 3)


def test_a_column_of_chats_makes_conversations(look: Any) -> None:
    rows = "2025-01-01,Ana,a,Choir\n2025-01-02,Bo,b,Rowing\n"
    assert look("time,speaker,text,chat\n" + rows).conversations == ["Choir", "Rowing"]


def test_rows_that_cannot_be_read_are_left_out_with_their_line(look: Any) -> None:
    rows = [
        "2025-01-01,Ana,one",
        "soon,Ana,two",
        "2025-01-02,,three",
        "",
        "2025-01-03,Ana,",
        "2025-01-04,Ana,five",
    ]
    found = look("time,speaker,text\n" + "\n".join(rows))
    assert [text for _, text in found.said] == ["one", "<attachment>", "five"]
    assert found.skipped == [("line 3", "no readable time"), ("line 4", "no speaker")]


def test_a_quotation_mark_that_is_never_closed_is_told(look: Any) -> None:
    found = look('time,speaker,text\n2025-01-01,Ana,one\n2025-01-02,Ana,"' + "word " * 40_000)
    assert [text for _, text in found.said] == ["one"]
    assert found.skipped[0] == ("line 3", "a quotation mark is never closed, or a cell is too long")


def test_a_table_without_a_readable_row_is_refused(look: Any) -> None:
    with pytest.raises(BrokenExport, match="line 2: no readable time"):
        look("time,speaker,text\nsoon,Ana,hi\n")
