"""Find whom a question is about: every reading of it, as somebody's own facts, a relation's, or turned round.

A reading takes one name of the question as its subject, follows a relation from it ("Tomas's sister", "the dog of
Carys's father"), looks at those beside it ("Where did Elias propose?" is a fact about Noor), or turns the question
round ("Who has a sister called Ebba?"). How well a fact answers a reading is for `memory.scoring`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from memory import names
from memory.nouns import Relations, forms
from memory.questions import Question
from memory.types import Fact
from memory.wordings import Wordings

MAX_HOPS = 3
COUPLE = frozenset(("partner", "fiance", "fiancee", "husband", "wife", "spouse", "girlfriend", "boyfriend"))
_ADJECTIVES = r"(?:(?:older|younger|little|big|elder|eldest|youngest|twin|late|new|old|current|former|first|second|last|best)\s+)*"


_KEPT = re.compile(
    r"\b(?:kind|breed|type|sort|colou?r)(?:\s+of)?\s+(\w+)\s+(?:does|do|did|has)\s+$", re.IGNORECASE
)
_HAVING = re.compile(r"\s+(?:have|own|got|keep)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to understand the question. `subjects` None means anybody; `hops` are the facts that lead there."""

    subjects: frozenset[str] | None
    asked: str  # the question about the stand-in
    hops: tuple[Fact, ...] = ()
    nouns: tuple[tuple[str, frozenset[str]], ...] = ()  # "Ines's boss": the noun and the predicates it names
    is_reverse: bool = False
    is_near: bool = False  # about those one relation away from the name
    is_passed: bool = False  # the name leads to somebody else, whom the question is about
    begin: int = -1
    stop: int = -1


@dataclass(frozen=True, slots=True)
class Match:
    fact: Fact
    reading: Reading
    score: float
    parts: dict[str, float]

    @property
    def slot(self) -> tuple[str, str]:
        return (self.fact.subject_id, self.fact.predicate)


def readings(question: Question, facts: Sequence[Fact], wordings: Wordings) -> list[Reading]:
    """Every way to understand whom the question is about; the plain one of each name first."""
    relations = Relations(facts, wordings)
    found: list[Reading] = []
    for mention in question.main_mentions or question.mentions:
        nouns = _nouns(question, mention.begin, mention.stop)
        plain = Reading(
            frozenset(mention.node_ids),
            question.masked(mention.begin, mention.stop),
            nouns=tuple((noun, frozenset(relations.of(noun))) for noun, _, _ in nouns),
            begin=mention.begin,
            stop=mention.stop,
        )
        hops = _chains(question, plain, nouns, facts, relations, mention.text)
        found.append(replace(plain, is_passed=any(hop.subjects for hop in hops)))
        found += hops
        found.append(replace(plain, asked=question.masked(), nouns=(), is_reverse=True, stop=-1))
        beside = _beside(mention.node_ids, facts)
        if beside and not nouns:
            found.append(replace(plain, subjects=beside, nouns=(), is_near=True))
    if not found:
        found.append(Reading(None, question.masked()))
    return found


def _nouns(question: Question, begin: int, stop: int) -> list[tuple[str, int, int]]:
    """Nouns that the stretch owns, "NAME's sister" and "the sister of NAME", each with the stretch it makes with it."""
    after = re.match(rf"(?:'s?|’s?)\s+{_ADJECTIVES}(\w+(?:-in-law)?)(\s\w+)?", question.text[stop:])
    before = re.search(rf"(?:\bthe\s+)?{_ADJECTIVES}(\w+)\s+of\s+$", question.text[:begin])
    nouns = []
    if after:
        if after[2]:
            nouns.append((after[1] + after[2], begin, stop + after.end(2)))
        nouns.append((after[1], begin, stop + after.end(1)))
    if before:
        nouns.append((before[1], before.start(), stop))
    if kept := _KEPT.search(question.text[:begin]):
        having = _HAVING.match(question.text[stop:])
        if having:
            nouns.append((kept[1], kept.start(1), stop + having.end()))
    return nouns


def _chains(
    question: Question,
    plain: Reading,
    nouns: Sequence[tuple[str, int, int]],
    facts: Sequence[Fact],
    relations: Relations,
    called: str,
    depth: int = 1,
) -> list[Reading]:
    """ "NAME's sister ..." read as a question about the sister, "NAME's sister's son ..." as one about the son."""
    found: list[Reading] = []
    for noun, begin, stop in nouns:
        for step, subjects in _steps(plain, noun, facts, relations, called):
            if not subjects:
                continue
            masked = question.masked(begin, stop)
            reading = replace(
                plain,
                subjects=subjects,
                asked=masked,
                hops=(*plain.hops, *step),
                nouns=(),
                begin=begin,
                stop=stop,
            )
            on = _nouns(question, begin, stop)
            named = tuple((word, frozenset(relations.of(word))) for word, _, _ in on)
            further = []
            if depth < MAX_HOPS and on:
                further = _chains(question, reading, on, facts, relations, "", depth + 1)
            found.append(replace(reading, nouns=named, is_passed=bool(further)))
            found += further
    return found


def _steps(
    plain: Reading, noun: str, facts: Sequence[Fact], relations: Relations, called: str
) -> Iterable[tuple[tuple[Fact, ...], frozenset[str]]]:
    """The facts by which the noun leads on, with whom each leads to; nodes called "NAME's sister" need no fact."""
    predicates = relations.of(noun)
    for fact in facts:
        if fact.predicate in predicates and plain.subjects and fact.subject_id in plain.subjects:
            yield (fact,), _nodes_called(fact, facts)
    owners = {
        names.key(fact.subject) for fact in facts if plain.subjects and fact.subject_id in plain.subjects
    }
    owners |= {names.key(called)} | {owner.split()[0] for owner in owners if owner}
    wanted = {f"{owner}'s {form}" for owner in owners if owner for form in forms(noun)}
    own = {fact.subject_id for fact in facts if names.key(fact.subject).replace("’", "'") in wanted}
    if own:
        yield (), frozenset(own)


def _nodes_called(fact: Fact, facts: Sequence[Fact]) -> frozenset[str]:
    """The nodes that the fact's object is: its own node, or subjects of that very name."""
    wanted = names.key(fact.object)
    same = {other.subject_id for other in facts if names.key(other.subject) == wanted}
    return frozenset(same | ({fact.object_id} if fact.object_id else set()))


def _beside(node_ids: Sequence[str], facts: Sequence[Fact]) -> frozenset[str]:
    """With whom the named are or were a couple: what they did together is told as a fact of either."""
    named = frozenset(node_ids)
    couples = [fact for fact in facts if fact.predicate in COUPLE]
    forth = {fact.object_id for fact in couples if fact.subject_id in named and fact.object_id}
    back = {fact.subject_id for fact in couples if fact.object_id in named}
    return frozenset((forth | back) - named)


def best_first(matches: Iterable[Match]) -> list[Match]:
    """The best match of each fact, best first; ties by id."""
    best: dict[str, Match] = {}
    for match in matches:
        if match.fact.id not in best or match.score > best[match.fact.id].score:
            best[match.fact.id] = match
    return sorted(best.values(), key=lambda match: (-match.score, match.fact.id))
