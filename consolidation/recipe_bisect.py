"""Which step of a recipe's history broke a question: binary search over the line of recipes, asking the weights.

Where the newest recipe answers wrongly and an older one rightly, somewhere between two neighbours the answer was lost;
the search ends at such a pair, both of them asked. Where it was lost and found more than once, it is one of the times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from agents.runtime.spec import ModelSpec
from consolidation.errors import UnknownQuestion
from consolidation.exam import LONG_ANSWER, Asked, asked_from, marked
from consolidation.recipe import Entry, Recipe, check_base, recipe_adapters
from consolidation.recipe_history import Change, History, Version, changes
from consolidation.recipe_serving import Place, is_there, refuse_tainted
from consolidation.stage import Progress
from db.tables import Example

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

KIND = "recall_paraphrase"  # how a question of one's own is marked
CONDITION = "weights"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one recipe said; `version` None is the plain base."""

    version: Version | None
    text: str
    is_right: bool

    def as_json(self) -> dict[str, Any]:
        version = self.version
        return {
            "recipe": version and version.sha256,
            "night": version and version.run_id,
            "at": version.at.isoformat() if version else None,
            "answer": self.text,
            "right": self.is_right,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """`good` and `bad` are neighbours, None where there is no such pair; `changes` turn the one into the other.

    `asked` are the answers in the order they were asked for, `skipped` hashes of recipes that cannot be asked.
    """

    question: Asked
    newest: Answer
    good: Answer | None = None
    bad: Answer | None = None
    changes: tuple[Change, ...] = ()
    asked: tuple[Answer, ...] = ()
    skipped: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "question": self.question.text,
            "accepted": list(self.question.accepted),
            "broken": not self.newest.is_right,
            "good": self.good and self.good.as_json(),
            "bad": self.bad and self.bad.as_json(),
            "changes": [change.as_json() for change in self.changes],
            "asked": [answer.as_json() for answer in self.asked],
            "skipped": list(self.skipped),
        }


def neighbours(n: int, is_right: Callable[[int], bool]) -> tuple[int, int] | None:
    """Places i, i + 1 of a line of n, oldest first, of which the first is right and the second wrong.

    Looks back from the end in growing steps for one that is right, then halves what lies between; asks for all only where
    none of those is. None where the last is right, or none is.
    """
    if not n or is_right(n - 1):
        return None
    wrong = [n - 1]
    for good in _back(n):
        if is_right(good):
            break
        wrong.append(good)
    else:
        return None
    bad = min(place for place in wrong if place > good)
    while bad - good > 1:
        middle = (good + bad) // 2
        if is_right(middle):
            good = middle
        else:
            bad = middle
    return good, bad


def _back(n: int) -> list[int]:
    """Places to look for a right answer: 1, 2, 4, ... before the last, the first of all, then whatever is left."""
    strides, step = [], 1
    while step < n:
        strides.append(n - 1 - step)
        step *= 2
    return list(dict.fromkeys([*strides, 0, *range(n - 2, -1, -1)])) if n > 1 else []


def stored_question(place: Place, *, example: str | None = None, text: str | None = None) -> Asked:
    """A question of a night's exam, by its id or by its words; the newest that says so. Raises UnknownQuestion."""
    query = select(Example).where(Example.space_id == place.space_id, Example.split == "exam")
    if example is not None:
        query = query.where(Example.id == example)
    with place.database.reading() as session:
        rows = [
            row
            for row in session.scalars(query.order_by(Example.id))
            if text is None or _plain(str(row.messages[0]["content"])) == _plain(text)
        ]
        if not rows:
            raise UnknownQuestion
        return asked_from(rows[-1])


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def own_question(text: str, accepted: Sequence[str]) -> Asked:
    """A question of one's own: right is what gives one of these values and stands by it."""
    return Asked("", KIND, text, True, tuple(accepted), ())


@dataclass
class _Line:
    """Recipes, oldest first, each asked at most once."""

    model: LanguageModel
    place: Place
    question: Asked
    versions: Sequence[Version | None]
    progress: Progress
    answers: dict[int, Answer] = field(default_factory=dict)

    def is_right(self, number: int) -> bool:
        if number not in self.answers:
            self.answers[number] = self._ask(self.versions[number])
            self.progress(len(self.answers), max(len(self.answers), len(self.versions).bit_length() * 2))
        return self.answers[number].is_right

    def _ask(self, version: Version | None) -> Answer:
        recipe = version.usable().for_person(None) if version else None
        self.model.apply(recipe_adapters(self.place.home, recipe) if recipe else ())
        messages = [{"role": "user", "content": self.question.text}]
        (reply,) = self.model.answer([messages], max_new_tokens=LONG_ANSWER)
        return Answer(version, reply, marked(self.question, CONDITION, reply).is_right)


def bisect(
    place: Place,
    history: History,
    newest: Version | None,
    question: Asked,
    spec: ModelSpec,
    progress: Progress,
) -> Found:
    """Ask the recipes that led to `newest`, from the plain base on. Recipes that cannot be asked are passed over.

    Raises BaseChanged, and what asking the newest raises: BrokenRecipe, MissingVector, TaintedArtifact.
    """
    if newest is not None:
        refuse_tainted(place, newest)
        check_base(newest.usable(), spec)
        recipe_adapters(place.home, newest.usable().for_person(None))
    line = history.line(newest)
    sound = _Sound(place, newest.usable().base_hash if newest else "")
    can_be_asked = [version for version in line if sound.is_sound(version)]
    skipped = tuple(version.sha256 for version in line if version not in can_be_asked)
    usable: list[Version | None] = [None, *reversed(can_be_asked)]
    progress(0, len(usable).bit_length() * 2, "loading the model")
    from agents.runtime.lm import LanguageModel

    asking = _Line(LanguageModel.load(spec), place, question, usable, progress)
    pair = neighbours(len(usable), asking.is_right)
    asking.is_right(len(usable) - 1)
    answers = asking.answers
    last = answers[len(usable) - 1]
    if pair is None:
        return Found(question, last, asked=tuple(answers.values()), skipped=skipped)
    good, bad = answers[pair[0]], answers[pair[1]]
    return Found(question, last, good, bad, _between(good, bad), tuple(answers.values()), skipped)


def _between(good: Answer, bad: Answer) -> tuple[Change, ...]:
    after = bad.version.usable() if bad.version else None
    if after is None:
        return ()
    return tuple(changes(good.version.usable() if good.version else Recipe(after.base_hash), after))


@dataclass
class _Sound:
    """Which recipes can be asked: readable, untainted, of this base, with all their vectors. Each vector is read once."""

    place: Place
    base_hash: str
    entries: dict[tuple[str, str], bool] = field(default_factory=dict)

    def is_sound(self, version: Version) -> bool:
        recipe = version.recipe
        if recipe is None or version.is_tainted or recipe.base_hash != self.base_hash:
            return False
        return all(self._is_there(recipe, entry) for entry in recipe.entries)

    def _is_there(self, recipe: Recipe, entry: Entry) -> bool:
        key = entry.path, entry.adapter_sha256
        if key not in self.entries:
            self.entries[key] = is_there(self.place.home, recipe, entry)
        return self.entries[key]
