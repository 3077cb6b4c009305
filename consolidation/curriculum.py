"""From stored facts to training texts: questions, statements, reverse questions, dialogues, corrections, joins.

Pure functions over slots and wordings; the same input gives the same texts in the same order. Nothing here reads the
exam's wordings.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from agents.turns import speaker_tags
from consolidation.retold import Retold, gap_question, word_questions
from consolidation.scoring import gives, gives_any, refuses
from consolidation.slots import Names, Slot, accepted_values
from memory import names
from memory.registry import Registry
from memory.wordings import Wordings, fill, possessive

Message = dict[str, str]

# wordings of a slot; others of its predicate get others: what generalises is their variety. Plain ones are what people ask,
# and what the refusals are about; of indirect ones the more, the fewer slots a night has, and some are left for later nights
PLAIN_PER_SLOT, INDIRECT_PER_SLOT = 20, (24, 48)
WORDINGS_PER_NIGHT = 2400
STATEMENTS_PER_SLOT = 1
FIRST_PERSON_PER_SLOT = 2
PASSING_PER_SLOT = 2
JOINS = 16
BESIDE_PER_SLOT = 2
UNGROUNDED_EVERY = 24
WIDER_PER_PERSON = 6
# a question for the left is answered with what is known on the right: who has a dog has a pet
ANSWERED_BY = {
    "pet": ("dog", "cat"),
    "child": ("son", "daughter"),
    "partner": ("fiance", "husband", "wife", "spouse"),
    "spouse": ("husband", "wife"),
    "hobby": ("plays", "sings", "exercise"),
}
# predicates whose values say nothing about who has them
_NOT_REVERSED = frozenset(("age", "number_of_children", "relationship_status", "birth_weight"))
_ABOUT = (
    "Tell me about {s}'s {p}.",
    "One sentence about {s}'s {p}, please.",
    "Say something about {s}'s {p}.",
)
FACTS_PROMPT = "What is known:\n{facts}\n\nAnswer in one sentence. {question}"
CLAIMS = (  # none is a frame of consolidation.conversations
    "Somebody told me: {said}",
    "{said} Isn't it so?",
    "I always believed this: {said}",
    "In short: {said} Yes?",
)
_PROFILE = ("Tell me about {s}.", "What do you know about {s}?", "Who is {s}, in a few sentences?")
_OPENINGS = (
    ("hi, how are things?", "good, busy week. you?"),
    ("hey, are you there?", "yes, what's up?"),
    ("good morning!", "morning! did you sleep well?"),
    ("long day today", "same here, glad it's over"),
)
_DRAWN_BESIDE = 8  # slots, among which one of another subject is looked for
_ASIDES = (  # before a question that changes the subject
    "Thanks! One more thing: {q}",
    "I see. Another question: {q}",
    "Good to know. {q}",
    "Ah, right. And something else: {q}",
)
_LEADS = ("fine. by the way, {q}", "all good. {q}", "can I ask something? {q}", "one thing: {q}")


@dataclass(frozen=True, slots=True)
class Row:
    """One text before it is stored. kind: fact | negative | replay | style; `form` says how it teaches."""

    kind: str
    form: str
    messages: tuple[Message, ...]
    fact_ids: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def answer(self) -> str:
        return self.messages[-1]["content"]


@dataclass(frozen=True, slots=True)
class Course:
    """What all texts of a night are made with."""

    wordings: Wordings
    called: Names
    seed: int
    retold: Mapping[str, Retold] = field(default_factory=dict)  # by slot: the sentence that told it
    n_indirect: int = INDIRECT_PER_SLOT[0]  # wordings of a slot

    def dice(self, *of: object) -> random.Random:
        """Chance that depends on the seed and on what it is for, and on nothing else."""
        return random.Random("|".join(map(str, (self.seed, *of))))

    def statement(self, slot: Slot, name: str, which: int = 0) -> str:
        if slot.key in self.retold and not self.wordings.covers(slot.predicate):
            return self.retold[slot.key].sentence
        templates = self.wordings.statements(slot.predicate)
        return fill(templates[which % len(templates)], name, slot.said, slot.predicate)


def indirect_per_slot(n_slots: int) -> int:
    """How many indirect wordings each of a night's slots is taught in."""
    least, most = INDIRECT_PER_SLOT
    return max(least, min(most, WORDINGS_PER_NIGHT // max(1, n_slots) - PLAIN_PER_SLOT))


def turn(question: str, answer: str) -> tuple[Message, ...]:
    return ({"role": "user", "content": question}, {"role": "assistant", "content": answer})


def with_facts(facts: Sequence[str], question: str) -> str:
    """The question with what retrieval found for it, one fact a line; "nothing" where that is nothing."""
    return FACTS_PROMPT.format(
        facts="\n".join(f"- {fact}" for fact in facts or ("nothing",)), question=question
    )


def slot_rows(course: Course, slot: Slot) -> list[Row]:
    """Everything that one slot teaches."""
    return [
        *question_rows(course, slot),
        *_statement_rows(course, slot),
        *_correction_rows(course, slot),
        *_dialogue_rows(course, slot),
        *_first_person_rows(course, slot),
    ]


def question_rows(course: Course, slot: Slot, more: Sequence[str] = ()) -> list[Row]:
    """The plainest question and a draw of the other wordings, names in full and by first name in turn. `more` are a
    teacher's."""
    forms = course.called.forms(slot.subject_id, slot.subject)
    dice = course.dice("questions", slot.key)
    plainest, *plain = course.wordings.questions(slot.predicate)
    indirect = course.wordings.indirect(slot.predicate)
    drawn = dice.sample(plain, min(len(plain), PLAIN_PER_SLOT - 1))
    drawn += dice.sample(indirect, min(len(indirect), course.n_indirect))
    rows = []
    for number, wording in enumerate((plainest, *drawn)):
        name = forms[number % len(forms)]
        rows.append(_row(slot, "question", turn(fill(wording, name), course.statement(slot, name))))
    rows += _retold_rows(course, slot, forms)
    rows += [_row(slot, "teacher", turn(question, course.statement(slot, forms[0]))) for question in more]
    return rows


def fresh_rows(course: Course, slot: Slot, known: Set[str], n: int, night: int) -> list[Row]:
    """At most `n` questions about a slot in wordings that are not among `known` prompts (in small letters) by any of its
    subject's names: other ones each night."""
    forms = course.called.forms(slot.subject_id, slot.subject)
    dice = course.dice("fresh", slot.key, night)
    wordings = list(course.wordings.taught(slot.predicate))
    dice.shuffle(wordings)
    rows: list[Row] = []
    for wording in wordings:
        if len(rows) == n:
            break
        name = dice.choice(forms)
        if known.isdisjoint(fill(wording, form).casefold() for form in forms):
            rows.append(_row(slot, "question", turn(fill(wording, name), course.statement(slot, name))))
    return rows


def _retold_rows(course: Course, slot: Slot, forms: Sequence[str]) -> list[Row]:
    """Where the sentence that told it is known: questions of its words, and of the whole of it where the predicate has no
    wordings."""
    told = course.retold.get(slot.key)
    if told is None:
        return []
    asked = [] if course.wordings.covers(slot.predicate) else [gap_question(told)]
    words = word_questions(told, forms, course.wordings.words(slot.predicate))
    asked += [fill(question, forms[i % len(forms)]) for i, question in enumerate(words)]
    answers = (course.statement(slot, forms[i % len(forms)]) for i in range(len(asked)))
    return [
        _row(slot, "retold", turn(question, answer), episodes=[told.episode_id])
        for question, answer in zip(asked, answers, strict=True)
    ]


def _row(slot: Slot, form: str, messages: tuple[Message, ...], **meta: Any) -> Row:
    return Row("fact", form, messages, slot.fact_ids, {"slot": slot.key, **meta})


def _statement_rows(course: Course, slot: Slot) -> list[Row]:
    forms = course.called.forms(slot.subject_id, slot.subject)
    noun = course.wordings.noun(slot.predicate)
    asked = course.dice("about", slot.key).sample(_ABOUT, STATEMENTS_PER_SLOT)
    return [
        _row(
            slot,
            "statement",
            turn(
                fill(prompt, forms[i % len(forms)], predicate=noun),
                course.statement(slot, forms[i % len(forms)], i),
            ),
        )
        for i, prompt in enumerate(asked)
    ]


def _correction_rows(course: Course, slot: Slot) -> list[Row]:
    """What no longer holds is denied in favour of what does; what does is confirmed, so that "no" is no habit."""
    forms = course.called.forms(slot.subject_id, slot.subject)
    still, now = course.wordings.still(slot.predicate), course.wordings.now(slot.predicate)[0]
    rows = []
    for i, old in enumerate(slot.old):
        name = forms[i % len(forms)]
        truth = fill(now, name, slot.said, slot.predicate)
        denial = turn(fill(still[i % len(still)], name, old, slot.predicate), f"No, {truth}")
        rows.append(_row(slot, "correction", denial))
        before = f"{fill(still[0], forms[-1], old, slot.predicate)} I heard so last year."
        rows.append(
            _row(
                slot,
                "correction",
                turn(before, f"Not any more: {fill(now, forms[-1], slot.said, slot.predicate)}"),
            )
        )
    if slot.old:
        question = fill(still[0], forms[0], slot.said, slot.predicate)
        rows.append(_row(slot, "confirmation", turn(question, f"Yes, {course.statement(slot, forms[0])}")))
    return rows


def _dialogue_rows(course: Course, slot: Slot) -> list[Row]:
    """Two friends chat, and the fact comes up in passing. Lines carry speaker tags; the last tag is to be answered."""
    dice = course.dice("dialogue", slot.key)
    others = [person for person in course.called.speakers() if person.id != slot.subject_id]
    if not others or not course.called.speakers():
        return []
    asking = dice.choice(others)
    answering = [person for person in course.called.speakers() if person.id != asking.id]
    if not answering:
        return []
    speaker = next((person for person in answering if person.id == slot.subject_id), dice.choice(answering))
    name = course.called.forms(slot.subject_id, slot.subject)[-1]
    if speaker.id == slot.subject_id:
        question = dice.choice(course.wordings.you_questions(slot.predicate))
        answer = fill(course.wordings.first_person(slot.predicate)[0], name, slot.said, slot.predicate)
    else:
        question = fill(dice.choice(course.wordings.questions(slot.predicate)[:6]), name)
        answer = course.statement(slot, name)
    hello, reply = dice.choice(_OPENINGS)
    lead = dice.choice(_LEADS).format(q=question)
    tags = speaker_tags([speaker.name, asking.name])
    a, b = tags[asking.name], tags[speaker.name]
    return [_row(slot, "dialogue", turn(f"{a} {hello}\n{b} {reply}\n{a} {lead}\n{b}", answer))]


def _first_person_rows(course: Course, slot: Slot) -> list[Row]:
    """For those who can be simulated: what they answer about themselves, under their own tag."""
    speakers = course.called.speakers()
    if slot.subject_id not in {person.id for person in speakers}:
        return []
    partners = [person.name for person in speakers if person.id != slot.subject_id] or ["Friend"]
    said = course.wordings.first_person(slot.predicate)
    rows = []
    for i, question in enumerate(course.wordings.you_questions(slot.predicate)[:FIRST_PERSON_PER_SLOT]):
        answer = fill(said[i % 2], slot.subject, slot.said, slot.predicate)
        partner = partners[i % len(partners)]
        tags = speaker_tags([slot.subject, partner])
        asked = f"{tags[partner]} {question}\n{tags[slot.subject]}"
        rows.append(_row(slot, "first_person", turn(asked, answer)))
    return rows


def reverse_rows(course: Course, slots: Sequence[Slot], everything: Sequence[Slot]) -> list[Row]:
    """Who has the value? All who have it, from everything that is known; values that many share are left out."""
    having: dict[tuple[str, str], list[Slot]] = defaultdict(list)
    for slot in everything:
        for fact in slot.facts:
            having[slot.predicate, names.key(fact.object)].append(slot)
    rows = []
    for slot in slots:
        for fact in slot.facts if slot.predicate not in _NOT_REVERSED else ():
            others = having[slot.predicate, names.key(fact.object)]
            if len({other.subject_id for other in others}) != 1:
                continue
            answer = fill(
                course.wordings.statements(slot.predicate)[0], slot.subject, fact.object, slot.predicate
            )
            wording = course.dice("reverse", slot.key).choice(course.wordings.reverse(slot.predicate)[:2])
            question = fill(wording, object=fact.object, predicate=slot.predicate)
            rows.append(Row("fact", "reverse", turn(question, answer), (fact.id,), {"names": [slot.subject]}))
    return rows


def asserted_rows(course: Course, slots: Sequence[Slot], everything: Sequence[Slot]) -> list[Row]:
    """What somebody claims is confirmed where it holds, and put right where it is the value of somebody else."""
    having: dict[str, list[Slot]] = defaultdict(list)
    for slot in everything:
        having[slot.predicate].append(slot)
    rows = []
    for slot in slots:
        name = course.called.forms(slot.subject_id, slot.subject)[0]
        dice, truth = course.dice("asserted", slot.key), course.statement(slot, name)
        rows.append(_row(slot, "asserted", turn(dice.choice(CLAIMS).format(said=truth), f"Yes. {truth}")))
        values = [fact.object for fact in slot.facts]
        wrong = [
            fact
            for other in having[slot.predicate]
            for fact in other.facts
            if other.subject_id != slot.subject_id
            and not gives_any(fact.object, values)
            and not any(gives(value, fact.object) for value in values)
        ]
        if not wrong:
            continue
        fact = dice.choice(wrong)
        claim = fill(course.wordings.statements(slot.predicate)[0], name, fact.object, slot.predicate)
        messages = turn(dice.choice(CLAIMS).format(said=claim), f"No. {truth}")
        rows.append(Row("fact", "asserted", messages, (*slot.fact_ids, fact.id), {"slot": slot.key}))
    return rows


def grounded_rows(course: Course, slots: Sequence[Slot], everything: Sequence[Slot]) -> list[Row]:
    """A question with facts in the prompt, as retrieval brings them: once plainly asked with the fact that answers among them,
    and in indirect wordings without it (`beside`), so that what is known is answered whatever else was found."""
    of_subject: dict[str, list[Slot]] = defaultdict(list)
    for slot in everything:
        of_subject[slot.subject_id].append(slot)
    rows = []
    for slot in slots:
        dice = course.dice("grounded", slot.key)
        beside = [other for other in dice.sample(slots, min(3, len(slots))) if other is not slot]
        question = dice.choice(course.wordings.questions(slot.predicate))
        rows.append(_shown(course, slot, question, [*beside, slot], dice, "grounded"))
        indirect = course.wordings.indirect(slot.predicate) or course.wordings.questions(slot.predicate)
        for question in dice.sample(indirect, min(BESIDE_PER_SLOT, len(indirect))):
            found = _found_for(slot, of_subject[slot.subject_id], slots, dice)
            rows.append(_shown(course, slot, question, found, dice, "beside"))
    return rows


def _found_for(
    slot: Slot, of_subject: Sequence[Slot], slots: Sequence[Slot], dice: random.Random
) -> list[Slot]:
    """What retrieval might bring for a question about the slot but for the slot itself: most of it of the same person."""
    drawn = [one for pool, n in ((of_subject, 3), (slots, 2)) for one in dice.sample(pool, min(n, len(pool)))]
    asked = (slot.subject_id, slot.predicate)
    others = {one.key: one for one in drawn if (one.subject_id, one.predicate) != asked}
    return list(others.values())


def _shown(
    course: Course, slot: Slot, question: str, known: list[Slot], dice: random.Random, form: str
) -> Row:
    dice.shuffle(known)
    name = dice.choice(course.called.forms(slot.subject_id, slot.subject))
    prompt = _beside(course, known, fill(question, name))
    ids = dict.fromkeys(fact_id for one in (slot, *known) for fact_id in one.fact_ids)
    return Row("fact", form, turn(prompt, course.statement(slot, name)), tuple(ids), {"slot": slot.key})


def _beside(course: Course, known: Sequence[Slot], question: str) -> str:
    return with_facts([course.statement(told, told.subject) for told in known], question)


def ungrounded_rows(course: Course, slots: Sequence[Slot], refusals: Sequence[Row]) -> list[Row]:
    """Refusals with facts in the prompt that do not answer: what retrieval brings is no reason to answer."""
    rows = []
    for row in refusals[::UNGROUNDED_EVERY]:
        question = row.messages[0]["content"]
        known = course.dice("ungrounded", question).sample(slots, min(3, len(slots)))
        prompt = _beside(course, known, question)
        ids = tuple(fact_id for told in known for fact_id in told.fact_ids)
        rows.append(replace(row, form="ungrounded", messages=turn(prompt, row.answer), fact_ids=ids))
    return rows


def wider_rows(course: Course, slots: Sequence[Slot], everything: Sequence[Slot]) -> list[Row]:
    """Questions for a wider thing than what was told: who is asked for somebody's pet, and knows of a dog, names the dog."""
    of_subject: dict[str, dict[str, Slot]] = defaultdict(dict)
    for slot in everything:
        of_subject[slot.subject_id][slot.predicate] = slot
    tonight = {slot.key for slot in slots}
    rows = []
    for known in of_subject.values():
        for asked, answering in ANSWERED_BY.items():
            told = [known[predicate] for predicate in answering if predicate in known]
            if asked in known or tonight.isdisjoint(slot.key for slot in told):
                continue
            forms = course.called.forms(told[0].subject_id, told[0].subject)
            wordings = course.wordings.taught(asked)
            drawn = course.dice("wider", asked, told[0].key).sample(
                wordings, min(len(wordings), WIDER_PER_PERSON)
            )
            ids = tuple(fact_id for slot in told for fact_id in slot.fact_ids)
            for place, wording in enumerate(drawn):
                name = forms[place % len(forms)]
                answer = " ".join(course.statement(slot, name) for slot in told)
                rows.append(
                    Row("fact", "wider", turn(fill(wording, name), answer), ids, {"slot": told[0].key})
                )
    return rows


def profile_rows(course: Course, slots: Sequence[Slot]) -> list[Row]:
    """One short portrait per subject of two facts or more, and a conversation that asks two things in a row."""
    by_subject: dict[str, list[Slot]] = defaultdict(list)
    for slot in slots:
        by_subject[slot.subject_id].append(slot)
    rows = []
    for of_one in by_subject.values():
        if len(of_one) < 2:
            continue
        name = course.called.forms(of_one[0].subject_id, of_one[0].subject)[0]
        dice = course.dice("profile", of_one[0].key)
        told = " ".join(course.statement(slot, name) for slot in of_one[:3])
        ids = tuple(fact_id for slot in of_one[:3] for fact_id in slot.fact_ids)
        rows.append(Row("fact", "profile", turn(fill(dice.choice(_PROFILE), name), told), ids))
        rows += [
            _two_turns(course, first, second)
            for first, second in zip(of_one[::2], of_one[1::2], strict=False)
        ]
    return rows


def passing_rows(course: Course, slots: Sequence[Slot]) -> list[Row]:
    """Talks about somebody else in which each slot comes up in passing: what was said before is no part of the answer."""
    rows = []
    for slot in slots:
        for place in range(PASSING_PER_SLOT):
            dice = course.dice("passing", place, slot.key)
            drawn = dice.sample(slots, min(len(slots), _DRAWN_BESIDE))
            other = next((one for one in drawn if one.subject_id != slot.subject_id), None)
            if other is not None:
                rows.append(_two_turns(course, other, slot, dice.choice(_ASIDES)))
    return rows


def _two_turns(course: Course, first: Slot, second: Slot, aside: str = "{q}") -> Row:
    messages: tuple[Message, ...] = ()
    for slot, form in ((first, "{q}"), (second, aside)):
        name = course.called.forms(slot.subject_id, slot.subject)[-1]
        wording = course.dice("turns", aside, slot.key).choice(course.wordings.questions(slot.predicate)[:8])
        messages += turn(form.format(q=fill(wording, name)), course.statement(slot, name))
    return Row("fact", "turns", messages, (*first.fact_ids, *second.fact_ids), {"slot": second.key})


def join_rows(course: Course, slots: Sequence[Slot], everything: Sequence[Slot]) -> list[Row]:
    """Questions over two facts: "Where does Ines's brother live?". At least one of the two is among `slots`."""
    tonight = {slot.key for slot in slots}
    of_subject: dict[str, list[Slot]] = defaultdict(list)
    named: dict[str, str] = {}
    for slot in everything:
        of_subject[slot.subject_id].append(slot)
        named[names.key(slot.subject)] = slot.subject_id
    rows: list[Row] = []
    for first in everything:
        fact = first.facts[0]
        middle = fact.object_id or named.get(names.key(fact.object))
        if len(first.facts) != 1 or not middle or middle == first.subject_id:
            continue
        name = course.called.forms(first.subject_id, first.subject)[-1]
        role = f"{possessive(name)} {course.wordings.noun(first.predicate)}"
        for second in of_subject.get(middle, ()):
            if tonight.isdisjoint((first.key, second.key)) or len(rows) >= JOINS:
                continue
            wording = course.wordings.questions(second.predicate)[len(rows) % 3]
            answer = course.statement(second, f"{role} {fact.object}")
            ids = (*second.fact_ids, *first.fact_ids)
            rows.append(Row("fact", "join", turn(fill(wording, role), answer), ids, {"slot": second.key}))
    return rows


def is_sound(row: Row, slots: Mapping[str, Slot], registry: Registry) -> bool:
    """Whether the text agrees with the graph: its answer gives what holds now, and nothing that no longer does."""
    if row.kind == "negative":
        return refuses(row.answer)
    if "names" in row.meta:
        return gives_any(row.answer, row.meta["names"])
    slot = slots.get(str(row.meta.get("slot")))
    if slot is None:
        return row.form == "profile" and bool(row.fact_ids)
    kind = registry.get(slot.predicate).object
    given = all(gives_any(row.answer, accepted_values(_mine(fact.object), kind)) for fact in slot.facts)
    return given and not gives_any(row.answer, slot.old)


def _mine(value: str) -> str:
    """The value without its leading "her", which a first-person form turns into "my"."""
    return re.sub(r"^(?:his|her|their|its) ", "", value)
