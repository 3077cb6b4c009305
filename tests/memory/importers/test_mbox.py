"""mbox, as mail programs write it (RFC 4155)."""

from __future__ import annotations

from typing import Any

import pytest

from memory.importers.mail_text import own_words, text_of_html

PLAIN = b"""From ana@example.org Wed Mar 12 18:03:11 2025
From: Ana Berg <ana@example.org>
To: "Rask, Bo" <bo@example.org>
Cc: cleo@example.org
Subject: =?utf-8?q?The_b=C3=A5t?=
Date: Wed, 12 Mar 2025 18:03:11 +0100
Message-ID: <1@example.org>
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: 8bit

The caf\xe9 is closed.
>From here it is far.

--\x20
Ana Berg
+47 000

"""
REPLY = b"""From bo@example.org Wed Mar 12 19:03:11 2025
From: "Rask, Bo" <bo@example.org>
To: Ana Berg <ana@example.org>, cleo@example.org
Subject: Re: The boat
Date: Wed, 12 Mar 2025 19:03:11 +0100
Content-Type: multipart/alternative; boundary=x

--x
Content-Type: text/html; charset=utf-8

<html><head><style>p {}</style></head><body><p>Then the &amp; pier?<br>At six.</p>
<blockquote>The caf\xc3\xa9 is closed.</blockquote></body></html>
--x--

"""
BAD = b"""From x Wed Mar 12 20:00:00 2025
From: Ana Berg <ana@example.org>
Subject: no date

hello
"""


def test_own_words_people_and_encodings(look: Any) -> None:
    found = look(PLAIN + REPLY + BAD, "Inbox")
    assert found.kind == "mbox"
    assert found.said == [
        ("Ana Berg", "The båt\n\nThe café is closed.\nFrom here it is far."),
        ("Rask, Bo", "Then the & pier?\nAt six."),
    ]
    assert found.conversations == ["Ana Berg & cleo@example.org & Rask, Bo"]
    assert found.messages[0].hearers == ("Ana Berg", "Rask, Bo", "cleo@example.org")
    assert found.messages[0].external_id == "<1@example.org>"
    assert found.skipped == [("message 2", "no readable time, sender or text")]


def test_two_circles_of_people_are_two_conversations(look: Any) -> None:
    alone = REPLY.replace(b", cleo@example.org", b"")
    assert len(look(PLAIN + alone).conversations) == 2


def test_a_line_that_begins_with_from_within_a_paragraph_begins_no_message(look: Any) -> None:
    found = look(PLAIN.replace(b">From here", b"From here"))
    assert len(found.messages) == 1
    assert "From here it is far." in found.messages[0].text


@pytest.mark.parametrize(
    "quoted",
    [
        "On Wed, 12 Mar 2025 at 18:03, Ana Berg <ana@example.org> wrote:\n> no\n> never",
        "On Wed, 12 Mar 2025 at 18:03, Ana Berg\n<ana@example.org> wrote:\n> no",
        "Am 12.03.2025 um 18:03 schrieb Ana Berg:\n> nein",
        "-----Original Message-----\nFrom: Ana\nno",
        "From: Ana Berg\nSent: Wednesday\nTo: Bo\n\nno",
        "-- \nBo Rask\n+47",
    ],
)
def test_what_is_quoted_is_left_out(quoted: str) -> None:
    assert own_words(f"Yes, from six on.\n\n{quoted}") == "Yes, from six on."


def test_an_answer_below_what_it_quotes_is_kept() -> None:
    assert own_words("Ana wrote this:\n> shall we?\nyes\n> when?\nat six") == "Ana wrote this:\nyes\nat six"


def test_html_becomes_lines() -> None:
    assert text_of_html("<div>one<script>x</script></div><ul><li>a &lt; b</li></ul>") == "one\n\na < b"
