"""Claims about what a persona is measured on: the windows of training, no others."""

from __future__ import annotations

import json
from pathlib import Path

from consolidation.style import read_talk
from service.entrances.fidelity import gather
from service.entrances.style import Wish, ground_of
from service.settings import Settings
from service.wiring import Services
from simulator.recall import Recall


def test_a_reply_to_a_photo_is_no_reply_to_the_text_before_it(tmp_path: Path) -> None:
    said = [
        ("Bo Rask", "is the boat new?", "text"),
        ("Bo Rask", "", "media"),
        ("Ada Lund", "what a sunset", "text"),
        ("Bo Rask", "yes", "text"),
        ("Ada Lund", "lovely", "text"),
    ]
    rows = [
        {"time": f"2025-03-01T10:{i:02}:00Z", "speaker": speaker, "text": text, "kind": kind}
        for i, (speaker, text, kind) in enumerate(said)
    ]
    chat = tmp_path / "chat.jsonl"
    chat.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    with Services(Settings(home=tmp_path / "home")) as services:
        services.import_file(chat)
        talk, ada = read_talk(ground_of(services, Wish())), services.person("Ada Lund")
        since = talk.episodes[0].time
        material = gather(ada, talk, since, Recall(services.simulator_tools(), ada))
    assert [one.lines for one in material.replies] == [("lovely",)]
    assert [turn.text for turn in material.replies[0].before] == ["what a sunset", "yes"]
