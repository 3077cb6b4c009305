"""The MCP memory server's file, both ways: JSON lines of entities with observations, and of relations between them.

Read: an entity is a node of its kind, an observation a note about it, a relation a fact. Written: what holds now.
Observations are notes as they came in and sentences of facts; relations are facts between two nodes. The server tells
entities apart by name alone, so where two nodes share one the later is written as "Name (kind)".
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from sqlalchemy import select

from db.engine import Database
from db.tables import Alias, Conversation, Episode, Node
from memory import names
from memory.digests import DIGEST
from memory.errors import BrokenExport
from memory.exchange.notes import (
    NOTEBOOK,
    OUTRIGHT,
    PERSON,
    Note,
    Notebook,
    Relation,
    Thing,
    type_rule,
)
from memory.exchange.told import about_of, stated
from memory.facts import ALL_STATUSES, HOLDING, list_facts, sentence
from memory.importers.values import whole_text
from memory.perspective import HEARD
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.types import Fact

KIND = "mcp-memory"

_KINDS = {
    PERSON: "person people human user individual contact friend family family_member colleague coworker character",
    "place": "place location city town village country region state address building",
    "organisation": "organisation organization company employer business institution school university team club",
    "thing": "thing object item entity unknown other",
}
_OURS = {theirs: ours for ours, said in _KINDS.items() for theirs in said.split()}
_NAMED_ALIKE = (PERSON, "place", "organisation")  # "Ada_Lund" is a way to write "Ada Lund"


def looks_like(row: Any) -> bool:
    """Whether a line's object is one of this format."""
    return isinstance(row, dict) and (
        (row.get("type") == "entity" and "name" in row) or (row.get("type") == "relation" and "from" in row)
    )


def parse(text: str, file_name: str) -> Notebook:
    """The file's entities and relations; raises BrokenExport with the line. Unknown types of lines are passed over."""
    reader = _Reader(file_name)
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            reader.take(number, line)
    return reader.notebook()


@dataclass(slots=True)
class _Reader:
    file_name: str
    things: dict[str, Thing] = field(default_factory=dict)  # by the name in the file
    notes: list[Note] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    n_unknown: int = 0

    def take(self, number: int, line: str) -> None:
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise self._damage(number, f"malformed JSON at column {error.colno} ({error.msg})") from error
        except RecursionError as error:
            raise self._damage(number, "nested too deeply") from error
        if not isinstance(row, dict):
            raise self._damage(number, "no object")
        if row.get("type") == "entity":
            self._entity(number, row)
        elif row.get("type") == "relation":
            ends = [self._name(number, row, key) for key in ("from", "to")]
            self.relations.append(Relation(ends[0], self._text(number, row, "relationType"), ends[1]))
        else:
            self.n_unknown += 1

    def _entity(self, number: int, row: dict[str, Any]) -> None:
        name = self._name(number, row, "name")
        observations = row.get("observations", [])
        if not isinstance(observations, list):
            raise self._damage(number, "observations is no list")
        if name not in self.things:
            self.things[name] = thing_of(name, self._text(number, row, "entityType", default="thing"))
        for position, observation in enumerate(observations, start=1):
            try:
                text = whole_text(observation).strip()
            except TypeError as error:
                raise self._damage(number, f"observation {position} is no text") from error
            if text:
                self.notes.append(Note(name, text))

    def _name(self, number: int, row: dict[str, Any], key: str) -> str:
        name = self._text(number, row, key)
        if not names.clean(name):
            raise self._damage(number, f"{key} is empty")
        return name

    def _text(self, number: int, row: dict[str, Any], key: str, default: str | None = None) -> str:
        if row.get(key, default) is None:
            raise self._damage(number, f"{key} is missing")
        try:
            return whole_text(row.get(key, default))
        except TypeError as error:
            raise self._damage(number, f"{key} is no text") from error

    def _damage(self, number: int, why: str) -> BrokenExport:
        return BrokenExport(self.file_name, f"line {number}: {why}")

    def notebook(self) -> Notebook:
        """What was read, each thing under the name it is shown by."""
        shown = {name: thing.name for name, thing in self.things.items()}
        undescribed = {end for r in self.relations for end in (r.subject, r.object)} - set(shown)
        counted = {
            "lines of unknown types, passed over": self.n_unknown,
            "names that only relations mention": len(undescribed),
            "relations of a thing to itself, no facts": sum(r.subject == r.object for r in self.relations),
        }
        remarks = [f"{what}: {n}" for what, n in counted.items() if n]
        return Notebook(
            KIND,
            tuple(self.things.values()),
            tuple(Note(shown[note.about], note.text) for note in self.notes),
            tuple(
                Relation(
                    shown.get(relation.subject, names.clean(relation.subject)),
                    relation.relation,
                    shown.get(relation.object, names.clean(relation.object)),
                )
                for relation in self.relations
            ),
            remarks=("MCP memory", *remarks),
        )


def thing_of(name: str, entity_type: str) -> Thing:
    """The entity as a node: of a kind that the graph has, or a thing with its type kept beside it."""
    said = re.sub(r"[_\W]+", "_", names.key(entity_type)).strip("_")
    kind = _OURS.get(said, "thing")
    type_ = "" if said in _OURS or not said else " ".join(said.split("_"))[:200]
    clean = names.clean(name)
    if kind in _NAMED_ALIKE and "_" in clean and " " not in clean:
        spaced = names.clean(clean.replace("_", " "))
        if spaced:
            return Thing(spaced, kind, alias=clean, type_=type_)
    return Thing(clean, kind, type_=type_)


def write_mcp_memory(
    database: Database, space_id: str, registry: Registry, file: IO[bytes], *, clock: Clock = utc_now
) -> int:
    """Write what holds now as the server's file; how many lines."""
    facts = list_facts(database, space_id, registry, statuses=ALL_STATUSES, clock=clock)
    nodes = _nodes(database, space_id)
    shown = _unique_names(nodes)
    n_lines = 0
    for line in _lines(nodes, shown, facts, _notes(database, space_id, nodes)):
        file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
        n_lines += 1
    return n_lines


@dataclass(frozen=True, slots=True)
class _Named:
    id: str
    name: str
    kind: str
    aliases: tuple[str, ...]


def _nodes(database: Database, space_id: str) -> list[_Named]:
    called: dict[str, list[str]] = defaultdict(list)
    with database.reading() as session:
        aliases = select(Alias.node_id, Alias.name).where(Alias.space_id == space_id)
        for node_id, name in session.execute(aliases):
            called[node_id].append(name)
        query = (
            select(Node.id, Node.name, Node.kind)
            .where(
                Node.space_id == space_id, Node.merged_into.is_(None), Node.kind.not_in((NOTEBOOK, DIGEST))
            )
            .order_by(Node.kind != PERSON, Node.kind, Node.name_key, Node.id)
        )
        return [_Named(*row, tuple(called[row[0]])) for row in session.execute(query)]


def _unique_names(nodes: Iterable[_Named]) -> dict[str, str]:
    """The name under which each node is written."""
    taken: set[str] = set()
    shown = {}
    for node in nodes:
        name = node.name if node.name not in taken else f"{node.name} ({node.kind})"
        number = 2
        while name in taken:
            name, number = f"{node.name} ({node.kind} {number})", number + 1
        taken.add(name)
        shown[node.id] = name
    return shown


def _notes(database: Database, space_id: str, nodes: Iterable[_Named]) -> dict[str, list[tuple[str, str]]]:
    """By node: (episode, words) of the notes about it, in the order in which they came."""
    by_name: dict[str, str] = {}
    for node in nodes:
        for name in (node.name, *node.aliases):
            by_name.setdefault(names.key(name), node.id)
    query = (
        select(Conversation.name, Episode.id, Episode.text)
        .join(Episode, Episode.conversation_id == Conversation.id)
        .join(Node, Node.id == Episode.speaker_id)
        .where(Episode.space_id == space_id, Node.kind == NOTEBOOK, Episode.kind != "deleted")
        .where(Episode.origin.in_(HEARD))
        .order_by(Episode.time, Episode.position, Episode.id)
    )
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    with database.reading() as session:
        for conversation, episode_id, text in session.execute(query):
            about = about_of(conversation)
            node_id = by_name.get(names.key(about))
            if node_id is not None:
                found[node_id].append((episode_id, stated(about, text)))
    return found


def _lines(
    nodes: Sequence[_Named],
    shown: dict[str, str],
    facts: Sequence[Fact],
    notes: dict[str, list[tuple[str, str]]],
) -> Iterator[dict[str, Any]]:
    holding = [fact for fact in facts if fact.status in HOLDING]
    types = {fact.subject_id: fact.object for fact in holding if fact.rule == type_rule(KIND)}
    between = [fact for fact in holding if fact.subject_id in shown and fact.object_id in shown]
    plain: dict[str, list[Fact]] = defaultdict(list)
    for fact in holding:
        if fact.object_id not in shown and fact.rule != type_rule(KIND):
            plain[fact.subject_id].append(fact)
    unsaid = _said_otherwise(facts)
    for node in nodes:
        own = [(episode_id, text) for episode_id, text in notes.get(node.id, ()) if episode_id not in unsaid]
        said = {episode_id for episode_id, _ in own}
        observations = [text for _, text in own]
        observations += [sentence(fact) for fact in plain[node.id] if not set(fact.evidence) <= said]
        yield {
            "type": "entity",
            "name": shown[node.id],
            "entityType": types.get(node.id, node.kind),
            "observations": list(dict.fromkeys(observations)),
        }
    links = [(shown[f.subject_id], shown[f.object_id or ""], f.predicate) for f in between]
    for source, target, predicate in dict.fromkeys(links):
        yield {"type": "relation", "from": source, "to": target, "relationType": predicate}


def _said_otherwise(facts: Sequence[Fact]) -> set[str]:
    """Notes that are not written again: those that were relations or types, and those whose facts hold no more."""
    made = {episode_id for fact in facts if fact.rule in OUTRIGHT for episode_id in fact.evidence}
    holds = {episode_id for fact in facts if fact.status in HOLDING for episode_id in fact.evidence}
    over = {episode_id for fact in facts for episode_id in fact.evidence} - holds
    return made | over
