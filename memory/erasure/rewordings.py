"""What an import changed of messages that others brought: what it was before comes back when the import is erased.

The words of a message form a chain: version 1 came with the message, each next one with the source that its
predecessor names. Erasing a source takes its link out; the link before it moves up. Reads; changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables

Words = tuple[str, str, bool, str]  # text, kind, is_edited, key


@dataclass(slots=True)
class Rewordings:
    """Ids of versions and messages. `gone` are rows to delete, `unsaid` those of them and of others whose words go."""

    gone: set[str] = field(default_factory=set)
    unsaid: set[str] = field(default_factory=set)
    put_back: dict[str, Words] = field(default_factory=dict)  # messages, with the words that they had before
    moved: dict[str, Words] = field(default_factory=dict)  # versions that get the words of the one before


def rewordings(
    session: Session, source_id: str, erased: Collection[str], repeated: Mapping[str, tuple[str, int]]
) -> Rewordings:
    """What the source said of messages that stay, as versions or as their present words."""
    found = Rewordings()
    version = tables.EpisodeVersion
    touched = set(session.scalars(select(version.episode_id).where(version.source_id == source_id)))
    chains: dict[str, list[tables.EpisodeVersion]] = defaultdict(list)
    for episode_id in sorted((touched | set(repeated)) - set(erased)):
        query = select(version).where(version.episode_id == episode_id).order_by(version.number)
        chains[episode_id] = list(session.scalars(query))
    for episode_id, chain in chains.items():
        if episode_id in repeated:
            chain = _without_first(session, chain, repeated[episode_id][0], found)
        _take_out(source_id, episode_id, chain, found)
    return found


def _without_first(
    session: Session, chain: list[tables.EpisodeVersion], kept_by: str, found: Rewordings
) -> list[tables.EpisodeVersion]:
    """The chain of a message that stays with a later source: the first words went with the erased one."""
    if not chain:
        return chain
    made: Any = tables.Source.created_at
    changed, kept = (
        session.scalar(select(made).where(tables.Source.id == source_id))
        for source_id in (chain[0].source_id, kept_by)
    )
    if changed is None or kept is None or changed > kept:
        return chain  # the later source had the same words
    found.gone.add(chain[0].id)
    found.unsaid.add(chain[0].id)
    return chain[1:]


def _take_out(source_id: str, episode_id: str, chain: list[tables.EpisodeVersion], found: Rewordings) -> None:
    before: Words | None = None  # words of a link that was taken out, for the next to take over
    for version in chain:
        words = _words(version)
        if before is not None:
            found.unsaid.add(version.id)
            words = found.moved[version.id] = before
        before = None
        if version.source_id == source_id:
            found.gone.add(version.id)
            found.moved.pop(version.id, None)
            before = words
    if before is not None:
        found.put_back[episode_id] = before


def _words(version: tables.EpisodeVersion) -> Words:
    return version.text, version.kind, version.is_edited, version.key
