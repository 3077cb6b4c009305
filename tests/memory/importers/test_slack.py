"""A Slack workspace's export, as a folder and as the zip that it comes in."""

from __future__ import annotations

from typing import Any

import pytest

USERS = [
    {
        "id": "U1",
        "name": "ana",
        "real_name": "Ana Berg",
        "profile": {"display_name": "Ana", "real_name": "Ana Berg"},
    },
    {"id": "U2", "name": "bo", "profile": {"display_name": "", "real_name": "Bo Rask"}},
    {"id": "U3", "name": "ana2", "profile": {"display_name": "ana"}},
]
EXPORT: dict[str, Any] = {
    "users.json": USERS,
    "channels.json": [{"id": "C1", "name": "kiln", "members": ["U1", "U2"]}],
    "dms.json": [{"id": "D1", "members": ["U1", "U2"]}],
    "kiln/2025-03-12.json": [
        {"type": "message", "user": "U1", "text": "hot? ask <@U2> in <#C2|glaze>", "ts": "1741802591.000100"},
        {
            "type": "message",
            "subtype": "channel_join",
            "user": "U2",
            "text": "<@U2> joined",
            "ts": "1741802592.0",
        },
        {
            "type": "message",
            "subtype": "bot_message",
            "bot_id": "B1",
            "text": "build ok",
            "ts": "1741802593.0",
        },
        {"type": "message", "user": "U2", "text": "", "files": [{"name": "a.png"}], "ts": "1741802594.0"},
        {"type": "message", "user": "U2", "text": "no time"},
    ],
    "kiln/2025-03-13.json": [
        {
            "type": "message",
            "user": "U3",
            "text": "1 &lt; 2, see <https://example.org|the page> and <https://example.org>",
            "ts": "1741888991.0",
            "edited": {"user": "U3", "ts": "1741888999.0"},
        }
    ],
    "D1/2025-03-12.json": [{"type": "message", "user": "U1", "text": "psst", "ts": "1741802700.0"}],
}


@pytest.mark.parametrize("is_zip", [False, True])
def test_channels_days_and_people(look: Any, is_zip: bool) -> None:
    found = look(EXPORT, is_zip=is_zip)
    assert found.kind == "slack"
    assert found.said == [
        ("Ana", "psst"),
        ("Ana", "hot? ask @Bo Rask in #glaze"),
        ("Bo Rask", "<file>"),
        ("ana (ana2)", "1 < 2, see the page (https://example.org) and https://example.org"),
    ]
    assert found.conversations == ["Ana & Bo Rask", "#kiln"]
    assert found.messages[1].hearers == ("Ana", "Bo Rask")
    assert found.messages[-1].is_edited


def test_bots_joins_and_damage_are_left_out_and_told(look: Any) -> None:
    found = look(EXPORT)
    assert found.n_system == 1
    assert found.skipped == [
        ("2025-03-12.json message 2", "written by a bot"),
        ("2025-03-12.json message 4", "no readable time, text or user"),
    ]


def test_a_day_that_breaks_off_costs_the_rest_of_that_day(look: Any) -> None:
    day = '[{"type": "message", "user": "U1", "text": "one", "ts": "1741802591.0"}, {"type": "mess'
    found = look({**EXPORT, "kiln/2025-03-12.json": day})
    assert [text for _, text in found.said][1] == "one"
    assert found.skipped[0][0].startswith("2025-03-12.json line 1, column")
    assert len(found.messages) == 3
