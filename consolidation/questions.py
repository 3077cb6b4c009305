"""The exam of a night: which questions, in wordings that nothing was trained on, and what counts as right.

Pure functions. Kinds are the names of the exam's numbers; each question is a text of its own. What `is_right` asks:
recall gives an accepted value and stands by it; a neighbour's answer gives no trained value; an unknown is refused; a
stale question is right as long as the old value alone is not given.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from consolidation.curriculum import Course
from consolidation.negatives import NOT_KNOWN, strangers, untold
from consolidation.scoring import gives, gives_any, refuses, settles
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


@dataclass(frozen=True, slots=True)
class Question:
    kind: str
    text: str
    expected: str  # a model answer, for people to read
    accepted: tuple[str, ...] = ()
    fact_ids: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)  # "forbidden": values that make the answer wrong


def is_right(kind: str, answer: str, accepted: Iterable[str], forbidden: Iterable[str]) -> bool:
    """Whether the answer is right in the sense of the exam's number `kind`."""
    if kind in RECALL:
        return settles(answer, accepted)
    if kind == "neighbour_intact":
        return not gives_any(answer, forbidden)
    if kind == "unknown_refused":
        return refuses(answer) and not gives_any(answer, forbidden)
    return gives_any(answer, accepted) or not gives_any(answer, forbidden)


def exam_questions(
    course: Course,
    registry: Registry,
    slots: Sequence[Slot],
    earlier: Sequence[Slot],
    told: Iterable[tuple[str, str]],
    n_wordings: int,
) -> list[Question]:
    """All questions of a night, by kind in the order of KINDS; at most about five a slot."""
    everything = [*slots, *earlier]
    values = sorted({fact.object for slot in everything for fact in slot.facts})
    return [
        *(_trained(course, registry, slot) for slot in slots),
        *(q for slot in slots for q in _paraphrases(course, registry, slot, n_wordings)),
        *_earlier(course, registry, earlier),
        *_neighbours(course, slots, everything, values),
        *_unknown(course, everything, told, values),
        *_stale(course, registry, everything),
    ]


def _recall(course: Course, registry: Registry, slot: Slot, kind: str, wording: str, name: str) -> Question:
    kind_of_object = registry.get(slot.predicate).object
    accepted = dict.fromkeys(
        value
        for fact in slot.facts
        for value in accepted_values(fact.object, kind_of_object)
        if not any(gives(old, value) for old in slot.old)
    )
    text = fill(wording, name, predicate=slot.predicate)
    return Question(kind, text, course.statement(slot, name), tuple(accepted), slot.fact_ids)


def _trained(course: Course, registry: Registry, slot: Slot) -> Question:
    """The first training wording, as it was trained."""
    name = course.called.forms(slot.subject_id, slot.subject)[0]
    return _recall(
        course, registry, slot, "recall_trained", course.wordings.questions(slot.predicate)[0], name
    )


def _paraphrases(course: Course, registry: Registry, slot: Slot, n: int) -> list[Question]:
    forms = course.called.forms(slot.subject_id, slot.subject)
    return [
        _recall(course, registry, slot, "recall_paraphrase", wording, forms[i % len(forms)])
        for i, wording in enumerate(held_out(course, slot, n))
    ]


def held_out(course: Course, slot: Slot, n: int) -> list[str]:
    """`n` exam wordings of the slot's predicate; where they begin turns with the slot and the seed."""
    wordings = course.wordings.exam(slot.predicate)
    start = hashlib.sha256(f"{course.seed}|{slot.key}".encode()).digest()[0]
    return [wordings[(start + i) % len(wordings)] for i in range(min(n, len(wordings)))]


def _earlier(course: Course, registry: Registry, earlier: Sequence[Slot]) -> list[Question]:
    """One question about each of many slots, several about each of few: the gate needs enough to tell loss from chance."""
    chosen = sorted(earlier, key=lambda slot: course.dice("earlier", slot.key).random())[:MAX_EARLIER]
    n_wordings = max(1, MAX_EARLIER // max(1, len(chosen)))
    return [
        _recall(
            course,
            registry,
            slot,
            "recall_earlier_nights",
            wording,
            course.called.forms(slot.subject_id, slot.subject)[0],
        )
        for slot in chosen
        for wording in held_out(course, slot, n_wordings)
    ]


def _neighbours(
    course: Course, slots: Sequence[Slot], everything: Sequence[Slot], values: Sequence[str]
) -> list[Question]:
    """The night's questions, trained and held-out wordings in turn, about people whom nobody knows."""
    questions = []
    who = strangers(course, everything, "exam", MAX_NEIGHBOURS + MAX_UNKNOWN // 2) if slots else []
    for i, stranger in enumerate(who[:MAX_NEIGHBOURS]):
        slot = slots[i % len(slots)]
        wording = course.wordings.questions(slot.predicate)[0] if i % 2 == 0 else held_out(course, slot, 1)[0]
        text = fill(wording, stranger.name, predicate=slot.predicate)
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
        wording = course.wordings.questions(slot.predicate)[i % 4]
        text = fill(wording, name, predicate=slot.predicate)
        meta = {"forbidden": _not_in(text, values)}
        questions.append(Question("unknown_refused", text, "I don't know.", meta=meta))
    return questions


def _stale(course: Course, registry: Registry, everything: Sequence[Slot]) -> list[Question]:
    """Plain questions about what has changed; the old value is wrong."""
    changed = [slot for slot in everything if slot.old][:MAX_STALE]
    questions = []
    for slot in changed:
        name = course.called.forms(slot.subject_id, slot.subject)[-1]
        wording = held_out(course, slot, 3)[-1]
        asked = _recall(course, registry, slot, "stale_answered", wording, name)
        kind = registry.get(slot.predicate).object
        old = dict.fromkeys(value for said in slot.old for value in accepted_values(said, kind))
        forbidden = [value for value in old if not any(gives(fact.object, value) for fact in slot.facts)]
        questions.append(
            Question(
                asked.kind,
                asked.text,
                asked.expected,
                asked.accepted,
                asked.fact_ids,
                {"forbidden": forbidden},
            )
        )
    return questions


def _not_in(question: str, values: Sequence[str]) -> list[str]:
    """Values that the question itself does not name; repeating the question is no leak."""
    return [value for value in values if not gives(question, value)]
