"""Which people and things a text names: whole words, whatever case or accents; the longest name wins."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select

from db.engine import Database
from db.tables import Alias, Node
from memory import names
from memory.search.words import STOP


@dataclass(frozen=True, slots=True)
class Mention:
    """A stretch of the text, in characters, and the nodes it may mean (several where a first name is shared)."""

    begin: int
    stop: int
    text: str
    node_ids: tuple[str, ...]


class Gazetteer:
    """All names of a space: full names, aliases, and first names of people."""

    def __init__(self, named: Iterable[tuple[str, str, str]]) -> None:
        """(node id, kind, name) for every name and alias."""
        self.kind: dict[str, str] = {}
        self._full: dict[str, set[str]] = defaultdict(set)
        self._first: dict[str, set[str]] = defaultdict(set)
        for node_id, kind, name in named:
            self.kind[node_id] = kind
            form = " ".join(word for word, _, _ in _words(name))
            if form:
                self._full[form].add(node_id)
            if kind == "person" and names.first(name) and " " in form:
                self._first[names.first(name)].add(node_id)
        self._longest = max((form.count(" ") + 1 for form in self._full), default=0)

    @classmethod
    def load(cls, database: Database, space_id: str) -> Gazetteer:
        with database.reading() as session:
            named = session.execute(
                select(Node.id, Node.kind, Node.name).where(Node.space_id == space_id)
            ).all()
            aliases = session.execute(
                select(Node.id, Node.kind, Alias.name)
                .join(Alias, Alias.node_id == Node.id)
                .where(Node.space_id == space_id)
            ).all()
        return cls((node_id, kind, name) for node_id, kind, name in (*named, *aliases))

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
        nodes = self._full.get(form) or self._first.get(form, set())
        is_a_word = as_written in STOP or not any(self.kind[node] == "person" for node in nodes)
        if as_written[:1].islower() and " " not in form and is_a_word:
            return ()
        return tuple(sorted(nodes))


def _words(text: str) -> list[tuple[str, int, int]]:
    """(key, begin, stop) of each word; a possessive ending is left out of it."""
    found = []
    for match in re.finditer(r"[^\W_]+(?:[-.][^\W_]+)*", text):
        if match[0] in ("s", "S") and match.start() and text[match.start() - 1] in "'’":
            continue
        found.append((names.key(match[0]), match.start(), match.end()))
    return found
