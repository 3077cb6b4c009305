"""Read LoCoMo: dialogues of many sessions with questions and the turns that answer them.

Maharana et al. 2024, https://arxiv.org/abs/2402.17753. The data is given by path and never shipped. Questions of
category 5 (adversarial) and those without evidence are left out; damaged references ("D8:6; D9:17", "D:11:26") are
repaired. A turn's time is its session's, in the order of the turns.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ADVERSARIAL = 5


@dataclass(frozen=True, slots=True)
class Turn:
    id: str
    speaker: str
    text: str
    time: datetime
    said_when: str  # the session's date as the data words it


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    category: int
    evidence: frozenset[int]  # positions of turns


@dataclass(frozen=True, slots=True)
class Dialogue:
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...]


def read_locomo(path: Path) -> list[Dialogue]:
    return [_dialogue(entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def _dialogue(entry: dict[str, Any]) -> Dialogue:
    conversation = entry["conversation"]
    sessions = sorted(
        (key for key in conversation if re.fullmatch(r"session_\d+", key)), key=lambda key: int(key[8:])
    )
    turns: list[Turn] = []
    for key in sessions:
        said_when = conversation.get(f"{key}_date_time", "")
        start = read_time(said_when) or (
            turns[-1].time + timedelta(days=1) if turns else datetime(2023, 1, 1, tzinfo=UTC)
        )
        turns += [
            Turn(turn["dia_id"], turn["speaker"], turn["text"], start + timedelta(seconds=10 * i), said_when)
            for i, turn in enumerate(conversation[key])
        ]
    position = {turn.id: i for i, turn in enumerate(turns)}
    questions = (
        Question(item["question"], item["category"], _evidence(item, position))
        for item in entry["qa"]
        if item["category"] != ADVERSARIAL
    )
    return Dialogue(tuple(turns), tuple(question for question in questions if question.evidence))


def _evidence(item: dict[str, Any], position: dict[str, int]) -> frozenset[int]:
    found = [
        f"D{int(session)}:{int(turn)}"
        for reference in item.get("evidence") or []
        for session, turn in re.findall(r"D:?(\d+):(\d+)", str(reference))
    ]
    return frozenset(position[name] for name in found if name in position)


def read_time(words: str) -> datetime | None:
    """ "1:56 pm on 8 May, 2023" """
    match = re.search(r"(\d+):(\d+)\s*([ap])m on (\d+) (\w+),? (\d{4})", words, re.IGNORECASE)
    if match is None:
        return None
    hour, minute, half, day, month, year = match.groups()
    date = datetime.strptime(f"{day} {month} {year}", "%d %B %Y").replace(tzinfo=UTC)
    return date + timedelta(hours=int(hour) % 12 + (12 if half.lower() == "p" else 0), minutes=int(minute))
