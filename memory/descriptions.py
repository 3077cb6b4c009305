"""Who was first known only as somebody's: "Ines's sister" becomes Joana when a fact names her.

An extractor that does not know the name makes a node called "Ines's sister". Once facts name exactly one sister, the
two nodes are merged, on the record and so that it can be undone (memory.merging). Never where a second one is
possible: another is named, a relation of which people have several, words that speak of two ("my other sister"), a
boss of another time. And never where it would tell a name to somebody who heard only the description.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from db.tables import Episode, Evidence, Fact, Node, Participant
from memory import names
from memory.merging import merge_nodes
from memory.people import find_node, load_people, retire_key
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.relation_words import counterparts, neutral, relation_word, words_for

# relations of which one is what most people have; of an aunt or a friend another is always possible
_MAYBE_ONE = frozenset({"sister", "brother", "sibling", "daughter", "son", "child"})
_LIVE = and_(Fact.state.in_(("candidate", "stored")), Fact.retracted_at.is_(None))


def name_the_described(
    session: Session,
    space_id: str,
    fact_ids: Collection[str],
    registry: Registry,
    *,
    clock: Clock = utc_now,
) -> list[str]:
    """Merge whom these new facts name, or describe, with who they were described as. Returns the merges' ids."""
    merged = []
    for owner_id, predicate in _relations_in(session, space_id, fact_ids, registry):
        tie = _Tie(session, space_id, owner_id, predicate, registry)
        found = tie.named()
        if len({name.person_id for name in found}) > 1:
            tie.let_go()
        for node_id in tie.described() if _is_sole(found) else ():
            if tie.is_same(node_id, found):
                merged.append(merge_nodes(session, space_id, found[0].person_id, node_id, clock=clock).id)
    return merged


def _relations_in(
    session: Session, space_id: str, fact_ids: Collection[str], registry: Registry
) -> list[tuple[str, str]]:
    """(owner, predicate) of every relation that the facts state, or describe their subject or object by."""
    found: dict[tuple[str, str], None] = {}
    node_ids: set[str] = set()
    for fact in _in_chunks(session, fact_ids):
        node_ids |= {fact.subject_id} | ({fact.object_id} if fact.object_id else set())
        if fact.object_id and registry.get(fact.predicate).object == "person":
            found[fact.subject_id, fact.predicate] = None
    for person in load_people(session, sorted(node_ids)):
        described = names.described(person.name)
        word = relation_word(described[1]) if described else None
        owner_id = find_node(session, space_id, described[0]) if described and word else None
        if owner_id and word and len(word.predicates) == 1:
            found[owner_id, next(iter(word.predicates))] = None
    takes_one = (key for key in found if _can_be_one(registry, key[1]))
    return list(takes_one)


def _can_be_one(registry: Registry, predicate: str) -> bool:
    return registry.get(predicate).cardinality == "one" or predicate in _MAYBE_ONE


def _in_chunks(session: Session, fact_ids: Collection[str]) -> Sequence[Fact]:
    wanted = sorted(fact_ids)
    return [
        fact
        for start in range(0, len(wanted), 500)
        for fact in session.scalars(select(Fact).where(Fact.id.in_(wanted[start : start + 500])))
    ]


@dataclass(frozen=True, slots=True)
class _Named:
    """A fact that names who stands in the relation."""

    person_id: str
    fact_id: str
    change: str
    valid_from: datetime | None
    valid_to: datetime | None


def _is_sole(found: Sequence[_Named]) -> bool:
    return len({name.person_id for name in found}) == 1


@dataclass(frozen=True, slots=True)
class _Tie:
    """One relation of one person: Ines, sister."""

    session: Session
    space_id: str
    owner_id: str
    predicate: str
    registry: Registry

    def named(self) -> list[_Named]:
        """Everybody whom a standing fact puts into the relation by a name, from either side."""
        broad = neutral(self.predicate)
        inverse = [name for name in self.registry.names() if self.registry.get(name).inverse == broad]
        elsewhere = select(Fact.object_id).where(
            Fact.subject_id == self.owner_id, Fact.predicate.in_(counterparts(self.predicate)), _LIVE
        )
        query = (
            select(Fact, Fact.object_id, Node.name)
            .join(Node, Node.id == Fact.object_id)
            .where(Fact.subject_id == self.owner_id, Fact.predicate.in_({self.predicate, broad}), _LIVE)
        )
        back = (
            select(Fact, Fact.subject_id, Node.name)
            .join(Node, Node.id == Fact.subject_id)
            .where(Fact.object_id == self.owner_id, Fact.predicate.in_(inverse), _LIVE)
        )
        known = set(self.session.scalars(elsewhere))
        return [
            _Named(person_id, fact.id, fact.change, fact.valid_from, fact.valid_to)
            for fact, person_id, name in (*self.session.execute(query), *self.session.execute(back))
            if names.described(name) is None and person_id not in known
        ]

    def described(self) -> list[str]:
        """Nodes that go by a description of the relation and speak for nobody."""
        return list(
            self.session.scalars(self._descriptions().where(Node.merged_into.is_(None), ~Node.is_speaker))
        )

    def let_go(self) -> None:
        """A second one is known: what "Ines's sister" once led to is no longer who is meant next."""
        for node in self.session.scalars(
            select(Node).where(Node.id.in_(self._descriptions()), Node.merged_into.is_not(None))
        ):
            retire_key(node)
        self.session.flush()

    def _descriptions(self) -> Select[str]:
        (owner,) = load_people(self.session, [self.owner_id])
        keys = [
            names.key(f"{name}'s {word}")
            for name in (owner.name, *owner.aliases)
            for word in words_for(self.predicate)
        ]
        return select(Node.id).where(
            Node.space_id == self.space_id, Node.kind == "person", Node.name_key.in_(keys)
        )

    def is_same(self, node_id: str, found: Sequence[_Named]) -> bool:
        spoken = self._spoken_of(node_id)
        return (
            node_id != found[0].person_id
            and self._fits_in_time(spoken, found)
            and self._was_heard_by_all(spoken, found)
            and not self._may_be_two(spoken, found)
        )

    def _spoken_of(self, node_id: str) -> list[tuple[str, datetime]]:
        """Conversation and time of every message that a fact about the described one rests on."""
        query = (
            select(Episode.conversation_id, Episode.time)
            .join(Evidence, Evidence.episode_id == Episode.id)
            .join(Fact, Fact.id == Evidence.fact_id)
            .where(or_(Fact.subject_id == node_id, Fact.object_id == node_id))
        )
        return [(conversation_id, time) for conversation_id, time in self.session.execute(query)]

    def _fits_in_time(self, spoken: Sequence[tuple[str, datetime]], found: Sequence[_Named]) -> bool:
        """Whether the one who is named stood in the relation whenever it was spoken of."""
        if self.registry.get(self.predicate).volatility == "never":
            return True
        start = (
            None
            if any(name.change == "state" for name in found)
            else min((name.valid_from for name in found if name.valid_from), default=None)
        )
        end = (
            None
            if any(name.valid_to is None for name in found)
            else max((name.valid_to for name in found if name.valid_to), default=None)
        )
        return all((start is None or time >= start) and (end is None or time < end) for _, time in spoken)

    def _was_heard_by_all(self, spoken: Sequence[tuple[str, datetime]], found: Sequence[_Named]) -> bool:
        """Whether everybody who could hear of the described one could hear the name as well."""
        return self._listeners({chat for chat, _ in spoken}) <= self._listeners(self._named_in(found))

    def _named_in(self, found: Sequence[_Named]) -> set[str]:
        query = (
            select(Episode.conversation_id)
            .join(Evidence, Evidence.episode_id == Episode.id)
            .where(Evidence.fact_id.in_([name.fact_id for name in found]))
        )
        return set(self.session.scalars(query))

    def _listeners(self, conversations: Collection[str]) -> set[str]:
        query = select(Participant.node_id).where(Participant.conversation_id.in_(sorted(conversations)))
        return set(self.session.scalars(query))

    def _may_be_two(self, spoken: Sequence[tuple[str, datetime]], found: Sequence[_Named]) -> bool:
        """Whether words of these conversations speak of more than one: "sisters", "my other sister"."""
        if self.registry.get(self.predicate).cardinality == "one":
            return False
        chats = sorted({chat for chat, _ in spoken} | self._named_in(found))
        words = words_for(self.predicate)
        query = select(Episode.text).where(
            Episode.conversation_id.in_(chats),
            or_(*(func.lower(Episode.text).contains(word, autoescape=True) for word in words)),
        )
        kinds: set[str] = set()
        for text in self.session.scalars(query):
            kinds |= _kinds_spoken_of(text, words)
        return "several" in kinds or len(kinds) > 1


_OTHER = r"other|another|second|third|two|three|both|one of (?:my|her|his|their|your)|step|half"
_ELDER, _YOUNGER = "older|elder|eldest|oldest|big", "younger|youngest|little|small|baby"


def _kinds_spoken_of(text: str, words: Sequence[str]) -> set[str]:
    """`several` where the text tells of more than one; `elder` and `younger` where it tells them apart."""
    said = "|".join(re.escape(word) for word in words)
    found = set()
    if re.search(rf"\b(?:{said})s\b(?!['’])|\b(?:{_OTHER})[\s-]+(?:\w+\s)?(?:{said})\b", text, re.IGNORECASE):
        found.add("several")
    for kind, adjectives in (("elder", _ELDER), ("younger", _YOUNGER)):
        if re.search(rf"\b(?:{adjectives})\s+(?:{said})\b", text, re.IGNORECASE):
            found.add(kind)
    return found
