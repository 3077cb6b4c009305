"""The words that go with an erasure, by who wrote them, and the simulated messages that quote what people wrote.

A persona tells a message again in words of its own turn, and an exported talk comes back as an import. What people
wrote is theirs wherever a model says it; what a model wrote comes up again by chance, so nothing quotes that.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from db import tables
from memory.erasure import residue
from memory.erasure.chunks import chunked
from memory.erasure.needles import Needle, Scanner, stretches

_PIECE = 1000  # messages looked at together


@dataclass(frozen=True, slots=True)
class Going:
    """Ids of what goes and has words: messages, versions of messages (all of `episodes`, and others), facts, people."""

    episodes: Collection[str]
    unsaid: Collection[str]  # with those that stay and lose the words that they have now
    versions: Collection[str]
    facts: Collection[str]
    nodes: Collection[str]
    turns: Collection[str] = ()


def by_people(session: Session, going: Going) -> list[Needle]:
    """Stretches of what people wrote and of what was made of it: facts, lines of constitutions."""
    fact, line = tables.Fact, tables.Principle
    texts = _messages(session, going, tables.Episode.origin != "simulated")
    texts += _column(session, fact.object, fact.id, going.facts)
    return stretches(texts + _column(session, line.text, line.person_id, going.nodes))


def by_models(session: Session, going: Going) -> list[Needle]:
    """Stretches of simulated messages and of deliberations."""
    turn = tables.ChatTurn
    texts = _messages(session, going, tables.Episode.origin == "simulated")
    return stretches(texts + _column(session, turn.deliberation, turn.id, going.turns))


def quoting(session: Session, space_id: str, going: Going) -> set[str]:
    """Simulated messages that hold a stretch which only erased messages of people hold besides."""
    scanner = Scanner(by_people(session, going))
    if not len(scanner):
        return set()
    held = _held_by_simulated(session, space_id, scanner)
    gone = {*going.unsaid, *going.versions}
    shared = residue.shared(session, {one for found in held.values() for one in found}, gone, by_people=True)
    return {episode_id for episode_id, found in held.items() if found - shared} - set(going.episodes)


def _held_by_simulated(session: Session, space_id: str, scanner: Scanner) -> dict[str, set[Needle]]:
    """What each simulated message of the space holds, now or in words that it had before."""
    said, version = tables.Episode, tables.EpisodeVersion
    is_meant = said.space_id == space_id, said.origin == "simulated"
    held: dict[str, set[Needle]] = {}
    for query in (
        select(said.id, said.text).where(*is_meant),
        select(said.id, version.text).join(version, version.episode_id == said.id).where(*is_meant),
    ):
        for episode_id, text in session.execute(query).yield_per(_PIECE):
            found = {scanner.needles[place.needle] for place in scanner.find(_one_line(text))}
            if found:
                held.setdefault(episode_id, set()).update(found)
    return held


def _one_line(text: str) -> bytes:
    """The words as they stand and, apart from them, on one line."""
    return "\0\0".join(dict.fromkeys((text, " ".join(text.split())))).encode("utf-8", "surrogatepass")


def _messages(session: Session, going: Going, which: ColumnElement[bool]) -> list[str]:
    said, version = tables.Episode, tables.EpisodeVersion
    before = select(version.text).join(said, said.id == version.episode_id).where(which)
    return [
        text
        for query, key, ids in (
            (select(said.text).where(which), said.id, going.unsaid),
            (before, version.episode_id, going.episodes),
            (before, version.id, going.versions),
        )
        for part in chunked(key, ids)
        for text in session.scalars(query.where(part))
    ]


def _column(session: Session, column: Any, key: Any, ids: Collection[str]) -> list[str]:
    return [text for part in chunked(key, ids) for text in session.scalars(select(column).where(part))]
