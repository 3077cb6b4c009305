"""Facts that two messages make together: answers to questions, confirmations, corrections of what was just said."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from agents.extractors.dates import day_and_month, find_dates
from agents.extractors.discourse import Discourse, Mention
from agents.extractors.guards import commitment
from agents.extractors.lexicon import lexicon
from agents.extractors.names import take_name, take_place
from agents.extractors.numbers import NUMBER, to_int
from agents.extractors.proposal import LEAST_CONFIDENCE, Proposal, Proposals
from agents.extractors.questions import Wanted, answer, wanted
from agents.extractors.sentences import Sentence
from memory.types import Episode

_PATIENCE = 4  # messages after which a question is taken as dropped
_YES = re.compile(
    r"^(?:yes|yeah|yep|yup|ya|sure|of course|exactly|correct|right|true|indeed|still|that one|oh yes|he is|she is|i am|it is)\b",
    re.IGNORECASE,
)
_NO = re.compile(r"^(?:no|nope|nah|not|never|neither|god no|hell no|no way)\b", re.IGNORECASE)
_MENDS = re.compile(
    r"^(?:no wait|wait,? no|no,? sorry|sorry|actually no|actually|no\b[.,]|no$|hang on|hold on|scratch that|correction|i meant|i mean|checked|"
    r"just checked|my mistake|my bad|oops|not \w+[,.]|let me check|wait\b|\*|no hang on|no hold on|no,? actually|asked (?:her|him|them)|"
    r"i lied|wrong|ah no|oh no wait)",
    re.IGNORECASE,
)  # fmt: skip
_DATES = frozenset(
    [
        "wedding_date",
        "due_date",
        "interview_date",
        "arrival",
        "opening_date",
        "starts_on",
        "closing_date",
        "retired_on",
        "died_on",
        "launched_on",
        "birthday",
    ]
)


_PROMPTED = re.compile(
    r"\b(?:he|she)(?: is)?(?: just)? (?:says?|said|wrote|shouting|shouts|texted|tells me|is telling me|corrects|corrected)\b(?: from the \w+)?(?: me)?",
    re.IGNORECASE,
)
_WHO = re.compile(
    r"\b(?:who(?: the \w+)? is|do you remember|remember|tell me about) (?P<name>[^\s?,.]+(?: [A-Z]\w+)?)",
    re.IGNORECASE,
)
_AT_AGE = re.compile(r"^(?:(?:only|and|already) )?at (\d{2})\?$", re.IGNORECASE)
_HOW_IS_PLACE = re.compile(
    r"\bhow is (?:life in )?(?P<o>[A-ZÀ-Þ]\w+)(?=$|[?,!]| these| still| today)|\b(?:look like|weather|life|things|everything|going|cold|warm) in (?P<o2>[A-ZÀ-Þ]\w+)\?"
)
_SCHEDULE = re.compile(r"\b(?:\w+days?|every|times|twice|lengths|mornings?|evenings?|weekly)\b")


def _is_prompted(sentence: Sentence) -> bool:
    """ "he's shouting from the stove, the 22nd": the one it is about corrects the speaker."""
    return not sentence.words.isdisjoint(("he", "she")) and bool(_PROMPTED.search(sentence.lower))


def _is_bare(sentence: Sentence) -> bool:
    """A sentence that is a value and nothing else: no verb, no second thought."""
    return len(sentence.words) <= 7 and not re.search(
        r"\b(?:is|are|was|were|only|has|have|if)\b", sentence.lower
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    at: int
    speaker: str
    want: Wanted | None
    claims: tuple[Proposal, ...]  # what the question would state, were it answered with yes


class Dialogue:
    """Remembers open questions and what may still be taken back. One per stretch."""

    def __init__(self, talk: Discourse, found: Proposals) -> None:
        self._talk = talk
        self._found = found
        self._asked: list[_Asked] = []
        self._mending = False
        self._mended: Proposal | None = None
        self._was_asked_by: str | None = None

    def begin(self, episode: Episode, sentences: list[Sentence]) -> None:
        at = self._talk.at
        self._asked = [a for a in self._asked if at - a.at <= _PATIENCE]
        self._mending, self._mended = False, None

    def skip(self) -> None:
        """A message that is not read closes nothing and opens nothing."""

    def end(self, episode: Episode) -> None:
        del self._asked[:-3]

    def topic(self) -> str | None:
        """Whom a verb without a subject is about: the one named in this message, else in the open question."""
        for mention in reversed(self._talk.mentions):
            if mention.at == self._talk.at and not self._talk.is_speaker(mention.name):
                return mention.name
        for asked in reversed(self._asked):
            if (
                asked.speaker != self._talk.speaker
                and asked.want
                and asked.want.subject != self._talk.speaker
            ):
                return asked.want.subject
        return None

    def ask(self, episode: Episode, sentence: Sentence, claims: list[Proposal]) -> None:
        want = wanted(sentence, self._talk) or self._guessed_age(episode, sentence)
        if match := _WHO.search(sentence.text):
            name = take_name(match["name"], sentence.is_cased, most=2)
            if name and not self._talk.is_speaker(self._talk.person(name)):
                self._talk.focus = Mention(self._talk.person(name), self._talk.at)
        self._presumed(episode, sentence)
        if want or claims:
            self._asked.append(_Asked(self._talk.at, episode.speaker, want, tuple(claims)))

    def _guessed_age(self, episode: Episode, sentence: Sentence) -> Wanted | None:
        """A bare "33?": the age of whoever was greeted, else of the one a fact was last told about."""
        if not re.match(r"(?:so |only )?\d{1,2}\?$", sentence.text):
            return None
        told = next(iter(self._found.recent(self._talk.addressee or "", self._talk.at - 3)), None)
        is_greeting = "birthday" in episode.text.lower()
        subject = (
            self._talk.addressee
            if is_greeting or told is None or told.predicate != "birthday"
            else told.subject
        )
        return Wanted(subject, "age", "age") if subject else None

    def _presumed(self, episode: Episode, sentence: Sentence) -> None:
        """What a question takes for granted: "At 41?", "how's Bristol?"."""
        listener, today = self._talk.addressee, find_dates("today", episode.time)[0].day
        if listener is None:
            return
        claim = Proposal(
            listener, "", "", (self._talk.at,), episode.speaker, 0.6, "presumed", valid_from=today
        )
        if match := _AT_AGE.search(sentence.text):
            self._found.add(replace(claim, predicate="age", object=match[1]))
        if (match := _HOW_IS_PLACE.search(sentence.text)) and self._found.last(listener, "lives_in") is None:
            place = take_place(match["o"] or match["o2"], sentence.is_cased)
            if place and (self._talk.is_place(place) or match["o2"]):
                self._found.add(
                    replace(claim, predicate="lives_in", object=place, object_kind="place", confidence=0.55)
                )

    def reply(self, episode: Episode, sentence: Sentence, index: int) -> None:
        """Read a sentence as an answer, then as a correction."""
        if _MENDS.match(sentence.lower) or _is_prompted(sentence):
            self._mending = True
        if index < 2 and not (self._mending and index == 0 and not self._open(episode)):
            self._answer(episode, sentence)
        if self._mending:
            self._mend(episode, sentence)

    def _open(self, episode: Episode) -> _Asked | None:
        return next(
            (a for a in reversed(self._asked) if a.speaker != episode.speaker and a.at < self._talk.at), None
        )

    def _answer(self, episode: Episode, sentence: Sentence) -> None:
        asked = self._open(episode)
        if asked is None:
            return
        if asked.claims:
            self._confirm(asked, episode, sentence)
        if asked.want is None:
            return
        value = answer(asked.want, sentence, episode)
        weight = commitment("", sentence.text)
        if value is None or not weight:
            return
        made = self._made(asked.want, value, episode, (self._talk.at, asked.at), 0.8 * weight)
        self._found.add(made)
        self._learn(made)
        self._asked.remove(asked)

    def _made(
        self, want: Wanted, value: str, episode: Episode, at: tuple[int, ...], confidence: float
    ) -> Proposal:
        kind = {"place": "place", "organisation": "organisation", "person": "person"}.get(want.kind)
        if want.kind == "dose":
            drug = self._found.last(want.subject, "medication")
            value = f"{drug.object} {value}" if drug else value
        today = find_dates("today", episode.time)[0].day
        is_animal = want.subject in self._talk.animals
        return Proposal(
            want.subject, want.predicate, value, at, episode.speaker, confidence, "answer",
            subject_kind="thing" if is_animal else "person", object_kind=kind, valid_from=today,
        )  # fmt: skip

    def _learn(self, made: Proposal) -> None:
        if made.object_kind == "person" and (kin := lexicon().relations.get(made.predicate)):
            self._talk.learn_kin(made.subject, kin, made.object)

    def _confirm(self, asked: _Asked, episode: Episode, sentence: Sentence) -> None:
        """yes, or an echo of the value: the claim holds. no with another value: that one does."""
        words = sentence.words
        for claim in asked.claims:
            if self._replaced(claim, asked, episode, sentence):
                continue
            echo = set(re.findall(r"\w{3,}", claim.object.lower())) & words
            if _NO.match(sentence.lower) and not echo:
                continue
            is_shown = claim.predicate in ("exercise", "plays", "hobby", "habit") and _SCHEDULE.search(
                sentence.lower
            )
            if not (echo or is_shown or _YES.match(sentence.lower)):
                continue
            at = (self._talk.at, asked.at)
            self._found.add(
                replace(
                    claim,
                    at=at,
                    asserted_by=episode.speaker,
                    confidence=claim.confidence * 0.9,
                    rule=f"confirmed-{claim.rule}",
                )
            )
        if _YES.match(sentence.lower) or _NO.match(sentence.lower):
            self._asked.remove(asked)

    def _replaced(self, claim: Proposal, asked: _Asked, episode: Episode, sentence: Sentence) -> bool:
        """ "are you still vegetarian?" - "vegan actually": another value of the same kind stands in for the asked one."""
        if claim.predicate != "diet":
            return False
        for value in re.findall(
            r"\b(vegan|vegetarian|pescatarian|teetotal|gluten[- ]free|keto)\b", sentence.lower
        ):
            if value != claim.object:
                dates = find_dates(episode.text, episode.time, is_past=True)
                day = dates[0].day if dates else claim.valid_from
                at = (self._talk.at, asked.at)
                self._found.add(
                    replace(
                        claim,
                        object=value,
                        at=at,
                        asserted_by=episode.speaker,
                        valid_from=day,
                        change="update",
                        rule="replaced",
                    )
                )
                return True
        return False

    def _mend(self, episode: Episode, sentence: Sentence) -> None:
        for said in self._found.recent(episode.speaker, self._talk.at - 3):
            is_settled = said.change == "correct" or said.confidence < LEAST_CONFIDENCE
            if said is not self._mended and is_settled:
                continue
            target = said
            if self._mended is not None and (said is not self._mended or not _is_bare(sentence)):
                continue
            value = _same_kind(target, sentence, episode)
            if value is None or value.casefold() == target.object.casefold():
                continue
            mended = replace(
                target,
                object=value,
                at=(self._talk.at,),
                rule="corrected",
                change="correct",
                corrects=self._mended.corrects if self._mended is target else target.object,
                confidence=max(target.confidence, 0.75),
            )
            if target.at[0] == self._talk.at:
                self._found.withdraw(target)
            self._found.add(mended)
            self._mended = mended
            return


def _other_day(birthday: str, text: str, episode: Episode) -> str | None:
    """ "no sorry the 8th", of a birthday just given as 9 April."""
    if match := re.match(r"(?:the )?(\d{1,2})(?:st|nd|rd|th)\b(?! of)", text):
        return f"{int(match[1])} {birthday.split()[-1]}"
    days = [w for w in find_dates(text, episode.time) if w.is_day]
    return day_and_month(days[0].day.date()) if days and days[0].start <= 14 else None


def _same_kind(said: Proposal, sentence: Sentence, episode: Episode) -> str | None:
    """A value in a short sentence that can stand where the value just said stood."""
    text = _MENDS.sub("", sentence.text)
    if _is_prompted(sentence):
        text = _PROMPTED.split(text)[-1]
    text = text.strip(" ,.:-")
    if said.predicate == "birthday":
        return _other_day(said.object, text, episode)
    if said.predicate in _DATES:
        days = [w for w in find_dates(text, episode.time) if w.is_day]
        is_short = len(text.split()) <= 9 or _is_prompted(sentence)
        return days[0].iso if days and is_short and days[0].start <= 14 else None
    if said.predicate == "medication_dose":
        found = re.match(r"(?:it is |only )?(\d[\d.,]* ?(?:mg|mcg|µg|ml|units))\b", text)
        return re.sub(r"\d[\d.,]* ?\w+$", found[1], said.object) if found else None
    if said.predicate in ("age", "number_of_children"):
        found = re.match(
            rf"(?:i am |she is |he is |it is )?({NUMBER})\b(?! (?:minutes|hours|days|weeks|mg|euros|pounds))",
            text,
            re.IGNORECASE,
        )
        n = to_int(found[1]) if found else None
        return str(n) if n else None
    if said.object_kind in ("place", "person") and said.predicate not in (
        "sister",
        "brother",
        "mother",
        "father",
    ):
        return take_name(text, sentence.is_cased, most=2) if len(text.split()) <= 4 else None
    return None
