"""Carry out a draft in the store, within the caller's transaction: delete, redact, state again, clean the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import and_, bindparam, delete, inspect, select, update
from sqlalchemy.orm import Session

from db import tables
from memory.erasure import again, kept_by_agents, said, words
from memory.erasure.chunks import chunked
from memory.erasure.plan import Draft, Key
from memory.erasure.reach import Reach
from memory.ports import Clock
from memory.registry import Registry


def apply(session: Session, space_id: str, draft: Draft, registry: Registry, clock: Clock) -> set[str]:
    """Ids of the decisions whose record is another one now."""
    reached, scrub = draft.reach, draft.scrub()
    quoted = _values_that_go(session, draft)
    first = again.first_said(session, reached.again)
    for part in chunked(tables.Node.merged_into, reached.nodes):
        session.execute(update(tables.Node).where(part).values(merged_into=None))
    for episode_id, (source_id, position) in reached.repeated.items():
        moved = session.get_one(tables.Episode, episode_id)
        moved.source_id, moved.position = source_id, position
    session.flush()
    _put_back(session, reached)
    _end_imports(session, space_id, clock)
    claims = [key[0] for key in draft.doomed[tables.Claim]]
    said.loosen(session, space_id, reached.episodes, claims, reached.blank)
    kept_by_agents.untype(session, reached)
    for mapped, keys in draft.doomed.items():
        _delete(session, mapped, keys)
    session.expire_all()
    _forget_evidence_of_principles(session, space_id, reached.unsaid)
    _redact(session, space_id, reached)
    again.mend_starts(session, space_id, first)
    again.state_again(session, space_id, reached.again, reached.facts, registry, clock)
    changed = again.clean_decisions(
        session,
        reached.again,
        reached.facts,
        lambda reason: scrub.holds(reason) or _names_any(reason, quoted),
    )
    cleaned = words.clean(session, space_id, scrub)
    session.execute(  # whoever holds what agents keep reads it again
        update(tables.MemoryGraph)
        .where(tables.MemoryGraph.space_id == space_id)
        .values(version=tables.new_id())
    )
    session.execute(delete(tables.KeptAnswer).where(tables.KeptAnswer.space_id == space_id))
    _forget_vectors_of_renamed(session, cleaned.get("node", set()))
    return changed | cleaned.get("decision", set())


def _end_imports(session: Session, space_id: str, clock: Clock) -> None:
    """What waits to be imported may bring back what goes; its files go as well."""
    job = tables.Job
    waiting = update(job).where(
        job.space_id == space_id, job.kind == "import", job.state.in_(("queued", "running"))
    )
    why = "an erasure removed what was uploaded"
    session.execute(waiting.values(state="cancelled", finished_at=clock(), why=why))


def _put_back(session: Session, reached: Reach) -> None:
    """What the erased source had said in place of earlier words goes, and they come back; to be read again."""
    for episode_id, before in reached.reworded.put_back.items():
        episode = session.get_one(tables.Episode, episode_id)
        episode.text, episode.kind, episode.is_edited, episode.key = before
        episode.extracted_by = None
    for version_id, before in reached.reworded.moved.items():
        version = session.get_one(tables.EpisodeVersion, version_id)
        version.text, version.kind, version.is_edited, version.key = before
    session.flush()


def _redact(session: Session, space_id: str, reached: Reach) -> None:
    """Take the name out of others' messages, and out of what they were before."""
    for part in chunked(tables.Episode.id, reached.redacted):
        for episode in session.scalars(select(tables.Episode).where(part)):
            episode.text = reached.forms.redact(episode.text)
    version = tables.EpisodeVersion
    if reached.forms and reached.target.mentions != "keep":
        for row in session.scalars(select(version).where(version.space_id == space_id)).yield_per(1000):
            redacted = reached.forms.redact(row.text)
            if redacted != row.text:
                row.text = redacted
    session.flush()


def _values_that_go(session: Session, draft: Draft) -> set[str]:
    """Values of erased facts, as reasons of other decisions quote them."""
    return {
        value
        for part in chunked(tables.Fact.id, draft.reach.facts)
        for value in session.scalars(select(tables.Fact.object).where(part))
    }


def _names_any(reason: str, values: set[str]) -> bool:
    folded = reason.casefold()
    return any(value.casefold() in folded for value in values)


def _delete(session: Session, mapped: Any, keys: Sequence[Key]) -> None:
    if not keys:
        return
    columns = inspect(mapped).primary_key
    condition = and_(*(column == bindparam(f"key_{column.name}") for column in columns))
    rows = [{f"key_{column.name}": part for column, part in zip(columns, key, strict=True)} for key in keys]
    session.connection().execute(delete(mapped.__table__).where(condition), rows)


def _forget_evidence_of_principles(session: Session, space_id: str, gone: set[str]) -> None:
    """Principles lose erased messages from their evidence; one that rests on nothing else goes."""
    for row in session.scalars(select(tables.Principle).where(tables.Principle.space_id == space_id)):
        left = [episode_id for episode_id in row.evidence if episode_id not in gone]
        if len(left) == len(row.evidence):
            continue
        if left:
            row.evidence = left
        else:
            session.delete(row)
    session.flush()


def _forget_vectors_of_renamed(session: Session, nodes: set[str]) -> None:
    """A fact's vector is made from its sentence, which names its subject."""
    for part in chunked(tables.Fact.subject_id, nodes):
        facts = set(session.scalars(select(tables.Fact.id).where(part)))
        for owned in chunked(tables.Embedding.owner_id, facts):
            session.execute(delete(tables.Embedding).where(owned))
