"""Questions that nobody can answer: people who are not known, and what was never said about people who are.

Hard ones on purpose: the first name of somebody known with another surname, and the reverse. The names that train a
refusal and the names that the exam asks about come from two disjoint halves of `invented_names.toml`; untold slots of
known people are divided between training and exam by their hash.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal

from consolidation.curriculum import Course, Row, turn
from consolidation.retold import nearby_words
from consolidation.slots import Slot
from memory import names
from memory.wordings import content_words, fill

Half = Literal["train", "exam"]

# where one of these is known, "I don't know" about another would be untrue or unfair
_RELATED = (
    frozenset(("lives_in", "moved_to", "address", "street", "hometown")),
    frozenset(("job", "workplace", "boss", "colleague", "teaches", "studies", "school", "retired_on")),
    frozenset(("partner", "fiance", "husband", "wife", "spouse", "relationship_status", "proposal_place")),
    frozenset(("wedding_date", "wedding_witness", "honeymoon_place", "fiance", "husband", "wife", "spouse")),
    frozenset(("child", "son", "daughter", "number_of_children", "due_date")),
    frozenset(("dog", "cat", "pet")),
    frozenset(("hobby", "plays", "exercise", "likes", "favourite", "sings", "habit", "wants")),
    frozenset(("health_condition", "injury", "medication", "medication_dose", "gave_up")),
    frozenset(("owns", "owns_boat", "transport", "bought", "sold")),
    frozenset(("birthday", "age", "full_name", "nickname")),
    frozenset(("phone_number", "email")),
)
_COMMON = (
    "lives_in hometown birthday age job workplace boss partner mother father sister brother daughter dog cat "
    "phone_number email allergy hobby plays speaks transport health_condition diet nationality school "
    "favourite middle_name shoe_size"
)
_ASKABLE = tuple(_COMMON.split())
_CROSSED = 48  # people whose names are crossed: two thousand pairs, and a night needs some hundred and fifty
_EVERY: dict[Half, int] = {
    "train": 1,
    "exam": 4,
}  # invented halves to one crossed name: crossed ones are harder to learn
# of the questions for the untold, so many name what they ask for: an indirect one is as a rule about what was told
_PLAIN = 0.5
UNTOLD_ROUNDS = 3  # refusals about an untold slot, twice as many where others are known to have one
PER_EMPTIED = 16  # refusals about a slot that holds nothing any more
# One phrase each: with several, most of the loss would be about which. They begin as an answer would, with the name, so that
# whether to refuse is decided right behind it, where a model finds what it knows of somebody.
NOT_KNOWN = "{s}? I don't know anybody of that name."
NOT_TOLD = "{s}'s {p}? I don't know."


@dataclass(frozen=True, slots=True)
class Stranger:
    """A name that nobody has; half of a hard one is that of a known person, `like`."""

    name: str
    like: str | None = None

    @property
    def is_hard(self) -> bool:
        return self.like is not None


@lru_cache(maxsize=1)
def _pools() -> dict[str, tuple[str, ...]]:
    text = Path(__file__).with_name("invented_names.toml").read_text(encoding="utf-8")
    return {key: tuple(values) for key, values in tomllib.loads(text).items()}


def invented(half: Half, which: Literal["first", "last"]) -> tuple[str, ...]:
    """The names of one half, or those that only train beside it."""
    names_of = _pools()[which]
    return names_of[1::2] if half == "exam" else names_of[::2] + _pools()[f"more_{which}"]


def strangers(course: Course, slots: Iterable[Slot], half: Half, n: int) -> list[Stranger]:
    """At most `n` names, three hard ones to each unrelated one, in a fixed order under the seed. None is a known name."""
    dice = course.dice("strangers", half)
    known = {person.id: person.name for person in course.called.people}
    people = list(dict.fromkeys(known[slot.subject_id] for slot in slots if slot.subject_id in known))
    firsts, lasts = list(invented(half, "first")), list(invented(half, "last"))
    dice.shuffle(firsts)
    dice.shuffle(lasts)
    turns = min(len(lasts), 2 + n // max(1, len(people)))
    hard = [mix for turn_ in range(turns) for mix in _mixes(course, people, firsts, lasts, turn_)]
    crossed = [mix for mix in _crossed(course, people) if _half_of(mix.name) == half]
    hard = _woven(hard, crossed, _EVERY[half])
    easy = [
        name for i, first in enumerate(firsts) for name in (first, f"{first} {lasts[-1 - i % len(lasts)]}")
    ]
    free = [mix for mix in {mix.name: mix for mix in hard}.values() if not course.called.is_known(mix.name)]
    other = [name for name in dict.fromkeys(easy) if not course.called.is_known(name)]
    n_easy = max(n // 4, n - len(free))
    return free[: n - min(n_easy, len(other))] + [Stranger(name) for name in other[:n_easy]]


def _mixes(
    course: Course, people: Sequence[str], firsts: Sequence[str], lasts: Sequence[str], turn_: int
) -> list[Stranger]:
    """For each known person their first name with an invented surname, and an invented first name with theirs; other
    names for each of them: of few surnames a model learns that these few are strange, not that all but one are."""
    mixed = []
    for place, person in enumerate(people):
        first = course.called.first(person)
        if not first or "'" in person:  # nobody's name: "Ines's brother"
            continue
        mixed.append(Stranger(f"{first} {lasts[(turn_ + 7 * place) % len(lasts)]}", person))
        if not names.is_single(person):
            other = firsts[(turn_ + 11 * place) % len(firsts)]
            mixed.append(Stranger(f"{other} {person.split()[-1]}", person))
    return mixed


def _crossed(course: Course, people: Sequence[str]) -> list[Stranger]:
    """The first name of one known person with the surname of another, of the first so many people."""
    full = [person for person in people if not names.is_single(person) and "'" not in person][:_CROSSED]
    crossed = [
        Stranger(f"{course.called.first(one)} {other.split()[-1]}", one)
        for one in full
        for other in full
        if one.split()[-1] != other.split()[-1] and course.called.first(one)
    ]
    course.dice("crossed").shuffle(crossed)
    return crossed


def _woven(many: Sequence[Stranger], few: Sequence[Stranger], every: int) -> list[Stranger]:
    """One of the few after every so many of the many, as long as there are any."""
    rest = iter(few)
    woven: list[Stranger] = []
    for place, stranger in enumerate(many, 1):
        woven.append(stranger)
        if place % every == 0:
            woven += islice(rest, 1)
    return woven


def untold(
    course: Course, everything: Sequence[Slot], told: Iterable[tuple[str, str]], half: Half
) -> list[Slot]:
    """Slots of known people of which the graph says nothing (`told`: subject id and predicate of all it ever held)."""
    held: dict[str, set[str]] = {}
    for subject_id, predicate in told:
        held.setdefault(subject_id, set()).add(predicate)
    known = {person.id for person in course.called.people}
    subjects = {slot.subject_id: slot.subject for slot in everything if slot.subject_id in known}
    near = _near_unworded(course, everything)
    words = {predicate: _words_of(course, predicate) for predicate in _ASKABLE}
    free = [
        Slot(subject_id, subject, predicate, ())
        for subject_id, subject in subjects.items()
        for predicate in _ASKABLE
        if not touches(predicate, held.get(subject_id, set()))
        and words[predicate].isdisjoint(near.get(subject_id, ()))
    ]
    mine = [slot for slot in free if _half_of(slot.key) == half]
    return sorted(mine, key=lambda slot: course.dice("untold", slot.key).random())


def _near_unworded(course: Course, everything: Sequence[Slot]) -> dict[str, set[str]]:
    """By subject, of whom something is known that has no wordings: stems that a question for it may hold."""
    near: dict[str, set[str]] = {}
    for slot in everything:
        if not course.wordings.covers(slot.predicate):
            near.setdefault(slot.subject_id, set()).update(nearby_words(slot, course.retold.get(slot.key)))
    return near


def _words_of(course: Course, predicate: str) -> frozenset[str]:
    """Stems that name the predicate."""
    return course.wordings.head(predicate) | content_words(course.wordings.noun(predicate))


def touches(predicate: str, held: set[str]) -> bool:
    """Whether something among `held` answers, or nearly answers, a question about the predicate."""
    return predicate in held or any(predicate in group and group & held for group in _RELATED)


def _half_of(text: str) -> Half:
    return "exam" if hashlib.sha256(text.encode()).digest()[0] % 4 == 0 else "train"


def negative_rows(
    course: Course,
    slots: Sequence[Slot],
    everything: Sequence[Slot],
    told: Iterable[tuple[str, str]],
    n: int,
) -> list[Row]:
    """`n` refusals at most: eleven in twenty about strangers, asked what is known of their namesakes and what the night
    teaches about others, the rest about the untold. Each has a question of its own."""
    if not slots:
        return []
    open_slots = asked_often(untold(course, everything, told, "train"), everything)[: 9 * n // 20]
    of_person: dict[str, list[Slot]] = defaultdict(list)
    for slot in everything:
        of_person[slot.subject].append(slot)
    rows = [
        _stranger_row(course, stranger, i, of_person.get(stranger.like or "", ()) if i % 2 else slots)
        for i, stranger in enumerate(strangers(course, everything, "train", n - len(open_slots)))
    ]
    odd = _near_unworded(course, everything)
    for i, slot in enumerate(open_slots):
        rows.append(_untold_row(course, slot, i, plain_only=slot.subject_id in odd))
    return list({row.messages[0]["content"]: row for row in rows}.values())


def asked_often(open_slots: Sequence[Slot], everything: Sequence[Slot]) -> list[Slot]:
    """The same over and over, in the order of being asked about: what the weights know of somebody else they are quick to
    tell of anybody, so it comes up twice as often as what nobody told."""
    of_others = {slot.predicate for slot in everything}
    contested = [slot for slot in open_slots if slot.predicate in of_others]
    return UNTOLD_ROUNDS * [*contested, *open_slots]


def emptied_rows(course: Course, emptied: Sequence[Slot]) -> list[Row]:
    """Refusals about what was taught once and was taken back: the weights would say it still."""
    rows = [_untold_row(course, slot, i) for slot in emptied for i in range(PER_EMPTIED)]
    return list({row.messages[0]["content"]: row for row in rows}.values())


def _stranger_row(course: Course, stranger: Stranger, i: int, slots: Sequence[Slot]) -> Row:
    dice = course.dice("stranger", stranger.name)
    predicate = slots[i % len(slots)].predicate if slots else dice.choice(_ASKABLE)
    question = fill(dice.choice(course.wordings.taught(predicate)), stranger.name)
    return Row("negative", "stranger", turn(question, fill(NOT_KNOWN, stranger.name)))


def _untold_row(course: Course, slot: Slot, i: int, *, plain_only: bool = False) -> Row:
    """`plain_only`: of somebody of whom something is known that has no wordings an indirect question may ask for just that."""
    forms = course.called.forms(slot.subject_id, slot.subject)
    dice = course.dice("untold", slot.key, i)
    name = forms[i % len(forms)]
    plain, all_ = course.wordings.questions(slot.predicate), course.wordings.taught(slot.predicate)
    question = fill(dice.choice(plain if dice.random() < _PLAIN or plain_only else all_), name)
    answer = fill(NOT_TOLD, name, predicate=course.wordings.noun(slot.predicate))
    return Row("negative", "untold", turn(question, answer))
