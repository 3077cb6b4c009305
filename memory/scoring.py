"""How well a fact answers a reading of a question: by meaning, by shared words, by the kind of its value.

Nothing here decides whether a score is enough: `memory.confidence` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from types import MappingProxyType

from memory import names, values
from memory.lookup import Match, Reading
from memory.nouns import forms, groups_of, is_relation
from memory.questions import Question, tidy
from memory.registry import Registry
from memory.search.words import STOP, words
from memory.types import Fact
from memory.wordings import Wordings, content_words

# Weights of the parts of a score; chosen on development questions, see docs/adr/0015-calibrated-answers.md.
ASKED, RIVALLED, SAID, SHARED, FITTING, NAMED = 0.55, 0.8, 0.3, 0.25, 0.12, 0.15
UNSAID = -0.12  # share of the asked words that neither the fact nor any wording of its predicate has
PASSED = -0.25  # the question is about somebody to whom the name leads ("Petra's husband"), the fact is not
BESIDE = -0.1  # the fact is about somebody beside the one who is named
FOREIGN = -0.3  # a relative is asked for ("Petra's daughter"), the fact names another

_ENDINGS = """
die died dead death stop stopped quit end ended leave left sell sold close closed divorce divorced split lose lost
retire retired give gave off until till
"""
ENDING = frozenset(_ENDINGS.split())
_FORMS = """
broke broken=break sold=sell bought=buy taught=teach gave given=give drove driven=drive went gone=go met=meet
born=birth wrote written=write spoke spoken=speak grew grown=grow chose chosen=choose sang sung=sing swam=swim
ran=run rode ridden=ride fell fallen=fall left=leave lost=lose kept=keep felt=feel paid=pay built=build caught=catch
weighed weighs weigh=weight flew flown=fly moved moving=move opened=opening died=die named=name studied=study
heavy=weight
"""
_BASE = {
    form: group.split("=")[1]
    for group in re.findall(r"[^=]+=\w+", _FORMS)
    for form in group.split("=")[0].split()
}
_NAMING = frozenset({"nam", "name", "call", "known", "go"})  # stems that ask for nothing but a name
_BIRTH = {"daughter", "son", "child", "birthday", "niece", "nephew", "grandson", "granddaughter"}
_JOINT = re.compile(
    r"wedding|proposal|honeymoon|\bmet|engage|anniversary|visit|trip|journey|arriv|bought|adopt|house"
)
_ASKS_WHO = re.compile(
    r"(?:\bwho(?:'s|’s| is| was| are| were)|\bwhat(?:'s|’s|s| is| was| are| were)|\bname of)\s*$", re.I
)
_NO_MORE = re.compile(
    r"^\s*(?:[?.,]|$|called\b|named\b|now\b|at\b|in\b|on\b|before\b|after\b|when\b|while\b|during\b|then\b)",
    re.I,
)
_DATED = re.compile(r"\b(?:19|20)\d\d\b")


class Scorer:
    """Scores facts against readings of one question."""

    def __init__(
        self,
        question: Question,
        registry: Registry,
        wordings: Wordings,
        first_said: Mapping[str, datetime] = MappingProxyType({}),
    ) -> None:
        """`first_said` gives the day of a fact's first message, where it matters: a start on another day was told."""
        self.question, self.registry, self.wordings = question, registry, wordings
        self.first_said = first_said
        self._known_stems: dict[str, frozenset[str]] = {}
        named = {word for mention in question.mentions for word in words(mention.text)}
        dated = {word for phrase in question.times for word in words(phrase.text)}
        if question.anchor:
            dated |= set(words(question.anchor.text)) | {"before", "after"}
        said = stems(" ".join(w for w in words(tidy(question.text)) if w not in named | dated))
        is_wedding = question.kind == "when" and any(word.startswith("marr") for word in said)
        self.asked_words = said | {"wedd"} if is_wedding else said

    def candidates(self, reading: Reading, facts: Sequence[Fact]) -> list[Fact]:
        if reading.is_reverse:
            return [fact for fact in facts if self._is_object(fact, reading)]
        if reading.subjects is None:
            return list(facts)
        found = [fact for fact in facts if fact.subject_id in reading.subjects]
        return [fact for fact in found if self._is_told_by(fact)] if reading.is_near else found

    def _is_told_by(self, fact: Fact) -> bool:
        """Whether the question says a word of the predicate itself: "propose" of proposal_place."""
        if not _JOINT.search(fact.predicate):
            return False
        own = stems(fact.predicate.replace("_", " ")) | self.wordings.head(fact.predicate)
        return any(_is_akin(asked, word) for asked in self.asked_words for word in own)

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
            "unsaid": UNSAID * self.unsaid(fact, reading),
            "passed": PASSED * reading.is_passed * (self.named_by_noun(fact, reading) <= 0),
            "beside": BESIDE * reading.is_near,
            "foreign": FOREIGN * self.is_foreign(fact, reading),
        }
        return Match(fact, reading, sum(parts.values()), {k: round(part, 3) for k, part in parts.items()})

    def named_by_noun(self, fact: Fact, reading: Reading) -> float:
        """1 where "NAME's boss" is all that is asked, -1 where more is asked about the boss, 0 for other facts."""
        for noun, predicates in reading.nouns:
            if fact.predicate in predicates:
                return -1.0 if self._more_than(noun, reading) else 1.0
        return 0.0

    def is_foreign(self, fact: Fact, reading: Reading) -> bool:
        """Whether "NAME's daughter" is all that is asked, and the fact is of another predicate."""
        asked = [
            (noun, found)
            for noun, found in reading.nouns
            if is_relation(noun) and not self._more_than(noun, reading)
        ]
        return bool(asked) and not any(fact.predicate in found for _, found in asked)

    def _more_than(self, noun: str, reading: Reading) -> bool:
        """Whether something else is asked about the noun's owner than who or what it is."""
        rest = re.match(
            rf"(?:'s?|’s?)?\s+(?:\w+\s+){{0,2}}?{re.escape(noun)}\b", self.question.text[reading.stop :], re.I
        )
        if rest and _ASKS_WHO.search(self.question.text[: reading.begin]):
            tail = self.question.text[reading.stop + rest.end() :]
            if _NO_MORE.match(tail):
                return False
        return bool(self._own_words(reading) - stems(noun) - stems(" ".join(forms(noun))) - _NAMING)

    def _own_words(self, reading: Reading) -> frozenset[str]:
        asked = self.asked_words
        return asked - stems(" ".join(self.relation_words(reading))) if reading.hops else asked

    def shared(self, fact: Fact, reading: Reading) -> float:
        """Share of the question's own words that the predicate or the value has."""
        asked = self._own_words(reading)
        return len(asked & self.fact_words(fact)) / len(asked) if asked else 0.0

    def unsaid(self, fact: Fact, reading: Reading) -> float:
        """Share of the question's own words that nobody uses of such a fact: "favourite" of a job."""
        asked = self._own_words(reading) - _NAMING
        if self.question.kind == "when" and fact.valid_to is not None:
            asked -= ENDING_STEMS
        if not asked:
            return 0.0
        known = self.fact_words(fact) | vocabulary(self.wordings, fact.predicate) | self._stems(fact.subject)
        new = asked - known
        return sum(not any(_is_akin(word, other) for other in known) for word in new) / len(asked)

    def relation_words(self, reading: Reading) -> list[str]:
        return words(self.question.text[reading.begin : reading.stop])

    def fact_words(self, fact: Fact) -> frozenset[str]:
        return predicate_words(self.wordings, fact.predicate) | self._stems(fact.object)

    def _stems(self, text: str) -> frozenset[str]:
        """As `stems`; what several readings ask for is taken apart once."""
        found = self._known_stems.get(text)
        if found is None:
            found = self._known_stems[text] = stems(text)
        return found

    def fitting(self, fact: Fact, reading: Reading) -> float:
        """1 where the value is of the kind that is asked for, -1 where it cannot be, 0 where one cannot tell."""
        kind, wants = self.registry.get(fact.predicate).object, self.question.kind
        if wants == "when":
            return self._fits_when(fact, kind, reading)
        if wants == "who":
            if reading.is_reverse or kind == "person":
                return 0.5
            return -0.5 if kind in ("date", "number", "place") else 0.0
        if wants == "where":
            if kind in ("place", "organisation"):
                return 1.0
            if kind in ("person", "date", "number"):
                return -1.0
            if re.search(r"\b(?:at|in|for|near|own)\b", fact.object):
                return 0.6
            return 0.0 if re.search(r"[A-ZÀ-Þ]", fact.object) else -0.5  # places have names
        if wants == "number":
            return 1.0 if kind == "number" or is_number(fact.object) else -0.8
        return 0.0

    def _fits_when(self, fact: Fact, kind: str, reading: Reading) -> float:
        if is_date(fact, kind):
            return 1.0
        if "born" in self.question.text and fact.predicate in _BIRTH:
            return 1.5
        if ENDING & set(words(self.question.text)):
            if fact.valid_to is None:
                return -0.5
            return 2.0 if reading.is_reverse else 1.0
        if fact.valid_from is None:
            return -0.5
        said = self.first_said.get(fact.id)
        if said is not None and abs((said - fact.valid_from).days) > 1:
            return 0.6
        return 0.3 if fact.change in ("update", "end") else -0.5


def is_date(fact: Fact, kind: str) -> bool:
    """Whether the value is a day, a month of a year or a year."""
    return kind == "date" or values.as_day(fact.object) is not None or bool(_DATED.search(fact.object))


def is_number(value: str) -> bool:
    return bool(re.search(r"\d", values.normal(value)))


def objects_in(question: Question, fact: Fact) -> float:
    """Share of the value's words that the question says."""
    return share_said(question, fact.object)


def share_said(question: Question, value: str) -> float:
    said = set(values.normal(tidy(question.text)).split())
    wanted = [word for word in values.normal(value).split() if word not in STOP]
    return sum(word in said for word in wanted) / len(wanted) if wanted else 0.0


@cache
def predicate_words(wordings: Wordings, predicate: str) -> frozenset[str]:
    """Stems of the predicate's own words, its noun's and its groups'."""
    wider = " ".join(groups_of(predicate))
    own = stems(f"{predicate.replace('_', ' ')} {wordings.noun(predicate)} {wider}")
    return own | wordings.head(predicate)


@cache
def vocabulary(wordings: Wordings, predicate: str) -> frozenset[str]:
    """Stems of every word with which such facts are asked and said."""
    texts = (*wordings.questions(predicate), *wordings.statements(predicate), *wordings.reverse(predicate))
    return stems(" ".join(text.replace("{p}", "") for text in texts).replace("{s}", "").replace("{o}", ""))


def _is_akin(a: str, b: str) -> bool:
    """Whether two stems are forms of one word: "propos" and "proposal", "wed" and "wedding"."""
    short, long = sorted((a, b), key=len)
    return short == long or (len(short) >= 4 and long.startswith(short) and len(long) - len(short) <= 4)


def stems(text: str) -> frozenset[str]:
    """Stems of the content words, irregular verbs under their base form."""
    return content_words(" ".join(_BASE.get(word, word) for word in words(text)))


ENDING_STEMS = stems(" ".join(ENDING))
