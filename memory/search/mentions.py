"""Which people and things a text names: whole words, whatever case or accents; the longest name wins."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Alias, Node
from memory import names
from memory.search.units import in_chunks
from memory.search.words import STOP

_Named = dict[str, frozenset[str]]
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Mention:
    """A stretch of the text, in characters, and the nodes it may mean (several where a first name is shared)."""

    begin: int
    stop: int
    text: str
    node_ids: tuple[str, ...]


class Gazetteer:
    """All names of a space: full names, aliases, and first names of people. A merged node's names mean the kept one."""

    def __init__(self, named: Iterable[tuple[str, str, str]]) -> None:
        """(node id, kind, name) for every name and alias."""
        self.kind: dict[str, str] = {}
        self._full: _Named = {}
        self._first: _Named = {}
        self._forms: _Named = {}  # what to look under to forget a node
        self._longest = 0
        for node_id, kind, name in named:
            self._add(node_id, kind, name)

    @classmethod
    def load(cls, database: Database, space_id: str) -> Gazetteer:
        with database.reading() as session:
            return cls(_names(session, space_id, None))

    def reloaded(self, database: Database, space_id: str, node_ids: Collection[str]) -> Gazetteer:
        """Another one, with the names of these nodes as they are now."""
        with database.reading() as session:
            kept = _kept(session, space_id)
            touched = {kept.get(node_id, node_id) for node_id in node_ids} | set(node_ids)
            touched.update(merged for merged, into in kept.items() if into in touched)
            named = list(_names(session, space_id, sorted(touched)))
        made = self._copy()
        for node_id in touched:
            made._forget(node_id)
        for node_id, kind, name in named:
            made._add(node_id, kind, name)
        return made

    def _copy(self) -> Gazetteer:
        made = Gazetteer(())
        made.kind, made._longest = dict(self.kind), self._longest
        made._full, made._first, made._forms = dict(self._full), dict(self._first), dict(self._forms)
        return made

    def _add(self, node_id: str, kind: str, name: str) -> None:
        self.kind[node_id] = kind
        form = " ".join(word for word, _, _ in _words(name))
        if form:
            _join(self._full, form, node_id)
            _join(self._forms, node_id, form)
            self._longest = max(self._longest, form.count(" ") + 1)
        if kind == "person" and " " in form and (first := names.first(name)):
            _join(self._first, first, node_id)
            _join(self._forms, node_id, first)

    def _forget(self, node_id: str) -> None:
        self.kind.pop(node_id, None)
        for form in self._forms.pop(node_id, ()):
            for named in (self._full, self._first):
                if left := named.pop(form, _NONE) - {node_id}:
                    named[form] = left

    def find(self, text: str) -> list[Mention]:
        """Names in the text, left to right, none inside another."""
        tokens = _words(text)
        found: list[Mention] = []
        start = 0
        while start < len(tokens):
            for width in range(min(self._longest, len(tokens) - start), 0, -1):
                group = tokens[start : start + width]
                nodes = self._nodes(" ".join(word for word, _, _ in group), text[group[0][1] : group[-1][2]])
                if nodes:
                    begin, stop = group[0][1], group[-1][2]
                    found.append(Mention(begin, stop, text[begin:stop], nodes))
                    start += width
                    break
            else:
                start += 1
        return found

    def _nodes(self, form: str, as_written: str) -> tuple[str, ...]:
        nodes = self._full.get(form) or self._first.get(form, _NONE)
        is_a_word = as_written in STOP or not any(self.kind[node] == "person" for node in nodes)
        if as_written[:1].islower() and " " not in form and is_a_word:
            return ()
        return tuple(sorted(nodes))


def _join(found: _Named, key: str, item: str) -> None:
    found[key] = found.get(key, _NONE) | {item}


def _names(session: Session, space_id: str, node_ids: Sequence[str] | None) -> Iterator[tuple[str, str, str]]:
    """(kept node, kind, name) of every name and alias, or of those of some nodes."""
    kept = _kept(session, space_id)
    queries = (
        select(Node.id, Node.kind, Node.name).where(Node.space_id == space_id),
        select(Node.id, Node.kind, Alias.name)
        .join(Alias, Alias.node_id == Node.id)
        .where(Node.space_id == space_id),
    )
    for query in queries:
        for part in [None] if node_ids is None else in_chunks(node_ids):
            limited = query if part is None else query.where(Node.id.in_(part))
            for node_id, kind, name in session.execute(limited):
                yield kept.get(node_id, node_id), kind, name


def _kept(session: Session, space_id: str) -> dict[str, str]:
    """From each merged node to the one that stands for it in the end."""
    query = select(Node.id, Node.merged_into).where(Node.space_id == space_id, Node.merged_into.is_not(None))
    into: dict[str, str] = {node_id: kept for node_id, kept in session.execute(query) if kept}
    found = {}
    for node_id, kept in into.items():
        seen = {node_id}
        while kept in into and kept not in seen:
            seen.add(kept)
            kept = into[kept]
        found[node_id] = kept
    return found


def _words(text: str) -> list[tuple[str, int, int]]:
    """(key, begin, stop) of each word; a possessive ending is left out of it."""
    found = []
    for match in re.finditer(r"[^\W_]+(?:[-.][^\W_]+)*", text):
        if match[0] in ("s", "S") and match.start() and text[match.start() - 1] in "'’":
            continue
        found.append((names.key(match[0]), match.start(), match.end()))
    return found
