"""mem0's memories, as `get_all()` and the platform give them: {"results": [...]}, a bare list, or JSON lines.

A memory is a note about its user, observed when it was created; the same id with other words is an update and is
observed when it was updated. Its user told it to mem0 and so knows it. Graph relations become facts. Categories,
metadata and scores are passed over. Keys may be written in snake_case or camelCase.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from memory import names
from memory.errors import BrokenExport
from memory.exchange.notes import PERSON, Note, Notebook, Relation, Thing
from memory.importers.values import parse_time, whole_text

KIND = "mem0"
_LISTS = ("results", "memories")
_WORDS = ("memory", "data", "text")
_MARKS = ("id", "hash", "user_id", "agent_id", "run_id", "created_at", "metadata")
_OWNERS = (("user_id", PERSON), ("actor_id", PERSON), ("agent_id", "thing"))


def looks_like(row: Any) -> bool:
    """Whether the object is a memory, or a whole answer with a list of them."""
    if not isinstance(row, dict):
        return False
    known = _snake(row)
    lists = [known[key] for key in _LISTS if isinstance(known.get(key), list)]
    if lists:
        return not lists[0] or looks_like(lists[0][0])
    return any(key in known for key in _WORDS) and any(key in known for key in _MARKS)


def parse_lines(text: str, file_name: str) -> Notebook:
    """JSON lines of memories; raises BrokenExport with the line."""
    reader = _Reader(file_name)
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            why = f"line {number}: malformed JSON at column {error.colno} ({error.msg})"
            raise BrokenExport(file_name, why) from error
        except RecursionError as error:
            raise BrokenExport(file_name, f"line {number}: nested too deeply") from error
        reader.take(f"line {number}", row)
    return reader.notebook()


def parse_document(document: Any, file_name: str) -> Notebook:
    """One JSON document; raises BrokenExport with the number of the memory or relation that is damaged."""
    reader = _Reader(file_name)
    reader.take("the document", {"results": document} if isinstance(document, list) else document)
    return reader.notebook()


@dataclass(slots=True)
class _Reader:
    file_name: str
    things: dict[str, Thing] = field(default_factory=dict)  # by the name's key
    notes: list[Note] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    tellers: set[str] = field(default_factory=set)

    def take(self, where: str, row: Any) -> None:
        if not isinstance(row, dict):
            raise self._damage(where, "no object")
        known = _snake(row)
        lists = [known[key] for key in _LISTS if isinstance(known.get(key), list)]
        if not lists:
            self._memory(where, known)
        for number, memory in enumerate((item for found in lists for item in found), start=1):
            self._memory(f"memory {number}", memory)
        relations = known.get("relations") or []
        if not isinstance(relations, list):
            raise self._damage(where, "relations is no list")
        for number, relation in enumerate(relations, start=1):
            self._relation(f"relation {number}", relation)

    def _memory(self, where: str, row: Any) -> None:
        if not isinstance(row, dict):
            raise self._damage(where, "no object")
        known = _snake(row)
        said = next((known[key] for key in _WORDS if known.get(key) is not None), None)
        if said is None:
            raise self._damage(where, "memory is missing")
        text = self._text(where, "memory", said).strip()
        if text:
            note = Note(
                about=self._about(where, known),
                text=text,
                id=self._text(where, "id", known.get("id") or known.get("hash") or ""),
                time=self._time(where, "created_at", known),
                updated=self._time(where, "updated_at", known),
            )
            self.notes.append(note)

    def _about(self, where: str, known: dict[str, Any]) -> str:
        for key, kind in _OWNERS:
            if known.get(key):
                name = _plain_name(self._text(where, key, known[key]))
                if name:
                    thing = self.things.setdefault(names.key(name), Thing(name, kind))
                    if thing.kind == PERSON:
                        self.tellers.add(thing.name)
                    return thing.name
        return ""

    def _relation(self, where: str, row: Any) -> None:
        if not isinstance(row, dict):
            raise self._damage(where, "no object")
        known = _snake(row)
        said = []
        for keys in (("source",), ("relationship", "relation"), ("target", "destination")):
            value = next((known[key] for key in keys if known.get(key)), None)
            if value is None:
                raise self._damage(where, f"{keys[0]} is missing")
            said.append(self._text(where, keys[0], value))
        source, target = _plain_name(said[0]), _plain_name(said[2])
        if not source or not target:
            raise self._damage(where, "source or target is empty")
        for name, type_ in ((source, known.get("source_type")), (target, known.get("target_type"))):
            if type_ == PERSON:
                self.things.setdefault(names.key(name), Thing(name, PERSON))
        self.relations.append(Relation(source, said[1], target, self._time(where, "created_at", known)))

    def _text(self, where: str, key: str, value: Any) -> str:
        try:
            return whole_text(value)
        except TypeError as error:
            raise self._damage(where, f"{key} is no text") from error

    def _time(self, where: str, key: str, known: dict[str, Any]) -> datetime | None:
        if known.get(key) is None:
            return None
        try:
            return parse_time(known[key], UTC)
        except (TypeError, ValueError, OverflowError) as error:
            raise self._damage(where, f"{key} is no time") from error

    def _damage(self, where: str, why: str) -> BrokenExport:
        return BrokenExport(self.file_name, f"{where}: {why}")

    def notebook(self) -> Notebook:
        notes = sorted(self.notes, key=_age)
        return Notebook(
            KIND,
            tuple(self.things.values()),
            tuple(notes),
            tuple(self.relations),
            frozenset(self.tellers),
            ("mem0 memories",),
        )


def _age(note: Note) -> tuple[bool, datetime]:
    """Oldest first, those without a time last; the order of the file among equals."""
    return note.time is None, note.time or datetime.min.replace(tzinfo=UTC)


def _snake(row: dict[str, Any]) -> dict[str, Any]:
    return dict(_pairs(row.items()))


def _pairs(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for key, value in items:
        yield re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower(), value


def _plain_name(name: str) -> str:
    """A name as mem0's graph writes it, as people do: "user_id:_ada_lund" is "ada lund"."""
    said = re.sub(r"^user_id:\s*_?", "", name.strip())
    return names.clean(said.replace("_", " ") if " " not in said else said)
