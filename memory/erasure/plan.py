"""What an erasure would do, as a table to look at before: every row, vector, file and artifact, by kind and id.

The plan's hash stands for all of it. An erasure is given that hash and refuses when the store would give another
plan by then. Drafting reads only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, select
from sqlalchemy.orm import Session

from db import tables
from memory import message_vectors
from memory.erasure import files, quotes, reach, residue, taint
from memory.erasure.chunks import chunked
from memory.erasure.mentions import Forms
from memory.erasure.needles import Needle, Scanner
from memory.erasure.reach import Reach, Target
from memory.erasure.taint import Tainted
from memory.erasure.words import Scrub
from memory.exports import ExportRecord, exports_that_hold

Key = tuple[str, ...]
HASH_DIGITS = 12  # of a plan's hash that are enough


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of thing: what happens to it, how many there are, and which."""

    kind: str
    act: str  # goes | redacted | stated again | tainted | removed | stays
    n: int
    ids: tuple[str, ...] = ()
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "act": self.act, "n": self.n, "ids": list(self.ids), "why": self.why}


@dataclass(frozen=True, slots=True)
class Plan:
    """Lines without anything to do are left out."""

    target: Target
    lines: tuple[Line, ...]
    named: dict[str, int]  # form of the name -> how often others say it
    left_out: tuple[str, ...]  # forms that are not looked for: shared with somebody, or spared

    @property
    def sha256(self) -> str:
        """The hash of everything above; 64 hex digits."""
        body = json.dumps(self._body(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(body.encode()).hexdigest()

    def _body(self) -> dict[str, Any]:
        return {
            "target": self.target.kind,
            "id": self.target.id,
            "mentions": self.target.mentions,
            "with_messages": self.target.with_messages,
            "lines": [line.as_json() for line in self.lines],
            "named": self.named,
            "left_out": list(self.left_out),
        }

    def goes_by(self, sha256: str) -> bool:
        """Whether that is its hash, or the first digits of it, enough of them."""
        return len(sha256) >= HASH_DIGITS and self.sha256.startswith(sha256)

    def ids(self, kind: str, act: str) -> frozenset[str]:
        """Ids of one kind of thing to which this happens."""
        return frozenset(i for line in self.lines if (line.kind, line.act) == (kind, act) for i in line.ids)

    def as_json(self) -> dict[str, Any]:
        return {**self._body(), "plan": self.sha256}

    def counts(self) -> dict[str, int]:
        """By kind and act, for the ledger."""
        return {f"{line.kind} {line.act}": line.n for line in self.lines}


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan with all that carrying it out needs. Holds the erased words: never to be written or logged."""

    plan: Plan
    reach: Reach
    tainted: Tainted
    doomed: dict[type[tables.Base], list[Key]]
    needles: tuple[Needle, ...]  # of names and texts, without what others say as well
    elsewhere: frozenset[Needle]  # names among them that another space has too
    n_shared: int

    def scrub(self) -> Scrub:
        return Scrub(self.reach.forms, Scanner(needle for needle in self.needles if not needle.is_name))


def draft(session: Session, space_id: str, home: Path, target: Target) -> Draft:
    """Raises UnknownPerson, UnknownFact, UnknownEpisode or UnknownSource."""
    reached = reach.find(session, space_id, target)
    gone = reached.unsaid | reached.unsaid_versions
    said = dict.fromkeys(quotes.by_people(session, reached.going))
    made = [needle for needle in quotes.by_models(session, reached.going) if needle not in said]
    common = residue.shared(session, said, gone, by_people=True) | residue.shared(session, made, gone)
    own = [needle for needle in (*said, *made) if needle not in common]
    scrub = Scrub(reached.forms, Scanner(own))
    tainted = taint.find(session, space_id, home, reached, scrub)
    doomed = _doomed(session, space_id, reached, tainted)
    removed = files.to_remove(
        home, space_id, tainted.runs, tainted.artifacts.values(), taint.paths_in_use(session, tainted)
    )
    lines = [*_row_lines(doomed), *_other_lines(home, space_id, reached, tainted, removed)]
    lines += _vectors_of_messages(home, space_id, reached)
    plan = Plan(target, tuple(lines), dict(sorted(reached.named.items())), reached.forms.left_out)
    names = reached.forms.needles() if target.mentions != "keep" else []
    elsewhere = residue.elsewhere(session, space_id, names)
    return Draft(plan, reached, tainted, doomed, (*names, *own), frozenset(elsewhere), len(common))


def _doomed(
    session: Session, space_id: str, reached: Reach, tainted: Tainted
) -> dict[type[tables.Base], list[Key]]:
    """Keys of every row that goes, in the order in which rows can be deleted."""
    episodes, facts, nodes, unsaid = reached.episodes, reached.facts, reached.nodes, reached.unsaid
    t = tables
    entities, names = reached.entities, reached.entity_names
    conditions: dict[type[t.Base], list[tuple[Any, Iterable[str]]]] = {
        t.ExamAnswer: [(t.ExamAnswer.example_id, tainted.examples)],
        t.Example: [(t.Example.id, tainted.examples)],
        t.TurnFact: [(t.TurnFact.turn_id, reached.turns), (t.TurnFact.fact_id, facts)],
        t.Claim: [
            (t.Claim.person_id, nodes),
            (t.Claim.subject_id, nodes),
            (t.Claim.episode_id, unsaid),
            (t.Claim.fact_id, facts),
        ],
        t.ChatTurn: [(t.ChatTurn.id, reached.turns)],
        t.ChatSession: [(t.ChatSession.id, reached.talks)],
        t.Decision: [(t.Decision.fact_id, facts)],
        t.FactUse: [(t.FactUse.fact_id, facts)],
        t.Evidence: [(t.Evidence.fact_id, facts), (t.Evidence.episode_id, unsaid)],
        t.Embedding: [(t.Embedding.owner_id, facts | unsaid | reached.redacted)],
        t.EmotionTag: [(t.EmotionTag.episode_id, unsaid), (t.EmotionTag.node_id, nodes)],
        t.Reading: [(t.Reading.episode_id, unsaid | reached.redacted)],
        t.Principle: [(t.Principle.person_id, nodes), (t.Principle.about_id, nodes)],
        t.Constitution: [(t.Constitution.person_id, nodes)],
        t.Consent: [(t.Consent.person_id, nodes)],
        t.PersonaSetting: [(t.PersonaSetting.person_id, nodes)],
        t.Edge: [(t.Edge.src_id, nodes), (t.Edge.dst_id, nodes)],
        t.PersonMerge: [(t.PersonMerge.kept_id, nodes), (t.PersonMerge.merged_id, nodes)],
        t.Alias: [
            (t.Alias.node_id, nodes),
            (t.Alias.id, _aliases_of_others(session, space_id, reached.forms)),
        ],
        t.Participant: [
            (t.Participant.node_id, nodes),
            (t.Participant.conversation_id, reached.conversations),
        ],
        t.DigestLine: [(t.DigestLine.digest_id, reached.digests)],
        t.Digest: [(t.Digest.id, reached.digests)],
        t.Fact: [(t.Fact.id, facts)],
        t.MemoryObservation: [
            (t.MemoryObservation.id, reached.observations),
            (t.MemoryObservation.episode_id, unsaid),
            (t.MemoryObservation.entity_id, entities),
        ],
        t.MemoryRelation: [
            (t.MemoryRelation.id, reached.relations),
            (t.MemoryRelation.episode_id, unsaid),
            (t.MemoryRelation.source, names),
            (t.MemoryRelation.target, names),
        ],
        t.MemoryEntity: [(t.MemoryEntity.id, entities)],
        t.Pending: [(t.Pending.episode_id, episodes)],
        t.EpisodeVersion: [
            (t.EpisodeVersion.episode_id, episodes),
            (t.EpisodeVersion.id, reached.gone_versions),
        ],
        t.Episode: [(t.Episode.id, episodes)],
        t.Conversation: [(t.Conversation.id, reached.conversations)],
        t.Source: [(t.Source.id, reached.sources)],
        t.Node: [(t.Node.id, nodes | reached.digests)],
    }
    return {mapped: _keys(session, space_id, mapped, wanted) for mapped, wanted in conditions.items()}


def _keys(session: Session, space_id: str, mapped: Any, wanted: list[tuple[Any, Iterable[str]]]) -> list[Key]:
    query = select(*inspect(mapped).primary_key).where(mapped.space_id == space_id)
    return sorted(
        {
            tuple(key)
            for column, ids in wanted
            for part in chunked(column, list(ids))
            for key in session.execute(query.where(part))
        }
    )


def _aliases_of_others(session: Session, space_id: str, forms: Forms) -> list[str]:
    if not forms:
        return []
    rows = session.execute(
        select(tables.Alias.id, tables.Alias.name).where(tables.Alias.space_id == space_id)
    )
    return [alias_id for alias_id, name in rows if forms.name(name)]


def _row_lines(doomed: dict[type[tables.Base], list[Key]]) -> Iterable[Line]:
    for mapped, keys in reversed(doomed.items()):
        if keys:
            yield Line(mapped.__tablename__, "goes", len(keys), tuple("/".join(key) for key in keys))


def _other_lines(
    home: Path, space_id: str, reached: Reach, tainted: Tainted, removed: list[Path]
) -> Iterable[Line]:
    backups = files.backups_that_hold(home)
    exports = exports_that_hold(home, space_id, tainted.vectors)
    lines = [
        _line("episode", "redacted", reached.redacted, "others' messages lose the name"),
        _line("episode", "put back", reached.put_back, "to what it was before this import"),
        _line("chat_turn", "redacted", reached.blank, "what was thought rested on an erased fact"),
        _line("memory_entity", "redacted", reached.untyped, "the note of its type goes"),
        _line("fact", "stated again", reached.again, "intervals and standing from what is left"),
        _line("episode", "stays", reached.repeated, "a later import brought them again"),
        _line("artifact", "tainted", tainted.artifacts, "never served again"),
        _line("night", "removed", tainted.runs, "its folder: curriculum, training, report"),
        Line("path", "removed", len(removed), tuple(path.relative_to(home).as_posix() for path in removed)),
        Line("message", "stays", reached.n_left, why=_why_messages_stay(reached.target)),
        Line("backup", "stays", len(backups), why="may hold all of it; delete them, or keep them knowingly"),
        Line("export", "stays", len(exports), _places(exports), "weights that learnt it; delete them"),
    ]
    if reached.target.mentions == "keep" and reached.named:
        lines.append(Line("mention", "stays", sum(reached.named.values()), why="--mentions keep"))
    return [line for line in lines if line.n]


def _places(exports: Iterable[ExportRecord]) -> tuple[str, ...]:
    """Where they were written; a place that an earlier erasure took out is named by its hash."""
    return tuple(str(one.path or one.sha256) for one in exports)


def _vectors_of_messages(home: Path, space_id: str, reached: Reach) -> list[Line]:
    """Rows of the index for attribution that go, or are computed again from other words."""
    ids = message_vectors.held(home, space_id, reached.unsaid | reached.redacted | reached.put_back)
    return [Line("message_vector", "goes", len(ids), tuple(ids))] if ids else []


def _why_messages_stay(target: Target) -> str:
    if target.kind == "fact":
        return "the fact rested on them; --with-messages erases them too"
    return "others' messages on which an erased fact rested"


def _line(kind: str, act: str, ids: Iterable[str], why: str) -> Line:
    ordered = tuple(sorted(ids))
    return Line(kind, act, len(ordered), ordered, why)
