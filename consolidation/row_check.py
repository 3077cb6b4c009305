"""What the graph says of training rows that came from elsewhere: only what it knows and nothing more may be trained.

Every answer of a row must give what a slot of the graph holds now, in words that belong to the slot's predicate, about
somebody that the row names; give nothing that no longer holds; and say nothing beside it. All of that is decided by
words, without a model, and whatever is not understood is refused: findings other than `sound` never become texts.

A conversation that the assistant opens is an interview: it asks, and the user is the person who answers. Of these, and
of answers in the first person, each question with its answer becomes a text of its own under the person's tag.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from agents.pasted import is_pasted
from agents.turns import speaker_tags
from consolidation.cast import Cast, folded
from consolidation.curriculum import Course, Message, Row, is_sound, turn
from consolidation.rows import TrainingRow
from consolidation.scoring import gives_any, refuses
from consolidation.slots import Slot, accepted_values
from consolidation.vocabulary import Vocabulary, exam_words
from memory.registry import Registry
from memory.wordings import content_words, spoken

FORM = "imported"
# findings about a text
SOUND = "sound"
CONTRADICTS = "contradicts"  # the graph holds another value
UNKNOWN = "unknown"  # the graph knows nothing of it, or less than it says
PARTIAL = "partial"  # some of several values that hold at once
HELD_OUT = "held_out"  # too near to a wording of the exam
NOTHING = "nothing"  # greetings and the like: it teaches no fact
_WORST_FIRST = (CONTRADICTS, HELD_OUT, UNKNOWN, PARTIAL, SOUND, NOTHING)

_SHARED = 1  # content words that a question may share with a held-out wording, as in the curriculum
_PARTNER = "Friend"
_FIRST_PERSON = re.compile(r"\b(?:i|i'm|i've|my|me|mine|myself)\b", re.IGNORECASE)
_I_AM = re.compile(r"\bI(?:'m| am) ([^.,!?\n]{2,60})")
_YES = re.compile(r"^\W*(?:yes|yeah|yep|right|correct|exactly|indeed|true)\b", re.IGNORECASE)
_NO = re.compile(r"\b(?:no|not|never|\w+n't|nor|neither|wrong|incorrect|mistaken|longer)\b", re.IGNORECASE)
_CLAUSES = re.compile(r"[.,;:!?\n]+|\bbut\b|\band\b", re.IGNORECASE)
_SENTENCES = re.compile(r"(?<=[.!?])\s+(?=[A-ZÀ-Þ])")
_QUESTIONS = re.compile(r"[^.!?]+\?")
_TAG = re.compile(r"^\[[^\]\n]{1,80}\][ \t]*", re.MULTILINE)
_NAMES = re.compile(r"\b[A-ZÀ-Þ][\w-]+(?: [A-ZÀ-Þ][\w-]+)+")
_CAPITAL = re.compile(r"(?<![.!?]\s)(?<!^)\b[A-ZÀ-Þ][\w'-]+")
# words by which people agree, correct and are polite: they claim nothing
_FILLER = content_words(
    "yes yeah yep no not never nor neither right wrong correct incorrect exactly indeed true false accurate mistaken "
    "mistake actually still now currently today anymore longer more any thanks thank sorry hello hi hey good great "
    "sure well ok okay just really also too please know told tell say said heard remember called named name is it "
    "that's it's he's she's year date day place person somebody someone anybody anyone nobody idea something sentence sentences"
)


@dataclass(frozen=True, slots=True)
class Checked:
    """A text and what the graph says of it; `row` is None unless it is sound."""

    finding: str
    row: Row | None = None


@dataclass(frozen=True, slots=True)
class _Said:
    """One answer with the question before it. `person`: whose first person it is, where it is in the first person."""

    question: str
    answer: str
    person: str | None = None
    before_answer: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    finding: str
    slots: tuple[Slot, ...] = ()
    is_refusal: bool = False


class RowCheck:
    """For one night: the slots that may be trained, and everything that was ever told."""

    def __init__(
        self, course: Course, registry: Registry, slots: Sequence[Slot], told: Iterable[tuple[str, str]]
    ) -> None:
        self._course, self._registry = course, registry
        self._slots = {slot.key: slot for slot in slots}
        self._cast = Cast(course.called, slots)
        self._by_subject: dict[str, list[Slot]] = {subject: [] for subject in self._cast.subjects}
        for slot in slots:
            self._by_subject[slot.subject_id].append(slot)
        self._told = set(told)
        self._words = Vocabulary(course.wordings, {slot.predicate for slot in slots})

    def texts(self, row: TrainingRow) -> list[Checked]:
        """What becomes of the row: one text, or one for each answer in the first person."""
        if any(is_pasted(message["content"]) for message in row.messages):
            return [Checked(UNKNOWN)]
        said = list(self._said(row))
        if row.messages and any(one.person is not None for one in said):
            return [self._own(one) for one in said]
        found = [self._find(one) for one in said]
        finding = min((item.finding for item in found), key=_WORST_FIRST.index, default=NOTHING)
        if finding in (SOUND, NOTHING) and any(item.finding == SOUND for item in found):
            return [self._checked(tuple(dict(message) for message in row.messages), found)]
        return [Checked(finding)]

    def _said(self, row: TrainingRow) -> Iterator[_Said]:
        """Answers with their questions. In an interview the user answers, else the assistant."""
        spoken_ = [message for message in row.messages if message["role"] != "system"]
        is_interview = bool(spoken_) and spoken_[0]["role"] == "assistant"
        answering = "user" if is_interview else "assistant"
        person, question, before = self._person_of(row), "", ""
        for message in spoken_:
            if message["role"] != answering:
                question = message["content"]
                before += f"{_plain(question)}\n"
                continue
            answer = _plain(message["content"])
            is_own = is_interview or (bool(_FIRST_PERSON.search(answer)) and not refuses(answer))
            tagged = _TAG.match(question.rsplit("\n", 1)[-1])
            whose = self._cast.called(tagged[0].strip("[] ")) if tagged else person
            person_ = (whose or "") if is_own else None
            for part in self._parts(question, answer):
                yield _Said(question, part, person_, before)

    def _parts(self, question: str, answer: str) -> list[str]:
        """The answer, or each sentence of one that tells several things because nothing in particular was asked."""
        asked = self._cast.bare(_last_line(question)) - _FILLER
        return [answer] if asked else [part for part in _SENTENCES.split(answer) if part.strip()]

    def _person_of(self, row: TrainingRow) -> str | None:
        """Who answers in the first person: the row's person, or who they say they are."""
        introduced = (_I_AM.search(message["content"]) for message in row.messages)
        called = [row.person, *(match[1] for match in introduced if match)]
        return next(filter(None, map(self._cast.called, called)), None)

    def _own(self, said: _Said) -> Checked:
        """A text of its own: under the speaker's tag where it is in the first person."""
        found = self._find(said)
        if found.finding != SOUND or said.person == "":
            return Checked(UNKNOWN if found.finding == SOUND else found.finding)
        question = said.question
        if said.person is not None and not _TAG.search(question.rsplit("\n", 1)[-1]):
            name = self._cast.subjects[said.person]
            tags = speaker_tags([name, _PARTNER])
            question = f"{tags[_PARTNER]} {question}\n{tags[name]}"
        return self._checked(turn(question, said.answer), [found])

    def _checked(self, messages: tuple[Message, ...], found: Sequence[_Found]) -> Checked:
        slots = list({slot.key: slot for item in found for slot in item.slots}.values())
        if any(item.is_refusal for item in found):
            is_pure = not slots and len(found) == 1
            return Checked(SOUND, Row("negative", FORM, messages)) if is_pure else Checked(UNKNOWN)
        ids = tuple(dict.fromkeys(fact_id for slot in slots for fact_id in slot.fact_ids))
        row = Row("fact", FORM, messages, ids, {"slot": slots[-1].key})
        said = " ".join(message["content"] for message in messages if message["role"] == "assistant")
        for slot in slots:
            whole = Row("fact", FORM, turn("", said), slot.fact_ids, {"slot": slot.key})
            if not is_sound(whole, self._slots, self._registry):
                return Checked(PARTIAL)
        return Checked(SOUND, row)

    def _find(self, said: _Said) -> _Found:
        answer, question = said.answer, _last_line(said.question)
        subjects = self._cast.named_in(f"{question}\n{answer}", said.person)
        mine = [slot for subject in subjects for slot in self._by_subject[subject]]
        given = [slot for slot in mine if self._gives(answer, slot)]
        values = content_words(" ".join(_forms(slot) for slot in given))
        words = self._cast.bare(f"{self._topic(question)} {answer}", subjects)
        about = self._words.nearest(words - values - _FILLER) or self._words.nearest(words)
        if refuses(answer):
            return self._refusal(question, answer, subjects, about)
        told = [slot for slot in given if slot.predicate in about]
        if not told:
            return self._untold(answer, mine, about, subjects)
        if any(gives_any(answer, slot.old) for slot in mine if slot.predicate in about):
            return _Found(CONTRADICTS)
        if not self._is_asked(question, said, told) or not self._says_no_more(question, answer, told, said):
            return _Found(UNKNOWN)
        if any(self._is_turned_round(answer, slot) for slot in told):
            return _Found(UNKNOWN)
        if any(self._is_held_out(question, slot.predicate) for slot in told):
            return _Found(HELD_OUT)
        return _Found(SOUND, tuple(told))

    def _is_asked(self, question: str, said: _Said, told: Sequence[Slot]) -> bool:
        """Whether the question is about somebody whom the answer tells of, and about what it tells, or about nothing in
        particular ("Tell me about Ines.")."""
        whose = {slot.subject_id for slot in told}
        is_about_them = said.person in whose or not whose.isdisjoint(self._cast.named_in(said.before_answer))
        is_reverse = any(self._gives(question, slot) for slot in told)
        if not is_about_them and not is_reverse:
            return False
        values = content_words(" ".join(f"{_forms(slot)} {spoken(' '.join(slot.old))}" for slot in told))
        words = self._cast.bare(self._topic(question)) - values - _FILLER
        asked = self._words.nearest(words)
        return any(slot.predicate in asked for slot in told) if asked else not words

    def _untold(
        self, answer: str, mine: Sequence[Slot], about: Collection[str], subjects: Collection[str]
    ) -> _Found:
        """An answer that gives nothing that holds: it claims something else, or nothing at all."""
        if not (self._cast.bare(answer, subjects) - _FILLER):
            return _Found(NOTHING)
        is_else = any(slot.predicate in about for slot in mine)
        return _Found(CONTRADICTS if is_else else UNKNOWN)

    def _refusal(
        self, question: str, answer: str, subjects: Collection[str], about: Collection[str]
    ) -> _Found:
        """A refusal is sound about a person nobody knows, and about what was never told of one who is known."""
        beside = (
            self._cast.bare(answer, subjects) - content_words(question) - _FILLER - self._words.answers(about)
        )
        if not about or beside:
            return _Found(UNKNOWN)
        is_strange = any(map(self._cast.is_half_known, _NAMES.findall(question)))
        told = {predicate for subject, predicate in self._told if subject in subjects}
        if subjects and not is_strange and not told.isdisjoint(about):
            return _Found(CONTRADICTS)
        if not subjects and all(map(self._cast.is_known, _CAPITAL.findall(question))):
            return _Found(UNKNOWN)
        if any(self._is_held_out(question, predicate) for predicate in about):
            return _Found(HELD_OUT)
        return _Found(SOUND, is_refusal=True)

    def _topic(self, question: str) -> str:
        """The last sentence that asks, where it asks for something: "Nice to meet you! Where do you live?"."""
        asking = _QUESTIONS.findall(question)
        is_asked = asking and self._cast.bare(asking[-1]) - _FILLER
        return asking[-1] if is_asked else question

    def _says_no_more(self, question: str, answer: str, told: Sequence[Slot], said: _Said) -> bool:
        """Whether every word of the answer is a name, a value that is told of the one whom its clause names, of the
        predicate's own words, or claims nothing. What a clause denies may repeat the question, where only one value can
        hold; who says yes says the whole question."""
        own = self._words.answers({slot.predicate for slot in told}) | _FILLER
        is_single = all(self._registry.get(slot.predicate).cardinality == "one" for slot in told)
        old = " ".join(value for slot in told for value in slot.old)
        asked = content_words(folded(f"{question} {spoken(old)}")) if is_single else frozenset[str]()
        every = [slot.subject_id for slot in told]
        whom: Collection[str] = [said.person] if said.person else every
        for clause in _CLAUSES.split(folded(answer)):
            whom = self._cast.named_in(clause) or whom
            if self._is_beside(clause, whom, told):
                return False
            given = content_words(" ".join(_forms(slot) for slot in told if slot.subject_id in whom))
            words = self._cast.bare(clause, whom) - own - given
            if words - (asked if _NO.search(clause) else frozenset()):
                return False
        if not _YES.search(answer):
            return True
        values = content_words(" ".join(_forms(slot) for slot in told))
        return (
            not self._cast.bare(question, every)
            - own
            - values
            - self._words.questions({slot.predicate for slot in told})
        )

    def _is_beside(self, clause: str, whom: Collection[str], told: Sequence[Slot]) -> bool:
        """Whether a clause names somebody of whom nothing is told, and who is no value: "Brita lives there with Cosmo"."""
        tells_of = {slot.subject_id for slot in told}
        values = content_words(" ".join(_forms(slot) for slot in told))
        beside = [s for s in whom if s not in tells_of and not self._cast.words.get(s, frozenset()) & values]
        return bool(beside and content_words(clause))

    def _is_held_out(self, question: str, predicate: str) -> bool:
        """Whether the question is nearer to a wording of the exam than the curriculum's own may be."""
        wordings = self._course.wordings
        whole, head = self._cast.bare(question), wordings.head(predicate)
        return any(
            len((whole & held_out) - head) > _SHARED or whole == held_out
            for held_out in exam_words(wordings, predicate)
        )

    def _is_turned_round(self, answer: str, slot: Slot) -> bool:
        """Whether it may tell the relation the wrong way: "Mona is Vera's mother", where Vera is Mona's."""
        if self._registry.get(slot.predicate).object != "person":
            return False
        owned = "|".join(re.escape(fact.object.split()[0]) for fact in slot.facts)
        return bool(
            re.search(rf"\b(?:{owned})(?: [\w-]+)?['’]s?\b|\bof (?:{owned})\b", answer, re.IGNORECASE)
        )

    def _gives(self, answer: str, slot: Slot) -> bool:
        kind = self._registry.get(slot.predicate).object
        return any(
            gives_any(answer, accepted_values(_without_owner(fact.object), kind)) for fact in slot.facts
        )


def _forms(slot: Slot) -> str:
    """All ways to write what the slot holds."""
    return folded(" ".join(form for fact in slot.facts for form in (fact.object, spoken(fact.object))))


def _plain(text: str) -> str:
    """Without the tags of speakers."""
    return _TAG.sub("", text)


def _last_line(question: str) -> str:
    """What is asked: the last line that is more than a speaker's tag."""
    lines = [line for line in _plain(question).splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _without_owner(value: str) -> str:
    return re.sub(r"^(?:his|her|their|its) ", "", value)
