"""LoCoMo's JSON."""

from __future__ import annotations

import json
from typing import Any

SAMPLE: dict[str, Any] = {
    "qa": [{"question": "Where does Ana row?", "answer": "Oslo", "evidence": ["D1:2"], "category": 1}],
    "conversation": {
        "speaker_a": "Ana",
        "speaker_b": "Bo",
        "session_2_date_time": "12:05 am on 9 June, 2023",
        "session_2": [{"speaker": "Ana", "dia_id": "D2:1", "text": "back again"}],
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Ana", "dia_id": "D1:1", "text": "hi"},
            {"speaker": "Bo", "dia_id": "D1:2", "text": "look", "blip_caption": "a photo of a boat"},
            {"speaker": "Bo", "dia_id": "D1:3"},
        ],
        "session_3_date_time": "some day",
        "session_3": [],
    },
    "observation": {"session_1_observation": {"Ana": [["Ana rows", "D1:1"]]}},
    "sample_id": "conv-1",
}


def test_sessions_in_their_order_a_minute_a_turn(look: Any) -> None:
    found = look(json.dumps([SAMPLE]), "locomo.json")
    assert found.kind == "locomo"
    assert [(m.time.strftime("%m-%d %H:%M"), m.speaker, m.text) for m in found.messages] == [
        ("05-08 13:56", "Ana", "hi"),
        ("05-08 13:57", "Bo", "look [picture: a photo of a boat]"),
        ("06-09 00:05", "Ana", "back again"),
    ]
    assert found.conversations == ["Ana & Bo"]
    assert found.messages[1].external_id == "D1:2"


def test_what_cannot_be_read_is_told(look: Any) -> None:
    assert look(json.dumps([SAMPLE])).skipped == [
        ("sample 0, session_1, turn 2", "no readable speaker or text"),
        ("sample 0, session_3", "no readable time or turns"),
    ]
