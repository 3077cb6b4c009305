"""Invented people and what they tell: facts, messages, questions and their vectors, as many as wanted.

Every sentence is made from the product's own wordings. Vectors are composed from real MiniLM vectors: a fact's is that
of its sentence about nobody in particular, plus 1.2 of that of the person's name, plus a small vector of noise that
makes each its own; a message's is the mean of its facts', with noise; a question's is that of its wording plus 1.2 of
the name's. The share is such that names and contents part the variance about as they do in vectors of whole sentences
(measured on 576 of them: names 0.43, contents 0.55, rest 0.03; composed: 0.46, 0.49, 0.05). So facts about one person
lie together, facts of one kind lie together, and neighbours are near. What real texts do beyond that is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from memory.bulk import Told
from memory.ports import Embedder, FloatMatrix
from memory.types import FactCandidate
from memory.wordings import Wordings, fill

FACTS_PER_PERSON = 100
FACTS_PER_MESSAGE = 4
NAME_SHARE, NOISE = 1.2, 0.25
BEGIN = datetime(2015, 1, 1, tzinfo=UTC)

# fmt: off
_FIRST = (["Ma", "Jo", "An", "Lu", "Ti", "Be", "Ka", "Sa", "No", "Pe", "Vi", "Ro", "Al", "Ed", "Fi", "Gu"], ["ria", "na", "la", "ras", "mon", "vin", "to", "din", "el", "us"])
_LAST = (["Car", "San", "Oli", "Fer", "Cos", "Mor", "Alm", "Bar", "Cas", "Dom", "Vel", "Tor"], ["valho", "tos", "veira", "reira", "ta", "eira", "eida", "bosa", "tro", "ingues", "mann", "sen"])
_PLACES = (["Port", "Lis", "Mad", "Bar", "Flor", "Ven", "Par", "Lon", "Edin", "Glas", "Dub", "Osl", "Stock", "Hels", "Tal"], ["o", "bon", "rid", "celona", "ence", "ice", "is", "don", "burgh", "gow", "lin", "ow", "holm", "inki", "linn"])
_THINGS = ["chess", "violin", "rhubarb", "sailing", "astronomy", "pottery", "cycling", "baking", "archery", "fencing", "gardening", "judo", "origami", "surfing", "knitting", "birdwatching", "painting", "drums", "karate", "yoga", "swimming", "climbing", "photography", "calligraphy", "carpentry", "beekeeping"]
_SIZES = ["old", "small", "quiet", "famous", "local", "northern", "southern", "early", "late", "modern", "royal", "hidden"]
_PREDICATES = {
    "lives_in": "place", "born_in": "place", "visited": "place", "studied_at": "organisation",
    "works_at": "organisation", "likes": "thing", "dislikes": "thing", "owns": "thing", "has_pet": None,
    "job": None, "speaks": None, "allergic_to": None, "plays": None, "wants": None, "afraid_of": None,
    "favourite_food": None, "drives": None, "collects": None,
}
# fmt: on


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    vector: FloatMatrix


class World:
    """Everything follows from the seed."""

    def __init__(self, n_facts: int, embedder: Embedder, seed: int) -> None:
        self.n_facts, self._rng = n_facts, np.random.default_rng(seed)
        self.n_people = max(1, n_facts // FACTS_PER_PERSON)
        self._wordings = Wordings.load()
        self._predicates = list(_PREDICATES)
        self._values = _values()
        statements = [self._statement("They", p, v) for p in self._predicates for v in self._values]
        self._fact_VD = embedder.encode(statements).reshape(len(self._predicates), len(self._values), -1)
        self._question_PD = embedder.encode([self._question("they", p) for p in self._predicates])
        first = [_name(i) for i in range(min(self.n_people, 2000))]
        self._name_ND = embedder.encode([f"It is about {name}." for name in first])

    def told(self) -> Iterator[Told]:
        """Messages with their facts, person by person; exactly `n_facts` facts."""
        left, number = self.n_facts, 0
        while left > 0:
            wanted = min(FACTS_PER_PERSON, left)
            yield from self._of_person(number, wanted)
            left, number = left - wanted, number + 1

    def questions(self, n: int) -> list[Question]:
        """Questions about people of the world, by name."""
        asked = []
        for _ in range(n):
            person = int(self._rng.integers(self.n_people))
            predicate = int(self._rng.integers(len(self._predicates)))
            text = self._question(_name(person), self._predicates[predicate])
            vector = self._question_PD[predicate] + NAME_SHARE * self._name(person)
            asked.append(Question(text, _unit(vector[None, :] + self._noise(1) * 0.5)[0]))
        return asked

    def _of_person(self, number: int, n_facts: int) -> Iterator[Told]:
        name, friend = _name(number), _name((number * 7 + 1) % self.n_people)
        predicates = self._rng.integers(len(self._predicates), size=n_facts)
        chosen = self._rng.integers(len(self._values), size=n_facts)
        vectors = self._fact_VD[predicates, chosen] + NAME_SHARE * self._name(number) + self._noise(n_facts)
        vectors = _unit(vectors)
        for start in range(0, n_facts, FACTS_PER_MESSAGE):
            part = range(start, min(start + FACTS_PER_MESSAGE, n_facts))
            facts = tuple(
                FactCandidate(
                    name, self._predicates[predicates[i]], self._values[chosen[i]], (), name, 0.9, "invented",
                    object_kind=_PREDICATES[self._predicates[predicates[i]]],
                )
                for i in part
            )  # fmt: skip
            said = " ".join(self._statement("I", fact.predicate, fact.object) for fact in facts)
            mean = vectors[part.start : part.stop].mean(axis=0, keepdims=True)
            yield Told(
                name,
                f"{name} and {friend}",
                BEGIN + timedelta(minutes=40 * start + 7 * (number % 1000)),
                said,
                facts,
                (friend,),
                _unit(mean + 0.3 * self._noise(1))[0],
                list(vectors[part.start : part.stop]),
            )

    def _statement(self, subject: str, predicate: str, value: str) -> str:
        return fill(
            self._wordings.statements(predicate)[0], subject=subject, object=value, predicate=predicate
        )

    def _question(self, name: str, predicate: str) -> str:
        return fill(self._wordings.questions(predicate)[0], subject=name, predicate=predicate)

    def _name(self, person: int) -> FloatMatrix:
        """Of people beyond the first 2000: a mixture of two of theirs."""
        n = len(self._name_ND)
        if person < n:
            own: FloatMatrix = self._name_ND[person]
            return own
        made: FloatMatrix = _unit(
            self._name_ND[[person % n]] + self._name_ND[[(person * 31 + person // n) % n]]
        )[0]
        return made

    def _noise(self, n: int) -> FloatMatrix:
        width = self._question_PD.shape[1]
        made = self._rng.standard_normal((n, width), np.float32) / np.float32(np.sqrt(width))
        return np.asarray(NOISE * made, np.float32)


def _unit(rows: npt.NDArray[np.float32]) -> FloatMatrix:
    made: FloatMatrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return made


def _values() -> list[str]:
    places = [a + b for a in _PLACES[0] for b in _PLACES[1]][::3]
    return [*places, *(f"the {size} {thing}" for size in _SIZES for thing in _THINGS)][:240]


def _name(number: int) -> str:
    firsts = [a + b for a in _FIRST[0] for b in _FIRST[1]]
    lasts = [a + b for a in _LAST[0] for b in _LAST[1]]
    n = len(firsts) * len(lasts)
    name = f"{firsts[number % len(firsts)]} {lasts[number // len(firsts) % len(lasts)]}"
    return name if number < n else f"{name} {lasts[number // n % len(lasts)]}"
