"""Where the store keeps anybody's words: every column of it, and the cleaning of what an erasure leaves behind.

A test holds the two lists below against the tables, so that a new column cannot be forgotten.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from typing import Any

from sqlalchemy import JSON, String, Table, TypeDecorator, inspect, select
from sqlalchemy.orm import Session

from db import tables
from memory import names
from memory.erasure.mentions import MARK, Forms
from memory.erasure.needles import Scanner

# Columns with words in them, in the order in which they are cleaned. Rows of the ledger hold none by contract.
WORDS: dict[type[tables.Base], tuple[str, ...]] = {
    tables.Source: ("name",),
    tables.Conversation: ("name",),
    tables.Node: ("name", "name_key"),
    tables.Alias: ("name", "name_key"),
    tables.Episode: ("text",),
    tables.EpisodeVersion: ("text",),
    tables.Fact: ("object", "object_key", "corrects", "check_result"),
    tables.PersonMerge: ("effects",),
    tables.Principle: ("text",),
    tables.Consent: ("agreed_by", "note"),
    tables.SleepRun: ("settings", "error"),
    tables.StageRun: ("counts", "output"),
    tables.Schedule: ("wanted",),
    tables.Decision: ("reasons", "effects"),
    tables.Artifact: ("meta",),
    tables.Example: ("messages", "accepted", "meta"),
    tables.ExamAnswer: ("answer",),
    tables.Reading: ("concepts",),
    tables.ChatSession: ("settings",),
    tables.ChatTurn: ("deliberation",),
    tables.Claim: ("subject", "object", "object_key"),
    tables.Token: ("name",),
    tables.MemoryEntity: ("name", "entity_type"),
    tables.MemoryObservation: ("text",),
    tables.MemoryRelation: ("source", "target", "relation_type"),
    tables.KeptAnswer: ("body",),
}
# Text columns that hold ids, hashes, paths of our making, names of kinds, or what the user called the space.
_PLAIN = """
    space.name space.timezone source.kind source.sha256 node.kind node.merged_into edge.kind
    episode.kind episode.origin episode.key episode.extracted_by episode.external_id
    episode_version.kind episode_version.key pending.reason
    fact.predicate fact.state fact.change fact.origin fact.rule fact.volatility fact.superseded_by fact.salience_terms
    emotion_tag.concept emotion_tag.judge principle.kind principle.evidence principle.run_id
    principle.line principle.author constitution.author constitution.run_id constitution.changes
    sleep_run.status stage_run.status stage_run.inputs_hash
    schedule.asked_by schedule.outcome schedule.error schedule.run_id schedule.waits_for
    job.kind job.state job.asked_by job.step job.why job.wanted job.result
    lease.holder decision.kind decision.run_id ledger.kind ledger.payload ledger.prev_hash ledger.hash
    digest.made_from artifact.kind artifact.path artifact.sha256 artifact.run_id artifact.tainted_by pointer.run_id
    chat_session.kind chat_session.engine chat_session.recipe chat_session.readout
    chat_turn.status chat_turn.recipe chat_turn.adapters chat_turn.objections chat_turn.rests_on turn_fact.place
    persona_setting.sampling claim.predicate claim.basis claim.line claim.earlier_id claim.state
    example.split example.kind memory_graph.version memory_entity.source_id change.space_id change.kind change.owner_id
    token.sha256 token.scopes act.via act.token_id act.what act.ids act.outcome act.prev_hash act.hash
    kept_answer.request_sha256 kept_answer.holder kept_answer.media_type
"""
PLAIN = frozenset(_PLAIN.split())
_GAP = b"\0\0"
_CHUNK = 5000  # rows looked at together

# by the choice of mentions; as whole rows; by `_rename`
_CLEANED_ELSEWHERE = (tables.Episode, tables.EpisodeVersion, tables.Alias, tables.Node, tables.Conversation)


class Scrub:
    """Takes names and stretches of erased texts out of values; keeps everything else as it is."""

    def __init__(self, forms: Forms, scanner: Scanner) -> None:
        self.forms, self.scanner = forms, scanner

    def holds(self, text: str) -> bool:
        return bool(self.hits([text]))

    def hits(self, texts: Sequence[str]) -> set[int]:
        """Which of the texts name somebody or quote; many at once cost little more than one."""
        named = {place for place, text in enumerate(texts) if self.forms and self.forms.name(text)}
        if not len(self.scanner):
            return named
        parts = [text.encode("utf-8", "surrogatepass") for text in texts]
        starts = list(accumulate((len(part) + len(_GAP) for part in parts), initial=0))
        found = self.scanner.find(_GAP.join(parts))
        return named | {bisect_right(starts, place.offset) - 1 for place in found}

    def _quotes(self, text: str) -> bool:
        return bool(len(self.scanner)) and next(self.scanner.find(text.encode()), None) is not None

    def __call__(self, value: Any) -> Any:
        if isinstance(value, str):
            return MARK if self._quotes(value) else self.forms.redact(value)
        if isinstance(value, list):
            return [self(item) for item in value]
        if isinstance(value, dict):
            return {self(key): self(item) for key, item in value.items()}
        return value


def clean(session: Session, space_id: str, scrub: Scrub) -> dict[str, set[str]]:
    """Take what is erased out of every other row of the space and of all spaces. Keys of the changed rows, by table."""
    changed: dict[str, set[str]] = {}
    for mapped, columns in WORDS.items():
        if mapped in _CLEANED_ELSEWHERE:
            continue
        for column in columns:
            for key, value in _hit(session, space_id, mapped, column, scrub):
                row: Any = session.get_one(mapped, key)
                setattr(row, column, _cut(mapped, column, scrub(value)))
                changed.setdefault(mapped.__tablename__, set()).add("/".join(key))
    changed["conversation"] = _rename_conversations(session, space_id, scrub)
    changed["node"] = _rename_nodes(session, space_id, scrub)
    return changed


def _hit(
    session: Session, space_id: str, mapped: Any, column: str, scrub: Scrub
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Keys and values of the rows that hold something, found chunk by chunk."""
    keys = inspect(mapped).primary_key
    query = select(*keys, getattr(mapped, column)).where(of_space(mapped, space_id))
    rows = session.execute(query).all()
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        texts = [_as_text(row[-1]) for row in chunk]
        for place in sorted(scrub.hits(texts)):
            *key, value = chunk[place]
            yield tuple(key), value


def _cut(mapped: Any, column: str, value: Any) -> Any:
    """The value as the column has room for it: a mark may be longer than the name in whose place it stands."""
    room = getattr(mapped.__table__.c[column].type, "length", None)
    return value[:room] if room is not None and isinstance(value, str) else value


def of_space(mapped: Any, space_id: str) -> Any:
    """The condition for rows of the space, and for those that every space shares: tokens that open all."""
    own = mapped.space_id == space_id
    return own | mapped.space_id.is_(None) if mapped.__table__.c.space_id.nullable else own


def _as_text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _rename_conversations(session: Session, space_id: str, scrub: Scrub) -> set[str]:
    """Each keeps a name that no other has."""
    rows = session.scalars(select(tables.Conversation).where(tables.Conversation.space_id == space_id)).all()
    taken = {row.name for row in rows}
    wanted = {row.id: scrub(row.name) for row in rows}
    changed = [row for row in rows if wanted[row.id] != row.name]
    for row in changed:
        row.name = _free(wanted[row.id], taken)
        taken.add(row.name)
        session.flush()
    return {row.id for row in changed}


def _rename_nodes(session: Session, space_id: str, scrub: Scrub) -> set[str]:
    """Each keeps a name whose key no other node of its kind has."""
    columns = tables.Node.id, tables.Node.kind, tables.Node.name, tables.Node.name_key
    rows = session.execute(select(*columns).where(tables.Node.space_id == space_id)).all()
    taken = {(kind, key) for _, kind, _, key in rows}
    changed: set[str] = set()
    for node_id, kind, name, key in rows:
        new = scrub(name)
        if new == name and scrub(key) == key:
            continue
        free = _free(names.key(new), {other for of_kind, other in taken if of_kind == kind} - {key})
        node = session.get_one(tables.Node, node_id)
        node.name, node.name_key = _numbered(new, free), free
        taken.add((kind, free))
        changed.add(node_id)
        session.flush()
    return changed


def _numbered(name: str, key: str) -> str:
    """The name with the number that made its key free."""
    begin = key.find(f"{MARK[:-1]} ")
    if begin < 0:
        return name
    number = key[begin + len(MARK) : key.index("]", begin)]
    return name.replace(MARK, f"{MARK[:-1]} {number}]", 1)


def _free(name: str, taken: Collection[str]) -> str:
    """The name itself, or with a number after the first mark, so that nobody else has it."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = name.replace(MARK, f"{MARK[:-1]} {number}]", 1)
    return free


def text_columns(table: Table) -> Iterator[str]:
    """Columns of the table that can hold words: texts and JSON, keys aside."""
    for column in table.columns:
        kind = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
        if isinstance(kind, String | JSON) and not column.primary_key and not column.foreign_keys:
            yield column.name
