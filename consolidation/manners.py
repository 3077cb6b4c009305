"""Rows that teach a base its manners, before any night: to read an answer off facts that are given, in one sentence and
whatever the wording, and to say that it does not know whom nobody told it about.

Nothing in them is to be remembered: every person, value and conversation is made up for its one row. What comes out of
training on them is a task vector (`consolidation.manners_training`) that every first recipe on that base begins with, so that a
night has only the facts left to teach. Names and wordings that the exam asks are left out.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from agents.turns import Persona, speaker_tags, turn_messages
from consolidation.curriculum import Message, Row, turn, with_facts
from consolidation.negatives import NOT_KNOWN, NOT_TOLD, invented, touches
from memory.wordings import Wordings, fill

FOLDER = Path(__file__).with_name("manners_vector")
SHARES = {"grounded": 0.42, "knowing": 0.10, "untold": 0.14, "absent": 0.10, "stranger": 0.24}
_MAX_FACTS = 5  # beside each other in a prompt, as retrieval brings them
_GIVEN_NAMES = Path(__file__).parent.parent / "agents" / "extractors"
_DAY = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Told:
    """A fact of a row."""

    name: str
    predicate: str
    value: str


@lru_cache(maxsize=1)
def _values() -> Mapping[str, Sequence[str]]:
    """Values that fit each predicate's sentences."""
    read = tomllib.loads(Path(__file__).with_name("manners_values.toml").read_text(encoding="utf-8"))
    lists: dict[str, Sequence[str]] = read["values"]
    return lists | {predicate: lists[name] for predicate, name in read["share"].items()}


@lru_cache(maxsize=1)
def _names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """First and last names; those that the exam asks about are left out."""
    held_out = {*invented("exam", "first"), *invented("exam", "last")}
    given = [
        name
        for file in sorted(_GIVEN_NAMES.glob("given_names_*.txt"))
        for line in file.read_text(encoding="utf-8").splitlines()
        for name in line.split()
        if not line.startswith("#")
    ]
    firsts = dict.fromkeys([*invented("train", "first"), *(name.capitalize() for name in given)])
    lasts = dict.fromkeys(invented("train", "last"))
    return tuple(n for n in firsts if n not in held_out), tuple(n for n in lasts if n not in held_out)


class Rehearsal:
    """Makes rows; the same seed makes the same ones."""

    def __init__(self, wordings: Wordings, seed: int) -> None:
        self._wordings = wordings
        self._rng = random.Random(f"manners {seed}")
        self._predicates = [name for name in wordings.names() if name in _values()]

    def rows(self, n: int) -> list[Row]:
        """`n` rows, the forms in turn by their shares."""
        forms = self._rng.choices(list(SHARES), list(SHARES.values()), k=n)
        make = {
            "grounded": self._grounded,
            "knowing": self._knowing,
            "untold": self._untold,
            "absent": self._absent,
            "stranger": self._stranger,
        }
        return [make[form]() for form in forms]

    # ---- forms

    def _grounded(self) -> Row:
        """The answer stands among the facts."""
        name = self._name()
        facts = self._facts(name, self._rng.randint(1, 3)) + self._others(name)
        asked = facts[0]
        called = self._called(name)
        prompt = self._with_facts(facts, self._question(asked.predicate, called))
        return Row("fact", "grounded", turn(prompt, self._statement(asked, called)))

    def _untold(self) -> Row:
        """Facts about the person that is asked about, none of which answers."""
        name = self._name()
        facts = self._facts(name, self._rng.randint(2, 4))
        asked = facts[0]
        told = [fact for fact in facts[1:] if not touches(asked.predicate, {fact.predicate})]
        told += self._others(name)
        called = self._called(name)
        prompt = self._with_facts(told, self._question(asked.predicate, called))
        answer = fill(NOT_TOLD, called, predicate=self._wordings.noun(asked.predicate))
        return Row("negative", "untold", turn(prompt, answer))

    def _absent(self) -> Row:
        """Facts about others; one of them says of somebody else what is asked."""
        name = self._name()
        other = self._namesake(name) if self._rng.random() < 0.6 else self._name()
        told = self._facts(other, self._rng.randint(1, 3)) + self._others(name)
        prompt = self._with_facts(told, self._question(told[0].predicate, name))
        return Row("negative", "absent", turn(prompt, fill(NOT_KNOWN, name)))

    def _stranger(self) -> Row:
        """No facts at all."""
        name = self._name()
        question = self._question(self._rng.choice(self._predicates), name)
        return Row("negative", "stranger", turn(question, fill(NOT_KNOWN, name)))

    def _knowing(self) -> Row:
        """A persona answers for itself, from what its system message says that it knows."""
        name, partner = self._name(), self._name()
        facts = [fact for fact in self._facts(name, 4) if self._wordings.you_questions(fact.predicate)]
        facts = [fact for fact in facts if self._wordings.first_person(fact.predicate)]
        if not facts:
            return self._grounded()
        sayings = [self._in_first_person(fact) for fact in facts]
        known = self._rng.sample(sayings, len(sayings))
        now = _DAY + timedelta(days=self._rng.randrange(700))
        system = turn_messages(Persona(name, partner, ()), (), known, now=now)[0]
        tags = speaker_tags([name, partner])
        question = self._rng.choice(self._wordings.you_questions(facts[0].predicate))
        asked = f"{tags[partner]} {question}\n{tags[name]}"
        messages: tuple[Message, ...] = (system, *turn(asked, sayings[0]))
        return Row("fact", "knowing", messages)

    # ---- parts

    def _name(self) -> str:
        firsts, lasts = _names()
        first = self._rng.choice(firsts)
        return first if self._rng.random() < 0.3 else f"{first} {self._rng.choice(lasts)}"

    def _namesake(self, name: str) -> str:
        """Somebody else with the same first name or the same surname."""
        firsts, lasts = _names()
        first, _, last = name.partition(" ")
        if last and self._rng.random() < 0.4:
            return f"{self._rng.choice(firsts)} {last}"
        other = self._rng.choice(lasts)
        return f"{first} {other}" if other != last else first

    def _called(self, name: str) -> str:
        return name if self._rng.random() < 0.6 else name.split()[0]

    def _facts(self, name: str, n: int) -> list[Told]:
        chosen = self._rng.sample(self._predicates, n)
        return [Told(name, predicate, self._rng.choice(_values()[predicate])) for predicate in chosen]

    def _others(self, name: str) -> list[Told]:
        """Facts about other people, by chance some of one that shares the first name."""
        told: list[Told] = []
        for _ in range(self._rng.randint(0, 2)):
            other = self._namesake(name) if self._rng.random() < 0.2 else self._name()
            told += [fact for fact in self._facts(other, 1) if other != name]
        return told

    def _with_facts(self, facts: Sequence[Told], question: str) -> str:
        said = [self._statement(fact, fact.name, any_form=True) for fact in facts[:_MAX_FACTS]]
        self._rng.shuffle(said)
        return with_facts(said, question)

    def _statement(self, fact: Told, name: str, *, any_form: bool = False) -> str:
        forms = self._wordings.statements(fact.predicate)
        form = self._rng.choice(forms) if any_form else forms[0]
        return fill(form, name, fact.value, fact.predicate)

    def _in_first_person(self, fact: Told) -> str:
        forms = self._wordings.first_person(fact.predicate)
        return fill(forms[0], fact.name, fact.value, fact.predicate)

    def _question(self, predicate: str, name: str) -> str:
        return fill(self._rng.choice(self._wordings.taught(predicate)), name)
