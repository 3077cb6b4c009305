"""LoCoMo's dialogues (Maharana et al. 2024, arXiv 2402.17753): a list of samples, each a conversation of many sessions.

Only `conversation` is read: questions, summaries and observations are left alone. A session has one time; its turns follow
it a minute apart. A picture is kept as what its caption says, in brackets after the words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from memory import names
from memory.importers.files import File
from memory.importers.json_stream import JsonDamage, JsonStream
from memory.importers.shape import DAMAGE, Reading, ReadOptions, broken_off, people_of
from memory.importers.values import whole_text
from memory.types import Message, Row, Skipped

_SESSION = re.compile(r"session_(\d+)")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WHEN = re.compile(
    r"(?P<h>\d{1,2}):(?P<m>\d{2}) (?P<half>[AaPp][Mm]) on (?P<day>\d{1,2}) (?P<month>[A-Za-z]{3,9}),? (?P<year>\d{4})"
)


def looks_like(head: str) -> bool:
    has_session = '"session_1"' in head or re.search(r'"evidence"\s*:\s*\[\s*"D\d+:\d+"', head) is not None
    return has_session and ('"qa"' in head or '"speaker_a"' in head)


def read(file: File, options: ReadOptions) -> Reading:
    def rows() -> Iterator[Row]:
        try:
            with JsonStream(file) as stream:
                if stream.peek() == "{":
                    yield from _sample(stream, 0, options)
                else:
                    for number in stream.places():
                        yield from _sample(stream, number, options)
        except JsonDamage as damage:
            yield broken_off(damage)

    return Reading("locomo", ("LoCoMo",), rows)


def _sample(stream: JsonStream, number: int, options: ReadOptions) -> Iterator[Row]:
    for key in stream.members():
        if key == "conversation":
            yield from _conversation(stream.value(), f"sample {number}", options)


def _conversation(found: Any, place: str, options: ReadOptions) -> Iterator[Row]:
    try:
        people = tuple(names.clean(whole_text(found[key])) for key in ("speaker_a", "speaker_b"))
        sessions = sorted((key for key in found if _SESSION.fullmatch(key)), key=lambda key: int(key[8:]))
    except DAMAGE:
        yield Skipped(place, "no readable speakers")
        return
    for key in sessions:
        try:
            begun = _time(whole_text(found[f"{key}_date_time"]), options.zone)
            turns = list(found[key])
        except DAMAGE:
            yield Skipped(f"{place}, {key}", "no readable time or turns")
            continue
        for number, turn in enumerate(turns):
            at = f"{place}, {key}, turn {number}"
            try:
                yield _row(turn, begun + timedelta(minutes=number), people)
            except DAMAGE:
                yield Skipped(at, "no readable speaker or text")


def _row(turn: Mapping[str, Any], time: datetime, people: tuple[str, ...]) -> Row:
    text = whole_text(turn.get("text") or "").strip()
    if turn.get("blip_caption"):
        text = f"{text} [picture: {whole_text(turn['blip_caption']).strip()}]".strip()
    speaker = names.clean(whole_text(turn["speaker"]))
    if not speaker or not text:
        raise ValueError("a turn without words or speaker")
    dia_id = str(turn["dia_id"]) if turn.get("dia_id") else None
    return Message(time, speaker, text, external_id=dia_id, conversation=people_of(people), hearers=people)


def _time(said: str, zone: tzinfo) -> datetime:
    """From `1:56 pm on 8 May, 2023`; raises ValueError."""
    match = _WHEN.fullmatch(said.strip())
    if match is None:
        raise ValueError("no time of a session")
    hour = int(match["h"]) % 12 + (12 if match["half"].lower() == "pm" else 0)
    month = _MONTHS.index(match["month"][:3].lower()) + 1
    return datetime(int(match["year"]), month, int(match["day"]), hour, int(match["m"]), tzinfo=zone)
