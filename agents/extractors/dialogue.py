"""Facts that two messages make together: answers to questions, confirmations, corrections of what was just said."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from agents.extractors.dates import find_dates
from agents.extractors.discourse import Discourse
from agents.extractors.guards import commitment
from agents.extractors.lexicon import lexicon
from agents.extractors.names import take_name
from agents.extractors.numbers import NUMBER, to_int
from agents.extractors.proposal import Proposal, Proposals
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
        want = wanted(sentence, self._talk)
        if want or claims:
            self._asked.append(_Asked(self._talk.at, episode.speaker, want, tuple(claims)))

    def reply(self, episode: Episode, sentence: Sentence, index: int) -> None:
        """Read a sentence as an answer, then as a correction."""
        if _MENDS.match(sentence.lower):
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
        words = set(re.findall(r"\w+", sentence.lower))
        for claim in asked.claims:
            echo = set(re.findall(r"\w{3,}", claim.object.lower())) & words
            if _NO.match(sentence.lower) and not echo:
                continue
            if not (echo or _YES.match(sentence.lower)):
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

    def _mend(self, episode: Episode, sentence: Sentence) -> None:
        for said in self._found.recent(episode.speaker, self._talk.at - 3):
            if said is not self._mended and (said.change == "correct" or said.confidence <= 0):
                continue
            target = said
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


def _same_kind(said: Proposal, sentence: Sentence, episode: Episode) -> str | None:
    """A value in a short sentence that can stand where the value just said stood."""
    text = re.sub(_MENDS, "", sentence.text).strip(" ,.:-")
    if not text or len(text.split()) > 9:
        return None
    if said.predicate in _DATES:
        days = [w for w in find_dates(text, episode.time) if w.is_day]
        return days[0].iso if days and days[0].start <= 14 else None
    if said.predicate == "medication_dose":
        found = re.match(r"(?:it is |only )?(\d[\d.,]* ?(?:mg|mcg|µg|ml|units))\b", text)
        return re.sub(r"\d[\d.,]* ?\w+$", found[1], said.object) if found else None
    if said.predicate in ("age", "number_of_children"):
        found = re.match(rf"(?:i am |she is |he is |it is )?({NUMBER})\b", text)
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
