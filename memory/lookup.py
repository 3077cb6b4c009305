"""Find the facts that a question asks for: readings of the question, and how well each known fact answers one.

A reading takes one name of the question as its subject, or follows a relation from it ("Tomas's sister"), or turns the
question round ("Who has a sister called Ebba?"). Facts are scored against a reading by meaning (the wordings in which
their predicate is asked, the sentence they make), by shared words, and by whether their value is of the asked kind.
Nothing here decides whether a score is enough: `memory.ask` does.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memory import names, values
from memory.questions import Question, tidy
from memory.registry import Registry
from memory.search.mentions import Mention
from memory.search.words import STOP, words
from memory.types import Fact
from memory.wordings import Wordings, content_words

# Weights of the parts of a score; chosen on development questions, see docs/adr/0007-retrieval.md.
ASKED, RIVALLED, SAID, SHARED, FITTING, NAMED = 0.55, 0.8, 0.3, 0.25, 0.12, 0.15

_ADJECTIVES = (
    r"(?:(?:older|younger|little|big|elder|eldest|youngest|twin|late|new|old|current|former|first|best)\s+)*"
)
_SYNONYMS = {
    "mum": "mother",
    "mom": "mother",
    "mam": "mother",
    "dad": "father",
    "grandma": "grandmother",
    "granny": "grandmother",
    "grandad": "grandfather",
    "grandpa": "grandfather",
    "girlfriend": "partner",
    "boyfriend": "partner",
    "fiancé": "fiance",
    "fiancée": "fiance",
    "manager": "boss",
    "director": "boss",
    "supervisor": "boss",
    "employer": "workplace",
    "flatmate": "roommate",
    "kid": "child",
    "puppy": "dog",
    "kitten": "cat",
    "baby": "child",
    "witness": "wedding_witness",
    "coworker": "colleague",
}
_ENDINGS = """
die died dead death stop stopped quit end ended leave left sell sold close closed divorce divorced split lose lost
retire retired give gave off
"""
ENDING = frozenset(_ENDINGS.split())
_FORMS = """
broke broken=break sold=sell bought=buy taught=teach gave given=give drove driven=drive went gone=go met=meet
born=birth wrote written=write spoke spoken=speak grew grown=grow chose chosen=choose sang sung=sing swam=swim
ran=run rode ridden=ride fell fallen=fall left=leave lost=lose kept=keep felt=feel paid=pay built=build caught=catch
weighed weighs weigh=weight flew flown=fly moved moving=move opened=opening died=die named=name studied=study
"""
_BASE = {
    form: group.split("=")[1]
    for group in re.findall(r"[^=]+=\w+", _FORMS)
    for form in group.split("=")[0].split()
}
_NAMING = frozenset({"nam", "name", "call", "known"})  # stems that ask for nothing but a name
_KIN = {"partner": {"partner", "fiance", "husband", "wife", "spouse"}, "child": {"child", "daughter", "son"}}
_KIN |= {name: {name, "spouse", "partner"} for name in ("husband", "wife", "fiance")}
_BIRTH = {"daughter", "son", "child", "birthday", "niece", "nephew"}


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to understand the question. `subjects` None means anybody; `hops` are the facts that lead there."""

    subjects: frozenset[str] | None
    asked: str  # the question about the stand-in
    hops: tuple[Fact, ...] = ()
    nouns: tuple[tuple[str, frozenset[str]], ...] = ()  # "Ines's boss": the noun and the predicates it names
    is_reverse: bool = False
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


class Relations:
    """Which predicate a noun like "sister" or "dog" means."""

    def __init__(self, facts: Iterable[Fact], wordings: Wordings) -> None:
        self._by_noun: dict[str, set[str]] = defaultdict(set)
        for predicate in {fact.predicate for fact in facts}:
            for noun in (predicate.replace("_", " "), wordings.noun(predicate)):
                self._by_noun[noun.casefold()].add(predicate)

    def of(self, noun: str) -> set[str]:
        """Predicates that the noun names, its synonyms and nearer forms included."""
        noun = noun.casefold()
        forms = {noun, noun.removesuffix("s"), _SYNONYMS.get(noun, noun)}
        found = set().union(*(self._by_noun.get(form, set()) for form in forms))
        for form in forms:
            found |= {p for p in _KIN.get(form, ()) if p in self._by_noun}
        return found


def readings(question: Question, facts: Sequence[Fact], wordings: Wordings) -> list[Reading]:
    """Every way to understand whom the question is about; the plain one of each name first."""
    relations = Relations(facts, wordings)
    found: list[Reading] = []
    for mention in question.main_mentions or question.mentions:
        nouns = _nouns(question, mention)
        found.append(
            Reading(
                frozenset(mention.node_ids),
                question.masked(mention.begin, mention.stop),
                nouns=tuple((noun, frozenset(relations.of(noun))) for noun, _, _ in nouns),
                begin=mention.begin,
                stop=mention.stop,
            )
        )
        found += _hops(question, mention, nouns, facts, relations)
        found.append(
            Reading(frozenset(mention.node_ids), question.masked(), is_reverse=True, begin=mention.begin)
        )
    if not found:
        found.append(Reading(None, question.masked()))
    return found


def _nouns(question: Question, mention: Mention) -> list[tuple[str, int, int]]:
    """Nouns that the name owns, "NAME's sister" and "the sister of NAME", each with the stretch it makes with it."""
    after = re.match(rf"(?:'s?|’s?)\s+{_ADJECTIVES}(\w+)(\s\w+)?", question.text[mention.stop :])
    before = re.search(rf"(?:\bthe\s+)?{_ADJECTIVES}(\w+)\s+of\s+$", question.text[: mention.begin])
    nouns = []
    if after:
        if after[2]:
            nouns.append((after[1] + after[2], mention.begin, mention.stop + after.end(2)))
        nouns.append((after[1], mention.begin, mention.stop + after.end(1)))
    if before:
        nouns.append((before[1], before.start(), mention.stop))
    return nouns


def _hops(
    question: Question,
    mention: Mention,
    nouns: Sequence[tuple[str, int, int]],
    facts: Sequence[Fact],
    relations: Relations,
) -> list[Reading]:
    """ "NAME's sister ..." read as a question about the sister."""
    found = []
    for noun, begin, stop in nouns:
        predicates = relations.of(noun)
        for fact in facts:
            if fact.predicate in predicates and fact.subject_id in mention.node_ids:
                subjects = _nodes_called(fact, facts)
                if subjects:
                    masked = question.masked(begin, stop)
                    found.append(Reading(subjects, masked, hops=(fact,), begin=begin, stop=stop))
    return found


def _nodes_called(fact: Fact, facts: Sequence[Fact]) -> frozenset[str]:
    """The nodes that the fact's object is: its own node, or subjects of that very name."""
    wanted = names.key(fact.object)
    same = {other.subject_id for other in facts if names.key(other.subject) == wanted}
    return frozenset(same | ({fact.object_id} if fact.object_id else set()))


class Scorer:
    """Scores facts against readings. `encode` makes unit rows; `nearness` compares with a predicate's wordings."""

    def __init__(self, question: Question, registry: Registry, wordings: Wordings) -> None:
        self.question, self.registry, self.wordings = question, registry, wordings
        named = {word for mention in question.mentions for word in words(mention.text)}
        dated = {word for phrase in question.times for word in words(phrase.text)}
        self.asked_words = _stems(" ".join(w for w in words(tidy(question.text)) if w not in named | dated))
        self.named = named

    def candidates(self, reading: Reading, facts: Sequence[Fact]) -> list[Fact]:
        if reading.is_reverse:
            return [fact for fact in facts if self._is_object(fact, reading)]
        if reading.subjects is None:
            return list(facts)
        return [fact for fact in facts if fact.subject_id in reading.subjects]

    def _is_object(self, fact: Fact, reading: Reading) -> bool:
        subjects = reading.subjects or frozenset()
        if fact.subject_id in subjects:
            return False
        if fact.object_id in subjects:
            return True
        mention = next((m for m in self.question.mentions if m.begin == reading.begin), None)
        return mention is not None and f" {names.key(mention.text)} " in f" {values.normal(fact.object)} "

    def score(self, fact: Fact, reading: Reading, asked: tuple[float, float], said: float) -> Match:
        """`asked` is the question's nearness to the fact's predicate and to the nearest of all predicates; `said`
        its cosine with the fact as a sentence."""
        near, best = (said, said) if reading.is_reverse else asked
        parts = {
            "asked": ASKED * near,
            "rivalled": RIVALLED * (near - best),
            "said": SAID * said,
            "shared": SHARED * self.shared(fact, reading),
            "fitting": FITTING * self.fitting(fact, reading),
            "named": NAMED * self.named_by_noun(fact, reading),
        }
        return Match(
            fact, reading, sum(parts.values()), {name: round(part, 3) for name, part in parts.items()}
        )

    def named_by_noun(self, fact: Fact, reading: Reading) -> float:
        """1 where "NAME's boss" is all that is asked, -1 where more is asked about the boss, 0 for other facts."""
        for noun, predicates in reading.nouns:
            if fact.predicate in predicates:
                more = self.asked_words - _stems(noun) - _NAMING
                return -1.0 if more else 1.0
        return 0.0

    def shared(self, fact: Fact, reading: Reading) -> float:
        """Share of the question's own words that the predicate or the value has."""
        asked = self.asked_words
        if reading.hops:
            asked = asked - _stems(" ".join(self.relation_words(reading)))
        if not asked:
            return 0.0
        return len(asked & self.fact_words(fact)) / len(asked)

    def relation_words(self, reading: Reading) -> list[str]:
        return words(self.question.text[reading.begin : reading.stop])

    def fact_words(self, fact: Fact) -> frozenset[str]:
        noun = self.wordings.noun(fact.predicate)
        own = _stems(f"{fact.predicate.replace('_', ' ')} {noun} {fact.object}")
        return own | self.wordings.head(fact.predicate)

    def fitting(self, fact: Fact, reading: Reading) -> float:
        """1 where the value is of the kind that is asked for, -1 where it cannot be, 0 where one cannot tell."""
        kind, wants = self.registry.get(fact.predicate).object, self.question.kind
        is_date = kind == "date" or values.as_day(fact.object) is not None
        if wants == "when":
            if is_date:
                return 1.0
            if "born" in self.question.text and fact.predicate in _BIRTH:
                return 1.5
            if ENDING & set(words(self.question.text)):
                return (
                    2.0
                    if fact.valid_to is not None and reading.is_reverse
                    else 1.0
                    if fact.valid_to
                    else -0.5
                )
            return 0.3 if fact.change in ("update", "end") else -0.5
        if wants == "who":
            return (
                0.5
                if reading.is_reverse or kind == "person"
                else -0.5
                if kind in ("date", "number", "place")
                else 0.0
            )
        if wants == "where":
            if kind in ("place", "organisation"):
                return 1.0
            if kind in ("person", "date", "number"):
                return -1.0
            return 0.6 if re.search(r"\b(?:at|in|for|near|own)\b", fact.object) else 0.0
        if wants == "number":
            return 1.0 if kind == "number" or re.search(r"\d", values.normal(fact.object)) else -0.3
        return 0.0


def objects_in(question: Question, fact: Fact) -> float:
    """Share of the value's words that the question says."""
    said = set(values.normal(tidy(question.text)).split())
    wanted = [word for word in values.normal(fact.object).split() if word not in STOP]
    return sum(word in said for word in wanted) / len(wanted) if wanted else 0.0


def _stems(text: str) -> frozenset[str]:
    """Stems of the content words, irregular verbs under their base form."""
    return content_words(" ".join(_BASE.get(word, word) for word in words(text)))


def best_first(matches: Iterable[Match]) -> list[Match]:
    """The best match of each fact, best first; ties by id."""
    best: dict[str, Match] = {}
    for match in matches:
        if match.fact.id not in best or match.score > best[match.fact.id].score:
            best[match.fact.id] = match
    return sorted(best.values(), key=lambda match: (-match.score, match.fact.id))
