from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.locomo import read_locomo
from bench.retrieval import measure
from memory.embedders.hashing import HashingEmbedder

DIALOGUE = {
    "conversation": {
        "speaker_a": "Runa",
        "speaker_b": "Teo",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"dia_id": "D1:1", "speaker": "Runa", "text": "I took up falconry"},
            {"dia_id": "D1:2", "speaker": "Teo", "text": "my kiln exploded"},
        ],
        "session_2_date_time": "12:05 am on 9 June, 2023",
        "session_2": [{"dia_id": "D2:1", "speaker": "Teo", "text": "the new kiln came from Faenza"}],
    },
    "qa": [
        {"question": "What did Runa take up?", "category": 1, "evidence": ["D1:1"]},
        {"question": "What happened to Teo's kilns?", "category": 1, "evidence": ["D:1:02; D2:1"]},
        {"question": "What did Teo take up?", "category": 5, "evidence": ["D1:1"]},
        {"question": "Who knows?", "category": 3, "evidence": []},
    ],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "dialogues.json"
    file.write_text(json.dumps([DIALOGUE]), encoding="utf-8")
    return file


def test_damaged_references_are_repaired_and_adversarial_questions_left_out(path: Path) -> None:
    (dialogue,) = read_locomo(path)
    assert [sorted(question.evidence) for question in dialogue.questions] == [[0], [1, 2]]


def test_a_turn_has_its_sessions_time(path: Path) -> None:
    (dialogue,) = read_locomo(path)
    assert [turn.time.isoformat()[:16] for turn in dialogue.turns[1:]] == [
        "2023-05-08T13:56",
        "2023-06-09T00:05",
    ]


def test_every_system_is_measured_over_the_same_questions(path: Path) -> None:
    numbers = measure(read_locomo(path), [1, 2], HashingEmbedder())
    for system in ("ours", "bm25", "dense", "rrf"):
        assert numbers[system]["questions"] == numbers["questions"] == 2
        assert set(numbers[system]) >= {"recall", "hit", "mrr", "by_category", "search_ms"}
    assert numbers["ours"]["recall"] == {"1": 0.75, "2": 1.0}
