"""What the nights of `bench.sleep` learn and are asked: facts of an exam file, or of people invented for the run.

An exam file is a list of objects with `statement`, `train_question`, `paraphrases`, `answer_aliases` and, where there is
one, `neighbour` (question, answer), as in the example's exam.json. Of a file's fact the predicate is not known: it is what
`train_question` names as somebody's ("Mona's job"); else that of the shipped training wording nearest to it among those that ask alike (who,
where, when, how much, what), where the two all but agree, the statement has a word of the predicate's wordings or the question names it; else one of
the question's own words.
Invented people are asked the wordings that the product holds out for its exams.
"""

from __future__ import annotations

import json
import random
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from consolidation.slots import accepted_values
from memory.ports import Embedder, FloatMatrix
from memory.registry import Registry
from memory.wordings import Wordings, content_words, fill

NEAR = 0.8  # cosine of two questions from which on they may ask for the same thing
SAME = 0.95  # from which on they do, whatever the statement says
_SOMEBODY = "Alex"
_NAME = re.compile(
    r"\b[A-ZÀ-Þ](?:[\w.-]|'(?!s\b))*(?:\s+(?:(?:de|da|van|von)\s+)*[A-ZÀ-Þ](?:[\w.-]|'(?!s\b))*)*"
)
# what is asked for, by the first that matches; "thing" where none does
_ASKED = {
    "name": re.compile(r"\b(?:called|named|(?:what|which) name|name of)\b", re.IGNORECASE),
    "person": re.compile(r"\b(?:who|whom|whose)\b", re.IGNORECASE),
    "date": re.compile(r"\b(?:when|date|(?:what|which) (?:day|month|year))\b", re.IGNORECASE),
    "place": re.compile(r"\b(?:where|(?:what|which) (?:town|city|country|place|village))\b", re.IGNORECASE),
    "number": re.compile(r"\b(?:how (?:much|many|old)|numbers?)\b", re.IGNORECASE),
}
_OF_PEOPLE = ("name", "person")  # ask alike
_EACH = 4  # facts about one invented person


@dataclass(frozen=True, slots=True)
class Lesson:
    """One fact as it is told, and the held-out questions about it."""

    id: str
    subject: str
    predicate: str
    object: str
    statement: str
    question: str  # the plainest one; it may be trained
    paraphrases: tuple[str, ...]  # never trained, in any form
    accepted: tuple[str, ...]
    neighbour: str | None = None  # a like question about somebody else


def read_lessons(file: Path, wordings: Wordings, embedder: Embedder) -> list[Lesson]:
    """The facts of an exam file in its order. Raises ValueError, naming the entry, for one that lacks a field."""
    rows = json.loads(file.read_text(encoding="utf-8-sig"))
    kinds = _Kinds(wordings, embedder)
    lessons: list[Lesson] = []
    taken: set[tuple[str, str]] = set()
    for number, row in enumerate(rows, 1):
        try:
            statement, question = str(row["statement"]), str(row["train_question"])
            paraphrases, accepted = map(str, row["paraphrases"]), tuple(map(str, row["answer_aliases"]))
            subject = _subject(question, statement)
            value = _value(statement, accepted)
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"entry {number} of {file.name} has no {error}") from error
        predicate = kinds.predicate(question, subject, statement)
        if (subject, predicate) in taken:
            predicate = kinds.of_its_own(question, subject)
        taken.add((subject, predicate))
        lessons.append(
            Lesson(
                id=str(row.get("fact_id", number)),
                subject=subject,
                predicate=predicate,
                object=value,
                statement=statement,
                question=question,
                paraphrases=tuple(paraphrases),
                accepted=accepted,
                neighbour=(row.get("neighbour") or {}).get("question"),
            )
        )
    return lessons


def _subject(question: str, statement: str) -> str:
    """The longest name that the question and the statement share; failing that the question's last one."""
    found: list[str] = [name.removesuffix("'s").rstrip(".") for name in _NAME.findall(question[1:])]
    found += [match[0].removesuffix("'s") for match in [_NAME.match(question)] if match]
    shared = [name for name in found if name in statement]
    return max(shared, key=len) if shared else found[-1]


def _value(statement: str, accepted: Sequence[str]) -> str:
    said = [alias for alias in accepted if alias.casefold() in statement.casefold()]
    return max(said, key=len) if said else accepted[0]


class _Kinds:
    """Which predicate a question asks for."""

    def __init__(self, wordings: Wordings, embedder: Embedder) -> None:
        asked = [
            (predicate, fill(question, _SOMEBODY, predicate=wordings.noun(predicate)))
            for predicate in wordings.names()
            for question in wordings.questions(predicate)
        ]
        self._wordings, self._embedder = wordings, embedder
        self._predicates: list[str] = [predicate for predicate, _ in asked]
        self._asked_Q = np.array([_asked(question) for _, question in asked])
        registry = Registry.load()
        self._is_person_Q = np.array([registry.get(predicate).object == "person" for predicate, _ in asked])
        self._vectors_QD: FloatMatrix = embedder.encode([question for _, question in asked])

    def predicate(self, question: str, subject: str, statement: str) -> str:
        return (
            self._named(question, subject)
            or self._nearest(question, subject, statement)
            or self.of_its_own(question, subject)
        )

    def _named(self, question: str, subject: str) -> str | None:
        """What the question names as the subject's: "Mona's job"."""
        owner, nouns = re.escape(subject), self._wordings.noun
        return next(
            (
                predicate
                for predicate in self._wordings.names()
                if re.search(rf"{owner}'s {re.escape(nouns(predicate))}\b", question)
            ),
            None,
        )

    def _nearest(self, question: str, subject: str, statement: str) -> str | None:
        near_Q = self._vectors_QD @ self._embedder.encode([question.replace(subject, _SOMEBODY)])[0]
        asked = _asked(question)
        if asked in _OF_PEOPLE:
            fits_Q = np.isin(self._asked_Q, _OF_PEOPLE)
        else:
            fits_Q = (self._asked_Q == asked) & ~self._is_person_Q
        near_Q = np.where(fits_Q, near_Q, -1.0)
        best = int(near_Q.argmax())
        near, predicate = float(near_Q[best]), self._predicates[best]
        told = content_words(statement) - content_words(subject)
        said = self._wordings.words(predicate) | self._wordings.head(predicate)
        is_said = not told.isdisjoint(said) or self._asks_for(predicate, question)
        return predicate if near >= SAME or (near >= NEAR and is_said) else None

    def _asks_for(self, predicate: str, question: str) -> bool:
        """ "What heart condition does she have?" asks for a (health) condition by name."""
        noun = re.escape(self._wordings.noun(predicate).split()[-1])
        return bool(re.search(rf"\b(?:what|which)\s+(?:[\w'-]+\s+)?{noun}\b", question, re.IGNORECASE))

    def of_its_own(self, question: str, subject: str) -> str:
        """What is asked, in the question's words: "sourdough" of "What is Ines's sourdough called?"."""
        rest = re.sub(r"[^\w\s]", " ", question.replace(f"{subject}'s", " ").replace(subject, " "))
        words = [word for word in rest.casefold().split() if content_words(word) and word != "called"]
        return "_".join(words) or "thing"


def _asked(question: str) -> str:
    return next((kind for kind, pattern in _ASKED.items() if pattern.search(question)), "thing")


_POOLS = tomllib.loads(Path(__file__).with_name("lessons.toml").read_text(encoding="utf-8"))


def invent_lessons(n: int, seed: int, wordings: Wordings, registry: Registry) -> list[Lesson]:
    """`n` facts about invented people, four each; every fourth person has the first name of another."""
    rng = random.Random(f"lessons {seed}")
    people = _people(-(-n // _EACH), rng)
    lessons: list[Lesson] = []
    for person in people:
        for predicate in rng.sample(sorted(_POOLS["values"]), _EACH):
            value = rng.choice(_POOLS["values"][predicate])
            held_out = [
                fill(wording, person, predicate=wordings.noun(predicate))
                for wording in wordings.exam(predicate)
            ]
            lessons.append(
                Lesson(
                    id=f"g{len(lessons)}",
                    subject=person,
                    predicate=predicate,
                    object=value,
                    statement=fill(
                        wordings.statements(predicate)[0], person, value, wordings.noun(predicate)
                    ),
                    question=fill(
                        wordings.questions(predicate)[0], person, predicate=wordings.noun(predicate)
                    ),
                    paraphrases=tuple(held_out),
                    accepted=accepted_values(value, registry.get(predicate).object),
                )
            )
    return lessons[:n]


def _people(n: int, rng: random.Random) -> list[str]:
    firsts, lasts = (rng.sample(_POOLS[which], len(_POOLS[which])) for which in ("first", "last"))
    named: list[str] = []
    for i in range(n):
        first = firsts[(i if i % 4 else max(0, i - 1)) % len(firsts)]
        named.append(f"{first} {lasts[(i + i // len(lasts)) % len(lasts)]}")
    return list(dict.fromkeys(named))
