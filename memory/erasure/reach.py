"""How far an erasure reaches: which rows go with a person, a fact, a message or a source. Reads; changes nothing.

A message takes its tags, vectors and evidence, the facts that nobody's remaining words assert, and what was inferred from
it together with others. A fact takes the statements that were merged into it. A person takes what they said and what is said about them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from db import tables
from memory import families, vector_nodes
from memory.erasure import kept_by_agents, quotes, said
from memory.erasure.chunks import chunked
from memory.erasure.mentions import Forms, forms_of
from memory.erasure.quotes import Going
from memory.erasure.repeats import Place, repeated
from memory.erasure.rewordings import Rewordings, rewordings
from memory.errors import UnknownEpisode, UnknownFact, UnknownPerson, UnknownSource
from memory.exchange.told import notebook_ids, noted_nodes

TargetKind = Literal["person", "fact", "episode", "source"]
Mentions = Literal["keep", "redact", "erase"]


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be erased. `mentions` and `spare` matter for a person, `with_messages` for a fact."""

    kind: TargetKind
    id: str
    mentions: Mentions = "redact"  # what becomes of other people's messages that name the person
    spare: tuple[str, ...] = ()  # forms of the name that are ordinary words here
    with_messages: bool = False  # erase the messages that the fact rests on as well


@dataclass(slots=True)
class Reach:
    """Ids of what goes (`episodes`, `facts`, `nodes`, ...) and of what is changed in place."""

    target: Target
    forms: Forms = field(default_factory=Forms)
    people: frozenset[str] = frozenset()  # the erased person and everybody merged into them
    episodes: set[str] = field(default_factory=set)
    redacted: set[str] = field(default_factory=set)  # episodes that lose the name
    named: Counter[str] = field(default_factory=Counter)  # form -> places in other people's messages
    facts: set[str] = field(default_factory=set)
    again: set[str] = field(
        default_factory=set
    )  # facts of the same slots, to be stated again from what is left
    nodes: set[str] = field(default_factory=set)
    conversations: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)  # made again from what is left
    talks: set[str] = field(default_factory=set)  # sessions with personas
    turns: set[str] = field(default_factory=set)  # of personas
    blank: set[str] = field(default_factory=set)  # turns that stay and lose their deliberation
    repeated: dict[str, Place] = field(default_factory=dict)  # episodes that stay with a later source
    reworded: Rewordings = field(default_factory=Rewordings)  # messages to which the source gave other words
    entities: set[str] = field(default_factory=set)  # what agents keep about what is erased
    entity_names: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)  # entities that go if their nodes do
    untyped: set[str] = field(default_factory=set)  # entities that stay and lose their type
    observations: set[str] = field(default_factory=set)  # of agents, that were an erased fact on its way back
    relations: set[str] = field(default_factory=set)  # of agents, the same
    n_left: int = 0  # messages on which an erased fact rested and that stay

    @property
    def put_back(self) -> set[str]:
        """Messages that stay and lose the words that they have now."""
        return set(self.reworded.put_back) - self.episodes

    @property
    def unsaid(self) -> set[str]:
        """Messages whose present words go, with or without the message."""
        return self.episodes | self.put_back

    @property
    def going(self) -> Going:
        """What goes and has words."""
        turns = self.turns | self.blank
        return Going(self.episodes, self.unsaid, self.unsaid_versions, self.facts, self.nodes, turns)

    @property
    def gone_versions(self) -> set[str]:
        return self.reworded.gone

    @property
    def unsaid_versions(self) -> set[str]:
        """Versions whose words are kept by nobody else."""
        return self.reworded.unsaid


def find(session: Session, space_id: str, target: Target) -> Reach:
    """Raises UnknownPerson, UnknownFact, UnknownEpisode or UnknownSource."""
    reach = Reach(target)
    _begin(session, space_id, reach)
    if target.kind == "fact" and target.with_messages:
        reach.episodes |= set[str]().union(*evidence_of(session, reach.facts).values())
    _close(session, space_id, reach)
    if notes := _notes(session, reach):
        reach.episodes |= notes
        reach.redacted -= notes
        _close(session, space_id, reach)
    resting = set[str]().union(*evidence_of(session, reach.facts).values())
    reach.n_left = len(resting - reach.unsaid)
    _say_again(session, space_id, reach)
    _empty_containers(session, space_id, reach)
    _digests(session, reach)
    _personas(session, space_id, reach)
    kept_by_agents.find(session, space_id, reach)
    _orphans(session, space_id, reach)
    kept_by_agents.take_bare(session, reach)
    return reach


def _say_again(session: Session, space_id: str, reach: Reach) -> None:
    """Add the simulated messages that restate what is erased, hold a stretch of it, or were kept as resting on it."""
    reach.episodes |= said.restating(session, reach.facts)
    reach.episodes |= quotes.quoting(session, space_id, reach.going)
    while more := said.resting(session, space_id, reach.unsaid) - reach.episodes:
        reach.episodes |= more
    reach.redacted -= reach.episodes


def _begin(session: Session, space_id: str, reach: Reach) -> None:
    target = reach.target
    if target.kind == "person":
        _begin_person(session, space_id, reach)
        return
    table: Any = {"fact": tables.Fact, "episode": tables.Episode, "source": tables.Source}[target.kind]
    row = session.get(table, target.id)
    if row is None or row.space_id != space_id:
        unknown = {"fact": UnknownFact, "episode": UnknownEpisode, "source": UnknownSource}[target.kind]
        raise unknown(target.id)
    if target.kind == "fact":
        reach.facts = _with_merged(session, space_id, target.id)
    elif target.kind == "episode":
        reach.episodes = {target.id}
    else:
        of_source = select(tables.Episode.id).where(tables.Episode.source_id == target.id)
        reach.repeated = repeated(session, target.id)
        reach.episodes = set(session.scalars(of_source)) - set(reach.repeated)
        reach.sources = {target.id}
        reach.reworded = rewordings(session, target.id, reach.episodes, reach.repeated)


def _with_merged(session: Session, space_id: str, fact_id: str) -> set[str]:
    """The fact, what was merged into it, and what waits to be: they say the same."""
    fact = tables.Fact
    shown = session.get_one(fact, fact_id)
    merged = select(fact.id).where(fact.space_id == space_id, fact.superseded_by == fact_id)
    waiting = select(fact.id).where(
        fact.space_id == space_id,
        fact.subject_id == shown.subject_id,
        fact.predicate == shown.predicate,
        fact.object_key == shown.object_key,
        fact.state == "candidate",
    )
    return {
        fact_id,
        *session.scalars(merged.where(fact.state.in_(("merged", "rejected")))),
        *session.scalars(waiting),
    }


def _begin_person(session: Session, space_id: str, reach: Reach) -> None:
    target = reach.target
    nodes = session.execute(
        select(tables.Node.id, tables.Node.merged_into).where(
            tables.Node.space_id == space_id, tables.Node.kind == "person"
        )
    ).all()
    into: dict[str, str | None] = {row.id: row.merged_into for row in nodes}
    if target.id not in into:
        raise UnknownPerson(target.id, ())
    kept = _root(into, target.id)
    reach.people = frozenset(node_id for node_id in into if _root(into, node_id) == kept)
    reach.nodes |= reach.people
    reach.forms = forms_of(session, space_id, reach.people, target.spare)
    spoken = select(tables.Episode.id, tables.Episode.speaker_id, tables.Episode.text).where(
        tables.Episode.space_id == space_id
    )
    notebooks = set(notebook_ids(session, space_id))
    for episode_id, speaker_id, text in session.execute(spoken).yield_per(2000):
        if speaker_id in reach.people:
            reach.episodes.add(episode_id)
        elif places := reach.forms.find(text):
            if speaker_id in notebooks and min(start for start, _, _ in places) == 0:
                reach.episodes.add(episode_id)  # another program's note about them, which their name leads
                continue
            reach.redacted.add(episode_id)
            reach.named.update(key for _, _, key in places)
    if target.mentions == "erase":
        reach.episodes |= reach.redacted
    if target.mentions != "redact":
        reach.redacted = set()
    said = select(
        tables.Fact.id,
        tables.Fact.subject_id,
        tables.Fact.object_id,
        tables.Fact.asserted_by,
        tables.Fact.object,
        tables.Fact.corrects,
    ).where(tables.Fact.space_id == space_id)
    for fact_id, *who, value, corrects in session.execute(said).yield_per(2000):
        if reach.people.intersection(who) or reach.forms.name(value) or reach.forms.name(corrects or ""):
            reach.facts.add(fact_id)


def _root(into: dict[str, str | None], node_id: str) -> str:
    seen = {node_id}
    while (after := into.get(node_id)) and after not in seen:
        seen.add(after)
        node_id = after
    return node_id


def _close(session: Session, space_id: str, reach: Reach) -> None:
    """Add the facts that go with the episodes, and name those of their slots that are to be stated again."""
    resting = select(tables.Evidence.fact_id)
    hit = {
        fact_id
        for part in chunked(tables.Evidence.episode_id, reach.unsaid)
        for fact_id in session.scalars(resting.where(part))
    }
    held = evidence_of(session, hit)
    speakers = _speakers(session, set[str]().union(*held.values()) if held else set())
    for fact_id, asserter, is_inferred in _asserters(session, hit - reach.facts):
        asserted = {episode for episode in held[fact_id] if speakers[episode] == asserter}
        if is_inferred or not (asserted or held[fact_id]) - reach.unsaid:
            reach.facts.add(fact_id)
    reach.again = slot_mates(session, space_id, hit | reach.facts) - reach.facts


def _notes(session: Session, reach: Reach) -> set[str]:
    """Notes of facts stated by hand go with the last of their facts: they say nothing else."""
    held = set[str]().union(*evidence_of(session, reach.facts).values()) - reach.episodes
    notes = {
        episode_id
        for part in chunked(tables.Episode.id, held)
        for episode_id in session.scalars(
            select(tables.Episode.id).where(part, tables.Episode.kind == "note")
        )
    }
    needed = {
        episode_id
        for part in chunked(tables.Evidence.episode_id, notes)
        for fact_id, episode_id in session.execute(
            select(tables.Evidence.fact_id, tables.Evidence.episode_id).where(part)
        )
        if fact_id not in reach.facts
    }
    return notes - needed


def _asserters(session: Session, fact_ids: Collection[str]) -> Iterator[tuple[str, str | None, bool]]:
    """Fact, who asserts it, and whether it was inferred."""
    for part in chunked(tables.Fact.id, fact_ids):
        columns = tables.Fact.id, tables.Fact.asserted_by, tables.Fact.origin
        for row in session.execute(select(*columns).where(part)):
            yield row.id, row.asserted_by, row.origin == "inferred"


def slot_mates(session: Session, space_id: str, fact_ids: Collection[str]) -> set[str]:
    """Every fact that shares a slot with one of these."""
    slots = {
        (subject_id, families.slot(predicate))
        for part in chunked(tables.Fact.id, fact_ids)
        for subject_id, predicate in session.execute(
            select(tables.Fact.subject_id, tables.Fact.predicate).where(part)
        )
    }
    columns = tables.Fact.id, tables.Fact.subject_id, tables.Fact.predicate
    return {
        fact_id
        for part in chunked(tables.Fact.subject_id, {subject for subject, _ in slots})
        for fact_id, subject_id, predicate in session.execute(
            select(*columns).where(tables.Fact.space_id == space_id, part)
        )
        if (subject_id, families.slot(predicate)) in slots
    }


def evidence_of(session: Session, fact_ids: Collection[str]) -> dict[str, set[str]]:
    """The episodes that each fact rests on."""
    held: dict[str, set[str]] = {fact_id: set() for fact_id in fact_ids}
    rows = select(tables.Evidence.fact_id, tables.Evidence.episode_id)
    for part in chunked(tables.Evidence.fact_id, held):
        for fact_id, episode_id in session.execute(rows.where(part)):
            held[fact_id].add(episode_id)
    return held


def _speakers(session: Session, episode_ids: Collection[str]) -> dict[str, str]:
    return {
        episode_id: speaker_id
        for part in chunked(tables.Episode.id, episode_ids)
        for episode_id, speaker_id in session.execute(
            select(tables.Episode.id, tables.Episode.speaker_id).where(part)
        )
    }


def _empty_containers(session: Session, space_id: str, reach: Reach) -> None:
    """Conversations and sources that lose their last episode."""
    held: dict[str, dict[str, list[str]]] = {"conversation": defaultdict(list), "source": defaultdict(list)}
    for part in chunked(tables.Episode.id, reach.episodes):
        for conversation_id, source_id in session.execute(
            select(tables.Episode.conversation_id, tables.Episode.source_id).where(part).distinct()
        ):
            held["conversation"][conversation_id] = held["source"][source_id] = []
    for column, emptied, kind in (
        (tables.Episode.conversation_id, reach.conversations, "conversation"),
        (tables.Episode.source_id, reach.sources, "source"),
    ):
        for container in held[kind]:
            if kind == "source" and _is_held_by_versions(session, container, reach):
                continue
            others = select(tables.Episode.id).where(column == container)
            if all(episode in reach.episodes for episode in session.scalars(others)):
                emptied.add(container)


def _is_held_by_versions(session: Session, source_id: str, reach: Reach) -> bool:
    """Whether a message that stays has its words from the source."""
    version = tables.EpisodeVersion
    query = select(version.id, version.episode_id).where(version.source_id == source_id)
    return any(
        row.id not in reach.gone_versions and row.episode_id not in reach.episodes
        for row in session.execute(query)
    )


def _digests(session: Session, reach: Reach) -> None:
    """Digests of which a line goes, or the conversation."""
    line, digest = tables.DigestLine, tables.Digest
    for column, key, ids in (
        (line.digest_id, line.episode_id, reach.episodes),
        (digest.id, digest.conversation_id, reach.conversations),
    ):
        for part in chunked(key, ids):
            reach.digests.update(session.scalars(select(column).where(part)))


def _personas(session: Session, space_id: str, reach: Reach) -> None:
    """Sessions and turns of personas that go, and turns that were thought about with what is erased."""
    reach.talks = said.sessions_that_go(session, reach.nodes, reach.conversations)
    reach.turns = said.turns_that_go(session, reach.talks, reach.episodes)
    reach.blank = said.turns_to_blank(session, space_id, reach.facts, reach.unsaid, reach.turns)


def _orphans(session: Session, space_id: str, reach: Reach) -> None:
    """Nodes that nothing refers to once the rest is gone: speakers without a message, values that nobody states."""
    fact, episode = tables.Fact, tables.Episode
    touched = _nodes_of(session, fact.id, reach.facts, (fact.subject_id, fact.object_id, fact.asserted_by))
    touched |= _nodes_of(session, episode.id, reach.episodes, (episode.speaker_id,))
    touched |= _nodes_of(
        session, tables.Participant.conversation_id, reach.conversations, (tables.Participant.node_id,)
    )
    touched -= reach.nodes
    kept = set[str]()
    for column in (fact.subject_id, fact.object_id, fact.asserted_by):
        kept |= _referring(session, column, fact.id, touched, reach.facts)
    kept |= _referring(session, episode.speaker_id, episode.id, touched, reach.episodes)
    kept |= _referring(
        session, tables.Participant.node_id, tables.Participant.conversation_id, touched, reach.conversations
    )
    kept |= noted_nodes(session, space_id, touched, reach.conversations)
    owned = (tables.Principle.person_id, tables.Consent.person_id, tables.PersonaSetting.person_id)
    for column in (*owned, tables.Node.merged_into):
        kept |= _referring(session, column, column, touched, ())
    entity, bare = tables.MemoryEntity, reach.entities | reach.bare
    kept |= _referring(session, entity.node_id, entity.id, touched, bare)
    kept |= _referring(session, tables.ChatSession.person_id, tables.ChatSession.id, touched, reach.talks)
    claim = tables.Claim
    for column in (claim.person_id, claim.subject_id):
        kept |= _referring(session, column, claim.episode_id, touched, reach.episodes)
    kept |= _looked_at(session, touched, reach.episodes)
    of_weights = set(
        session.scalars(
            select(tables.Node.id).where(
                tables.Node.space_id == space_id, tables.Node.kind.in_(vector_nodes.OF_WEIGHTS)
            )
        )
    )
    for near, far in ((tables.Edge.src_id, tables.Edge.dst_id), (tables.Edge.dst_id, tables.Edge.src_id)):
        kept |= _referring(session, near, far, touched, reach.nodes | touched | of_weights)
    reach.nodes |= touched - kept


def _looked_at(session: Session, node_ids: Collection[str], gone: Collection[str]) -> set[str]:
    """Those of whom somebody has a view that messages show which stay."""
    line = tables.Principle
    return {
        about_id
        for part in chunked(line.about_id, node_ids)
        for about_id, evidence in session.execute(select(line.about_id, line.evidence).where(part))
        if about_id and not set(evidence) <= set(gone)
    }


def _nodes_of(
    session: Session, key: InstrumentedAttribute[str], ids: Collection[str], columns: Sequence[Any]
) -> set[str]:
    return {
        node_id
        for part in chunked(key, ids)
        for row in session.execute(select(*columns).where(part))
        for node_id in row
        if node_id
    }


def _referring(
    session: Session, column: Any, key: Any, node_ids: Collection[str], gone: Collection[str]
) -> set[str]:
    """The nodes that a row refers to whose key is not among those that go."""
    return {
        node_id
        for part in chunked(column, node_ids)
        for node_id, owner in session.execute(select(column, key).where(part).distinct())
        if owner not in gone
    }
