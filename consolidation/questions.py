"""The exam of a night: which questions, in wordings that nothing was trained on, and what counts as right.

Pure functions. Kinds are the names of the exam's numbers; each question is a text of its own. What `is_right` asks:
recall gives an accepted value and stands by it, with no old value and none of another person's beside it; a neighbour's
answer gives no trained value; an unknown is refused; a stale question is right as long as the old value is not given as one
that holds ("moved from Oslo to Bergen" tells it as past).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from consolidation.curriculum import Course
from consolidation.negatives import NOT_KNOWN, NOT_TOLD, strangers, untold
from consolidation.scoring import gives, gives_any, holds_any, refuses, settles
from consolidation.slots import Slot, accepted_values
from memory.registry import Registry
from memory.wordings import fill

KINDS = (
    "recall_trained",
    "recall_paraphrase",
    "recall_earlier_nights",
    "neighbour_intact",
    "unknown_refused",
    "stale_answered",
)
RECALL = frozenset(KINDS[:3])
MAX_EARLIER = 60
MAX_NEIGHBOURS = 48
MAX_UNKNOWN = 36
MAX_STALE = 20
MAX_RIVALS = 64  # of one question


@dataclass(frozen=True, slots=True)
class Question:
    kind: str
    text: str
    expected: str  # a model answer, for people to read
    accepted: tuple[str, ...] = ()
    fact_ids: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)  # "forbidden": values that make the answer wrong


@dataclass(frozen=True, slots=True)
class _Maker:
    """What questions are made with; `of_predicate` are all slots of the exam."""

    course: Course
    registry: Registry
    of_predicate: Mapping[str, Sequence[Slot]]

    def recall(self, slot: Slot, kind: str, wording: str, name: str) -> Question:
        kind_of_object = self.registry.get(slot.predicate).object
        accepted = dict.fromkeys(
            value
            for fact in slot.facts
            for value in accepted_values(fact.object, kind_of_object)
            if not any(gives(old, value) for old in slot.old)
        )
        text = fill(wording, name, predicate=slot.predicate)
        expected = self.course.statement(slot, name)
        meta = {"forbidden": [value for value in self.rivals(slot, accepted) if not gives(text, value)]}
        return Question(kind, text, expected, tuple(accepted), slot.fact_ids, meta)

    def old(self, slot: Slot) -> list[str]:
        """The forms of what the slot held before, but for those that what it holds gives."""
        kind = self.registry.get(slot.predicate).object
        old = dict.fromkeys(value for said in slot.old for value in accepted_values(said, kind))
        return [value for value in old if not any(gives(fact.object, value) for fact in slot.facts)]

    def rivals(self, slot: Slot, accepted: Iterable[str]) -> list[str]:
        """What must not stand beside an accepted value: old values, and where one alone can hold those that others have."""
        own = [*accepted, *(fact.object for fact in slot.facts), slot.subject]
        is_single = self.registry.get(slot.predicate).cardinality == "one"
        others = (
            fact.object
            for other in (self.of_predicate[slot.predicate] if is_single else ())
            if other.subject_id != slot.subject_id
            for fact in other.facts
        )
        found = (value for value in (*self.old(slot), *dict.fromkeys(others)) if not _is_alike(value, own))
        return list(islice(found, MAX_RIVALS))


def _is_alike(value: str, own: Iterable[str]) -> bool:
    return any(gives(value, one) or gives(one, value) for one in own)


def is_right(kind: str, answer: str, accepted: Iterable[str], forbidden: Iterable[str]) -> bool:
    """Whether the answer is right in the sense of the exam's number `kind`."""
    if kind in RECALL:
        return settles(answer, accepted, forbidden)
    if kind == "neighbour_intact":
        return not gives_any(answer, forbidden)
    if kind == "unknown_refused":
        return refuses(answer) and not gives_any(answer, forbidden)
    return not holds_any(answer, forbidden)


def exam_questions(
    course: Course,
    registry: Registry,
    slots: Sequence[Slot],
    earlier: Sequence[Slot],
    told: Iterable[tuple[str, str]],
    n_wordings: int,
    emptied: Sequence[Slot] = (),
) -> list[Question]:
    """All questions of a night, by kind in the order of KINDS; at most about five a slot. `emptied` slots were taught and hold
    nothing any more."""
    everything = [*slots, *earlier]
    of_predicate: dict[str, list[Slot]] = defaultdict(list)
    for slot in everything:
        of_predicate[slot.predicate].append(slot)
    maker = _Maker(course, registry, of_predicate)
    values = sorted({fact.object for slot in everything for fact in slot.facts})
    return [
        *(_trained(maker, slot) for slot in slots),
        *(q for slot in slots for q in _paraphrases(maker, slot, n_wordings)),
        *_earlier(maker, earlier),
        *_neighbours(course, slots, everything, values),
        *_unknown(course, everything, told, values),
        *_stale(maker, everything, emptied),
    ]


def _trained(maker: _Maker, slot: Slot) -> Question:
    """The first training wording, as it was trained."""
    name = maker.course.called.forms(slot.subject_id, slot.subject)[0]
    return maker.recall(slot, "recall_trained", maker.course.wordings.questions(slot.predicate)[0], name)


def _paraphrases(maker: _Maker, slot: Slot, n: int) -> list[Question]:
    forms = maker.course.called.forms(slot.subject_id, slot.subject)
    return [
        maker.recall(slot, "recall_paraphrase", wording, forms[i % len(forms)])
        for i, wording in enumerate(held_out(maker.course, slot, n))
    ]


def held_out(course: Course, slot: Slot, n: int) -> list[str]:
    """`n` exam wordings of the slot's predicate; where they begin turns with the slot and the seed."""
    wordings = course.wordings.exam(slot.predicate)
    start = hashlib.sha256(f"{course.seed}|{slot.key}".encode()).digest()[0]
    return [wordings[(start + i) % len(wordings)] for i in range(min(n, len(wordings)))]


def _earlier(maker: _Maker, earlier: Sequence[Slot]) -> list[Question]:
    """One question about each of many slots, several about each of few: the gate needs enough to tell loss from chance."""
    course = maker.course
    chosen = sorted(earlier, key=lambda slot: course.dice("earlier", slot.key).random())[:MAX_EARLIER]
    n_wordings = max(1, MAX_EARLIER // max(1, len(chosen)))
    return [
        maker.recall(
            slot, "recall_earlier_nights", wording, course.called.forms(slot.subject_id, slot.subject)[0]
        )
        for slot in chosen
        for wording in held_out(course, slot, n_wordings)
    ]


def _neighbours(
    course: Course, slots: Sequence[Slot], everything: Sequence[Slot], values: Sequence[str]
) -> list[Question]:
    """The night's questions in held-out wordings, about people whom nobody knows."""
    questions = []
    who = strangers(course, everything, "exam", MAX_NEIGHBOURS + MAX_UNKNOWN // 2) if slots else []
    for i, stranger in enumerate(who[:MAX_NEIGHBOURS]):
        slot = slots[i % len(slots)]
        wordings = held_out(course, slot, 2)
        text = fill(wordings[i // len(slots) % len(wordings)], stranger.name, predicate=slot.predicate)
        meta = {"forbidden": _not_in(text, values), "is_hard": stranger.is_hard}
        questions.append(Question("neighbour_intact", text, fill(NOT_KNOWN, stranger.name), meta=meta))
    return questions


def _unknown(
    course: Course, everything: Sequence[Slot], told: Iterable[tuple[str, str]], values: Sequence[str]
) -> list[Question]:
    """Half about strangers, half about what was never said of known people."""
    if not everything:
        return []
    open_slots = untold(course, everything, told, "exam")[: MAX_UNKNOWN // 2]
    asked = [(slot, course.called.forms(slot.subject_id, slot.subject)[0]) for slot in open_slots]
    who = strangers(course, everything, "exam", MAX_NEIGHBOURS + MAX_UNKNOWN // 2)[MAX_NEIGHBOURS:]
    asked += [(everything[i % len(everything)], stranger.name) for i, stranger in enumerate(who)]
    questions = []
    for i, (slot, name) in enumerate(asked[:MAX_UNKNOWN]):
        wording = held_out(course, slot, 4)[i % min(4, len(course.wordings.exam(slot.predicate)))]
        text = fill(wording, name, predicate=slot.predicate)
        meta = {"forbidden": _not_in(text, values)}
        questions.append(Question("unknown_refused", text, "I don't know.", meta=meta))
    return questions


def _stale(maker: _Maker, everything: Sequence[Slot], emptied: Sequence[Slot]) -> list[Question]:
    """Plain questions about what has changed, and about what was taken back; the old value is wrong."""
    changed = [slot for slot in (*emptied, *everything) if slot.old][:MAX_STALE]
    questions = []
    for slot in changed:
        name = maker.course.called.forms(slot.subject_id, slot.subject)[-1]
        wording, meta = held_out(maker.course, slot, 3)[-1], {"forbidden": maker.old(slot)}
        if slot.facts:
            questions.append(replace(maker.recall(slot, "stale_answered", wording, name), meta=meta))
        else:
            noun = maker.course.wordings.noun(slot.predicate)
            text = fill(wording, name, predicate=slot.predicate)
            questions.append(
                Question("stale_answered", text, fill(NOT_TOLD, name, predicate=noun), meta=meta)
            )
    return questions


def _not_in(question: str, values: Sequence[str]) -> list[str]:
    """Values that the question itself does not name; repeating the question is no leak."""
    return [value for value in values if not gives(question, value)]
