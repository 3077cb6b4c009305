"""What a persona is about to say, held against what it can know and what it said before.

A claim is held against the facts of its slot that the persona can know at that moment, then against the lines of the
constitution, then against the persona's own earlier claims. A value that was so and is told as past contradicts
nothing; of a predicate with many values only a denial, a value taken back or its opposite does. What contradicts
nothing is remembered as the persona's own once the turn was said. A fact that came since wins: the claim is withdrawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Literal

import numpy as np
import numpy.typing as npt

from memory import claims as store
from memory import families, names, values
from memory.claims import Basis, Claim, NewClaim
from memory.errors import UnknownClaim
from memory.facts import HISTORY, HOLDING, list_facts
from memory.registry import LASTING
from memory.revision import Line
from memory.types import Fact, FactCandidate, Person
from memory.wordings import Wordings, fill
from simulator.claims import Listener, Told, claims_of
from simulator.confidences import kept_facts
from simulator.denials import Convictions
from simulator.ports import Objection, Piece
from simulator.stance import Sight, claim_words, fact_words

FloatVector = npt.NDArray[np.float32]

MAX_DRAWS = 2  # objections in one reply before the right thing is said instead
LEAST_ALIKE = 0.72  # cosine of a question and a way to ask for a claim
MAX_HEARD = 600  # characters of what is answered, its end, by which an elliptical answer is understood
MOST_CLAIMS = 1000  # that a question is compared with, the newest
_FORMS = 4  # ways to ask for one claim
_MADE_UP: tuple[Basis, ...] = ("constitution", "claim", "invented")
_OPPOSITE = {"likes": "dislikes", "dislikes": "likes", "loves": "dislikes"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a claim meets: something it rests on, something against it with what to say instead, or nothing (None)."""

    verdict: Literal["rests", "contradicts"]
    fact: Fact | None = None
    claim: Claim | None = None
    instead: str = ""


@dataclass(slots=True)
class ClaimGuard:
    """A `Guard`. `lines`: the constitution's.

    What a turn costs does not grow with all that was ever claimed: a claim is held against the facts when it is met.
    """

    sight: Sight
    listener: Listener
    lines: Sequence[Line] = ()
    name: str = "claims"
    _heard: str = ""  # the end of what the reply answers
    _said: str = ""  # of the reply that is looked at
    _n_objected: int = 0  # to it
    _asks: dict[str, FloatVector] = field(default_factory=dict)  # unit vectors of ways to ask, oldest first
    _convictions: Convictions = field(init=False)

    def __post_init__(self) -> None:
        sight = self.sight
        self._convictions = Convictions(sight.person.name, sight.partner.name, sight.people, self.lines)

    def begin(self, heard: str) -> None:
        """A reply to what was heard begins; the one before may not have been kept."""
        self._heard = heard[-MAX_HEARD:]
        self._begin_again()

    def objection(self, said: str, part: str, pieces: Sequence[Piece]) -> Objection | None:
        if len(said) < len(self._said):
            self._begin_again()  # what stands of a reply never grows shorter
        self._said = said
        for told in self._told(part, said):
            found = self._held_against(told)
            if found is not None and found.verdict == "contradicts":
                what = "a fact" if found.fact else "an earlier claim"
                return self._object(f"{what} says otherwise: {told.fact.predicate}", found.instead)
        denied = next(filter(None, map(self._convictions.denied_by, claims_of(part))), None)
        return self._object(f"a {denied.principle.kind} of the constitution", "") if denied else None

    def heard(self, speaker: str, text: str) -> None:
        """A turn is over."""
        self._begin_again()

    def claims_of(self, reply: str) -> list[NewClaim]:
        """What the reply claims, each with what it rests on; to be kept with the turn once it was said.

        What only repeats a claim that is kept is none of them.
        """
        made = []
        for told in self._told(reply, ""):
            found = self._held_against(told)
            if found is None or (found.verdict == "rests" and found.claim is None):
                made.append(self._new(told, found))
        return made

    def claims_bearing_on(self, question: str) -> list[Claim]:
        """Earlier claims that the question (in the third person) asks for, the newest first."""
        sight = self.sight
        made_up = store.list_claims(sight.database, sight.space_id, person_id=sight.person.id, bases=_MADE_UP)
        own = [claim for claim in made_up if _is_named(question, claim)][:MOST_CLAIMS]
        if not own:
            return []
        near = self._nearness(question, own)
        return list(
            self._stood_by(claim for claim, score in zip(own, near, strict=True) if score >= LEAST_ALIKE)
        )

    def _stood_by(self, claims: Iterable[Claim]) -> Iterator[Claim]:
        """Those that the persona stands by. What a fact contradicts by now is withdrawn; the fact wins."""
        for claim in claims:
            if self._is_refuted(claim):
                with suppress(UnknownClaim):  # erased meanwhile
                    store.withdraw(self.sight.database, self.sight.space_id, claim.id, clock=self.sight.clock)
            elif self._lasts(claim):
                yield claim

    def _begin_again(self) -> None:
        self._n_objected, self._said = 0, ""

    def _object(self, reason: str, instead: str) -> Objection:
        self._n_objected += 1
        return Objection(self.name, reason, instead or None if self._n_objected > MAX_DRAWS else None)

    def _told(self, text: str, said: str) -> list[Told]:
        return self.listener.told(text, self.sight.clock(), heard=self._heard, said=said)

    def _held_against(self, told: Told) -> Finding | None:
        return self._facts_on(told) or self._claims_on(told)

    def _facts_on(self, told: Told) -> Finding | None:
        subject = self._person(told.fact.subject)
        if subject is None:
            return None
        one = told.fact
        predicates = {one.predicate, *families.sharing(one.predicate), _OPPOSITE.get(one.predicate, "")} - {
            ""
        }
        sight = self.sight
        known = list_facts(
            sight.database,
            sight.space_id,
            sight.registry,
            person_id=subject.id,
            as_of=sight.clock(),
            known_to=sight.person.id,
            statuses=HISTORY,
            predicates=sorted(predicates),
            clock=sight.clock,
        )
        return self._among_facts(told, known)

    def _among_facts(self, told: Told, known: Sequence[Fact]) -> Finding | None:
        one, entry = told.fact, self.sight.registry.get(told.fact.predicate)
        slot = [fact for fact in known if fact.predicate == one.predicate]
        now = [fact for fact in slot if fact.status in HOLDING]
        same = [fact for fact in slot if values.is_same(fact.object, one.object, kind=entry.object)]
        same_now = [fact for fact in same if fact in now]
        is_over = told.is_past and entry.volatility != "never"
        if told.is_negated:
            return self._against(same_now[0]) if same_now else None
        if is_over:
            return Finding("rests", same[0]) if same else None
        if same_now:
            return Finding("rests", same_now[0])
        if entry.cardinality == "one" and now:
            return self._against(now[0])
        opposite = [
            fact
            for fact in known
            if fact.predicate == _OPPOSITE.get(one.predicate)
            and fact.status in HOLDING
            and values.is_same(fact.object, one.object)
        ]
        taken_back = [fact for fact in same if fact.status == "retracted"]
        if opposite:
            return self._against(opposite[0])
        return Finding("contradicts", taken_back[0]) if taken_back else None

    def _against(self, fact: Fact) -> Finding:
        sight = self.sight
        is_kept = kept_facts(sight.database, sight.space_id, sight.heard_by, [fact])
        return Finding("contradicts", fact, instead="" if is_kept else fact_words(sight, fact))

    def _claims_on(self, told: Told) -> Finding | None:
        one, entry = told.fact, self.sight.registry.get(told.fact.predicate)
        if told.is_past and entry.volatility != "never":
            return None
        earlier = self._slot(one)
        alike = (claim for claim in earlier if values.is_same(claim.object, one.object, kind=entry.object))
        same = next(self._stood_by(alike), None)
        if same is not None:
            if same.is_negated == told.is_negated:
                return Finding("rests", claim=same)
            return self._said_otherwise(same)
        if entry.cardinality != "one" or told.is_negated:
            return None
        rivals = (claim for claim in earlier if not claim.is_negated and claim.valid_to is None)
        rival = next(self._stood_by(rivals), None)
        return self._said_otherwise(rival) if rival is not None else None

    def _slot(self, one: FactCandidate) -> list[Claim]:
        """What was claimed of the same subject and predicate, the newest first."""
        sight = self.sight
        found = store.list_claims(
            sight.database, sight.space_id, person_id=sight.person.id, predicates=[one.predicate]
        )
        return [claim for claim in found if self._is_about(claim, one.subject)]

    def _said_otherwise(self, claim: Claim) -> Finding:
        return Finding("contradicts", claim=claim, instead=claim_words(claim, self.sight.person.name))

    def _is_about(self, claim: Claim, subject: str) -> bool:
        person = self._person(subject)
        if person is not None and claim.subject_id is not None:
            return claim.subject_id == person.id
        return names.key(claim.subject) == names.key(subject)

    def _new(self, told: Told, found: Finding | None) -> NewClaim:
        one, person = told.fact, self._person(told.fact.subject)
        made = NewClaim(
            person.name if person else one.subject,
            one.predicate,
            one.object,
            person.id if person else None,
            told.is_negated,
            one.valid_from,
            (one.valid_to or self.sight.clock()) if told.is_past else one.valid_to,
        )
        if found is not None and found.fact is not None:
            return replace(made, basis="fact", fact_id=found.fact.id)
        line = next((line for line in self.lines if _names(line.principle.text, one.object)), None)
        return replace(made, basis="constitution", line=line.id) if line else made

    def _person(self, name: str) -> Person | None:
        """The one person whom the graph knows by that name."""
        key = names.key(name)
        found = [one for one in self.sight.people if key in map(names.key, (one.name, *one.aliases))]
        if not found:
            found = [one for one in self.sight.people if key == names.key(names.first(one.name))]
        return found[0] if len(found) == 1 else None

    def _is_refuted(self, claim: Claim) -> bool:
        if claim.basis == "fact":
            return False
        said = FactCandidate(claim.subject, claim.predicate, claim.object, (), claim.person, 1.0, "claim")
        found = self._facts_on(Told(said, claim.is_negated, claim.valid_to is not None))
        return found is not None and found.verdict == "contradicts"

    def _lasts(self, claim: Claim) -> bool:
        lasting = LASTING[self.sight.registry.get(claim.predicate).volatility]
        return lasting is None or self.sight.clock() - claim.said_at <= lasting

    def _nearness(self, question: str, claims: Sequence[Claim]) -> list[float]:
        """For each claim the best cosine of the question and the ways to ask for it."""
        encode, forms = self.sight.index.embedder.encode, [_ways_to_ask(claim) for claim in claims]
        fresh = [text for text in dict.fromkeys(chain.from_iterable(forms)) if text not in self._asks]
        rows = encode([question, *fresh])
        self._asks.update((text, row.copy()) for text, row in zip(fresh, rows[1:], strict=True))
        found = [max(float(self._asks[text] @ rows[0]) for text in ways) for ways in forms]
        for text in list(self._asks)[: -MOST_CLAIMS * _FORMS]:
            del self._asks[text]
        return found


def _names(line: str, value: str) -> bool:
    return len(value) > 2 and re.search(rf"\b{re.escape(value)}\b", line, re.IGNORECASE) is not None


def _is_named(question: str, claim: Claim) -> bool:
    return any(_names(question, name) for name in (claim.subject, claim.subject.split()[0]))


def _ways_to_ask(claim: Claim) -> list[str]:
    wordings = Wordings.load()
    return [
        fill(form, subject=claim.subject.split()[0], object=claim.object, predicate=claim.predicate)
        for form in wordings.questions(claim.predicate)[:_FORMS]
    ]
