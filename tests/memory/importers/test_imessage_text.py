"""iMessage by way of imessage-exporter's txt, in the shape its documentation and tests show (versions 1 to 4)."""

from __future__ import annotations

from typing import Any

CHAT = """May 17, 2022  5:29:42 PM (Read by you after 1 hour, 49 seconds)
Ana Berg
Are you coming?

It starts at six.
Tapbacks:
Loved by Me

May 17, 2022  5:30:10 PM (Read by them after 2 seconds)
Me
Yes
This message responded to an earlier message.

    May 17, 2022  5:30:10 PM
    Me
    Yes

May 17, 2022  5:31:00 PM You renamed the conversation to Rowing
May 17, 2022 12:00:00 AM
Me
/Users/me/Library/Messages/Attachments/a0/IMG_1.HEIC

May 18, 2022 12:05:00 PM
Ana Berg
see you at sevn
Edited 10 seconds later: see you at seven
Sent with Fireworks

May 18, 2022 12:06:00 PM
Ana Berg
Ana Berg unsent this message part 5 seconds after sending!

"""


def test_words_are_told_from_what_the_exporter_adds(look: Any) -> None:
    found = look(CHAT, "+15550000001.txt", me="Bo Rask", timezone="America/New_York")
    assert found.kind == "imessage"
    assert found.said == [
        ("Ana Berg", "Are you coming?\n\nIt starts at six."),
        ("Bo Rask", "Yes"),
        ("Bo Rask", "<attachment>"),
        ("Ana Berg", "see you at seven"),
        ("Ana Berg", ""),
    ]
    assert [message.kind for message in found.messages] == ["text", "text", "media", "text", "deleted"]
    assert found.messages[3].is_edited
    assert found.conversations == ["Ana Berg & Bo Rask"]
    assert (found.n_system, found.skipped) == (1, [])


def test_times_have_twelve_hours_and_the_zone_of_the_import(look: Any) -> None:
    times = [message.time.isoformat() for message in look(CHAT, timezone="America/New_York").messages]
    assert times[0] == "2022-05-17T17:29:42-04:00"
    assert times[2] == "2022-05-17T00:00:00-04:00"
    assert times[3] == "2022-05-18T12:05:00-04:00"


def test_a_date_that_does_not_exist_is_told(look: Any) -> None:
    found = look(CHAT + "Feb 31, 2022 12:06:00 PM\nAna Berg\nhm\n\nXyz 01, 2022  1:00:00 PM\nAna Berg\nhm\n")
    lines = CHAT.count("\n")
    assert found.skipped == [
        (f"line {lines + 1}", "no readable time"),
        (f"line {lines + 5}", "no readable time"),
    ]


def test_a_folder_holds_a_file_per_conversation(look: Any) -> None:
    other = "May 17, 2022  5:29:42 PM\nCleo\nhi\n"
    found = look({"a.txt": CHAT, "Rowing.txt": other})
    assert found.conversations == ["Rowing", "Ana Berg & Me"]
