"""Training rows in two formats that other programs share: questions with answers, and conversations in ChatML.

`qa`: JSON lines (or one JSON array) of {"messages": [{"role", "content"}], "person", "type", "keywords"}; a row may have
"question" and "answer" instead of messages. `turns`: JSON lines of {"text": ChatML, "person", "style", "mode"}. Both are
read by what stands in each row, so that a file may mix them, and written so that what was written is read back the same.
A row that cannot be read is Skipped, with its place and the reason, never its words. What a row says is not judged here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sqlalchemy import select

from consolidation.curriculum import Message
from consolidation.errors import NoRows
from db.engine import Database
from db.tables import Example
from memory.facts import ALL_STATUSES, list_facts
from memory.importers.files import File, Meter, Watch
from memory.importers.json_stream import JsonDamage, JsonStream
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.types import Skipped

FORMATS = ("qa", "turns")
MAX_CHARS = 20_000  # of all messages of one row
_SHORT = 8  # messages up to which a conversation's style is "short"
_ROLES = ("system", "user", "assistant")
_MARK = re.compile(r"<\|im_(?:start|end)\|>")
_TURN = re.compile(r"\s*<\|im_start\|>(\w+)[ \t]*\r?\n(.*?)<\|im_end\|>", re.DOTALL)
_TOO_LONG = f"the row is longer than {MAX_CHARS} characters"
WANTED = 'JSON lines with "messages", with "question" and "answer", or with "text" in ChatML'


class BadRow(ValueError):
    """Why a row cannot be read; holds nobody's words."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One conversation to learn from. `form` is SleepTrain's type or mode; `keywords` are values that it teaches."""

    messages: tuple[Message, ...]
    person: str = ""
    form: str = ""
    keywords: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The same for the same words, whoever wrote the row and in whichever format."""
        said = [[message["role"], message["content"]] for message in self.messages]
        return hashlib.sha256(json.dumps([said, self.person]).encode()).hexdigest()[:16]


def read_rows(path: Path, watch: Watch | None = None) -> Iterator[TrainingRow | Skipped]:
    """The rows of a file, one at a time; `watch` is told the bytes read. Raises NoRows where it is no JSON, and OSError."""
    file = File(path.name, path.stat().st_size, path, None, Meter(watch))
    head = file.head_text().lstrip("\ufeff \t\r\n")
    if not head:
        raise NoRows(path.name, "it is empty or no text", WANTED)
    if head[0] not in "[{":
        raise NoRows(path.name, "it is no JSON", WANTED)
    for found in _array(file) if head[0] == "[" else _lines(file):
        if isinstance(found, Skipped):
            yield found
            continue
        place, value = found
        try:
            yield row_of(value)
        except BadRow as error:
            yield Skipped(place, str(error))


def _lines(file: File) -> Iterator[tuple[str, Any] | Skipped]:
    """Each line's place and value."""
    for number, line in enumerate(file.lines(), 1):
        if not line.strip():
            continue
        if len(line) > 8 * MAX_CHARS:
            yield Skipped(f"line {number}", _TOO_LONG)
            continue
        try:
            yield f"line {number}", json.loads(line)
        except (ValueError, RecursionError):
            yield Skipped(f"line {number}", "the line is no JSON, or is cut off")


def _array(file: File) -> Iterator[tuple[str, Any] | Skipped]:
    number = 0
    with JsonStream(file) as stream:
        try:
            for number, value in enumerate(stream.elements(), 1):
                yield f"row {number}", value
        except JsonDamage as damage:
            yield Skipped(damage.place, "the JSON breaks off or is malformed; what follows was not read")


def row_of(value: Any) -> TrainingRow:
    """Raises BadRow."""
    if not isinstance(value, Mapping):
        raise BadRow("the row is no object")
    if "messages" in value:
        messages = _messages(value["messages"])
    elif "text" in value:
        messages = _chatml(value["text"])
    elif "question" in value and "answer" in value:
        asked = {"role": "user", "content": value["question"]}
        messages = _messages([asked, {"role": "assistant", "content": value["answer"]}])
    else:
        raise BadRow('the row has no "messages", no "text", and no "question" with an "answer"')
    form = value.get("type") or value.get("mode") or ""
    keywords = value.get("keywords")
    return TrainingRow(
        messages,
        _word(value.get("person")),
        _word(form),
        tuple(_word(word) for word in keywords[:64]) if isinstance(keywords, list) else (),
    )


def _word(value: Any) -> str:
    """A short text beside the messages; anything else is left out."""
    return " ".join(value.split())[:200] if isinstance(value, str) else ""


def _messages(found: Any) -> tuple[Message, ...]:
    if not isinstance(found, list) or not all(isinstance(message, Mapping) for message in found):
        raise BadRow("the messages are no list of objects")
    messages = []
    for message in found:
        role, content = message.get("role"), message.get("content")
        if role not in _ROLES or not isinstance(content, str):
            raise BadRow('a message has no "role" of system, user or assistant with a text as "content"')
        if _MARK.search(content):
            raise BadRow("a message holds marks of ChatML")
        messages.append({"role": str(role), "content": content.strip()})
    if not {"user", "assistant"} <= {message["role"] for message in messages}:
        raise BadRow("the row needs a turn of the user and one of the assistant")
    if not all(message["content"] for message in messages):
        raise BadRow("a message is empty")
    if sum(len(message["content"]) for message in messages) > MAX_CHARS:
        raise BadRow(_TOO_LONG)
    return tuple(messages)


def _chatml(text: Any) -> tuple[Message, ...]:
    if not isinstance(text, str):
        raise BadRow("the text is no text")
    turns, at = [], 0
    while match := _TURN.match(text, at):
        turns.append({"role": match[1], "content": match[2]})
        at = match.end()
    if not turns or text[at:].strip():
        raise BadRow("the text is no ChatML, or is cut off")
    return _messages(turns)


def as_json(row: TrainingRow, format_: str) -> dict[str, Any] | None:
    """The row as an object of that format; None where ChatML cannot hold it, because a message quotes its marks."""
    if any(_MARK.search(message["content"]) for message in row.messages):
        return None
    about = {"person": row.person}
    if format_ == "qa":
        messages = [{"role": m["role"], "content": m["content"]} for m in row.messages]
        return {"messages": messages, **about, "type": row.form, "keywords": list(row.keywords)}
    text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in row.messages)
    style = "short" if len(row.messages) <= _SHORT else "long"
    return {"text": text, **about, "style": style, "mode": row.form, "keywords": list(row.keywords)}


def write_rows(rows: Iterable[TrainingRow], format_: str, output: IO[bytes]) -> tuple[int, int]:
    """How many rows were written, as JSON lines, and how many left out."""
    n_written = n_left_out = 0
    for row in rows:
        value = as_json(row, format_)
        if value is None:
            n_left_out += 1
            continue
        output.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        n_written += 1
    return n_written, n_left_out


def rows_of_run(
    database: Database, space_id: str, run_id: str, registry: Registry, clock: Clock = utc_now
) -> list[TrainingRow]:
    """What the night trained on, in its order; the exam's questions are not among it."""
    query = select(Example.kind, Example.messages, Example.meta).where(
        Example.run_id == run_id, Example.space_id == space_id, Example.split == "train"
    )
    with database.reading() as session:
        examples = session.execute(query.order_by(Example.id)).all()
    every = list_facts(database, space_id, registry, statuses=ALL_STATUSES, clock=clock) if examples else []
    facts = {fact.id: fact for fact in every}
    rows = []
    for kind, messages, meta in examples:
        about = [facts[fact_id] for fact_id in meta.get("facts", ()) if fact_id in facts]
        rows.append(
            TrainingRow(
                tuple({"role": str(m["role"]), "content": str(m["content"])} for m in messages),
                about[0].subject if about else "",
                str(meta.get("form") or kind),
                tuple(dict.fromkeys(fact.object for fact in about)),
            )
        )
    return rows
