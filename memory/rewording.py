"""Follow what a later export shows of messages that are known: other words, or that they were deleted.

A message takes the new words; what it was before stays in `episode_version`. Its vector and tags go, and it is read
again. A deleted message stays without its words, in its place. Statements that rested on what it was lose it as
evidence; one that rests on nothing else is rejected, by a decision that can be undone. The ledger gets ids and salted
hashes. All of it is part of the caller's transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from db import tables
from db.tables import Embedding, EmotionTag, Episode, EpisodeVersion, Evidence, Fact, Reading, new_id
from memory import decisions, ledger, types
from memory.emotions import add_tags
from memory.erasure.again import first_said, mend_starts
from memory.fact_rows import LIVE, chunks
from memory.feelings import AUTHOR, Tags
from memory.ports import Clock
from memory.registry import Registry

DELETED = "<deleted>"  # stands in a message's place once it was deleted
LEDGER_KIND = "rewording"
_OPEN = (*LIVE, "quarantined")
_PER_ENTRY = 1000  # messages named by one entry of the ledger


@dataclass(frozen=True, slots=True)
class Words:
    """What a message says now: to be stored in place of what it said."""

    text: str
    kind: str
    is_edited: bool
    key: str


@dataclass(slots=True)
class Rewriter:
    """Rewrites messages that one source shows changed; `finish` draws the consequences."""

    session: Session
    space_id: str
    source_id: str
    clock: Clock
    edited: list[str] = field(default_factory=list)  # ids of messages
    deleted: list[str] = field(default_factory=list)
    _hashes: dict[str, str] = field(default_factory=dict)

    def reword(self, episode_id: str, words: Words, feelings: Tags = ()) -> None:
        """The message was edited, came back, or was replaced by the app's word that it was deleted.

        `feelings` are the tags that stand behind its new words.
        """
        episode = self.session.get_one(Episode, episode_id)
        self._keep(episode)
        text = words.text or (DELETED if words.kind == "deleted" else "")
        episode.text, episode.kind, episode.key = text, words.kind, words.key
        episode.is_edited = words.is_edited
        episode.extracted_by = None
        (self.deleted if words.kind == "deleted" else self.edited).append(episode_id)
        self.session.flush()
        tags = [types.EmotionTag(episode_id, name, intensity, AUTHOR) for name, intensity in feelings]
        add_tags(self.session, self.space_id, tags)

    def delete(self, episode_id: str) -> None:
        """The message is no longer there."""
        episode = self.session.get_one(Episode, episode_id)
        self._keep(episode)
        episode.text, episode.kind = DELETED, "deleted"
        self.deleted.append(episode_id)
        self.session.flush()

    def finish(self, registry: Registry) -> None:
        """Forget what was made of the former words, and write the ledger. To be called once, at the end."""
        changed = [*self.edited, *self.deleted]
        if not changed:
            return
        for part in chunks(changed):
            owned = Embedding.owner_kind == "episode", Embedding.owner_id.in_(part)
            self.session.execute(delete(Embedding).where(*owned))
        _withdraw(self.session, self.space_id, set(changed), set(self.deleted), registry, self.clock)
        gone = set(self.deleted)
        for start in range(0, len(changed), _PER_ENTRY):
            named = [[item, self._hashes[item]] for item in changed[start : start + _PER_ENTRY]]
            payload = {
                "source": self.source_id,
                "edited": [pair for pair in named if pair[0] not in gone],
                "deleted": [pair for pair in named if pair[0] in gone],
            }
            ledger.append(self.session, self.space_id, LEDGER_KIND, payload, clock=self.clock)

    def _keep(self, episode: Episode) -> None:
        newest = select(func.max(EpisodeVersion.number)).where(EpisodeVersion.episode_id == episode.id)
        version = EpisodeVersion(
            id=new_id(),
            space_id=self.space_id,
            episode_id=episode.id,
            number=(self.session.scalar(newest) or 0) + 1,
            source_id=self.source_id,
            text=episode.text,
            kind=episode.kind,
            is_edited=episode.is_edited,
            key=episode.key,
            replaced_at=self.clock(),
        )
        self.session.add(version)
        self._hashes[episode.id] = digest(version)
        # of the former words; tags of the new ones may be written right after
        for felt in (EmotionTag, Reading):
            self.session.execute(delete(felt).where(felt.episode_id == episode.id))


def digest(version: EpisodeVersion) -> str:
    """What the ledger keeps of a former version: a hash that nobody can guess the words from without its id."""
    return hashlib.sha256(f"{version.id}\x1f{version.kind}\x1f{version.text}".encode()).hexdigest()


def _withdraw(
    session: Session,
    space_id: str,
    changed: Collection[str],
    deleted: Collection[str],
    registry: Registry,
    clock: Clock,
) -> None:
    """Take the messages away as evidence, and back what rests on nothing else."""
    resting = {
        fact_id
        for part in chunks(sorted(changed))
        for fact_id in session.scalars(select(Evidence.fact_id).where(Evidence.episode_id.in_(part)))
    }
    kept: list[Fact] = []
    for fact, evidence, asserted in _statements(session, sorted(resting)):
        left = (asserted or evidence) - set(changed)
        if left and fact.origin != "inferred":
            kept.append(fact)
            continue
        what = "deleted" if evidence & set(changed) <= set(deleted) else "edited"
        decisions.decide(
            session,
            space_id,
            fact.id,
            "REJECT",
            [f"the message that it rests on was {what}"],
            registry,
            run_id=None,
            is_alone=True,
            clock=clock,
        )
    _let_go(session, space_id, kept, changed, registry, clock)


def _statements(session: Session, fact_ids: Sequence[str]) -> Iterator[tuple[Fact, set[str], set[str]]]:
    """Open statements with their evidence, and those of it that whoever asserts them said."""
    for part in chunks(fact_ids):
        facts = session.scalars(
            select(Fact).where(Fact.id.in_(part), Fact.state.in_(_OPEN)).order_by(Fact.id)
        )
        query = (
            select(Evidence.fact_id, Evidence.episode_id, Episode.speaker_id)
            .join(Episode, Episode.id == Evidence.episode_id)
            .where(Evidence.fact_id.in_(part))
        )
        held: dict[str, list[tuple[str, str]]] = {}
        for fact_id, episode_id, speaker_id in session.execute(query):
            held.setdefault(fact_id, []).append((episode_id, speaker_id))
        for fact in facts.all():
            if fact.retracted_at is None:
                said = held.get(fact.id, [])
                by = {episode_id for episode_id, speaker_id in said if speaker_id == fact.asserted_by}
                yield fact, {episode_id for episode_id, _ in said}, by


def _let_go(
    session: Session,
    space_id: str,
    kept: Sequence[Fact],
    changed: Collection[str],
    registry: Registry,
    clock: Clock,
) -> None:
    """Statements that others' words hold lose these messages; since when they hold follows from what is left."""
    ids = [fact.id for fact in kept]
    before: dict[str, datetime] = first_said(session, ids)
    held: Any = tables.Evidence
    for part in chunks(ids):
        for some in chunks(sorted(changed)):
            session.execute(delete(held).where(held.fact_id.in_(part), held.episode_id.in_(some)))
    session.expire_all()
    mend_starts(session, space_id, before)
    session.flush()
    for subject_id in sorted({fact.subject_id for fact in kept}):
        decisions.restate(session, space_id, subject_id, registry, clock=clock)
