"""`SpanReader`: facts in what people say sideways, by the trained span head. It finds what no rule has words for.

The head says where in a message the object of a fact stands and which word it is about; whom that word means is read
by the discourse of the rules, and what the object is worth by `span_values.py`. A message without content is not read at all.
A message is only ever data. Confidence is the probability of the span, lowered: a net is never as sure as a rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from agents.extractors.clauses import clauses, note_lowercase
from agents.extractors.discourse import Discourse, relation
from agents.extractors.guards import commitment, is_untrusted
from agents.extractors.lexicon import lexicon
from agents.extractors.names import learn_names, learn_places
from agents.extractors.proposal import Proposal, Proposals
from agents.extractors.relations import kinships
from agents.extractors.rules import beginning
from agents.extractors.sentences import Sentence, split
from agents.extractors.span_values import ANIMALS, PEOPLE, value_of
from agents.span_head import ME, YOU, Span, SpanHead, Turn
from memory.ports import Reading, Roster
from memory.types import Episode, FactCandidate

LEAST = 0.7  # probability of a span times that of its subject, to be kept
DISCOUNT = 0.8
GAP = timedelta(hours=20)  # after which a message answers nothing
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_CONTENT = re.compile(r"\w")
_PRONOUN = re.compile(r"(?:he|she|they|him|her|his|hers|their|them|it|its)(?=\W|$|s\b|'|’)", re.IGNORECASE)
_SELF = re.compile(r"(?:i|im|ive|my|me|we|our|us|mine)(?=\W|$)", re.IGNORECASE)
_OTHER = re.compile(r"(?:you|your|u|ur|youre)(?=\W|$)", re.IGNORECASE)
_NOMINATIVE = {
    "him": "he",
    "his": "he",
    "her": "she",
    "hers": "she",
    "their": "they",
    "them": "they",
    "its": "it",
}
_POSSESSIVE = re.compile(
    r"(?P<poss>\b(?:my|your|his|her|our|their|[^\W\d_][\w-]+['’]s))\s+(?:[a-z]+ )?$", re.IGNORECASE
)
_KIN = (PEOPLE | ANIMALS) - {"relation"}


@dataclass(frozen=True, slots=True)
class _Found:
    """A span, the message it stands in, and the one before."""

    span: Span
    episode: Episode
    before: str


class SpanReader:
    """Implements `memory.ports.PatientExtractor`. Keeps nothing between calls, so a stretch read twice gives the same."""

    def __init__(self, head: SpanHead, *, least: float = LEAST) -> None:
        self.name = head.name
        self._head = head
        self._least = least

    def extract(self, episodes: Sequence[Episode], roster: Roster) -> list[FactCandidate]:
        """Candidates in the order their words were said. Episodes must come in the order of the conversation."""
        spans = self._marked(episodes)
        names = learn_names(episodes, roster)
        talk, found = Discourse(roster, places=learn_places(episodes, names)), Proposals()
        for at, episode in enumerate(episodes):
            talk.begin(at, episode)
            if episode.kind != "text" or is_untrusted(episode.text):
                continue
            sentences = split(episode.text, names)
            _listen(sentences, talk)
            before = episodes[at - 1].text if at else ""
            for span in spans.get(at, ()):
                for proposal in _propose(_Found(span, episode, before), sentences, names, talk):
                    found.add(proposal)
        return found.candidates(episodes, talk.described())

    def read(self, episodes: Sequence[Episode], roster: Roster) -> Reading:
        """The same; there is nothing that it cannot read."""
        return Reading(self.extract(episodes, roster))

    def _marked(self, episodes: Sequence[Episode]) -> dict[int, list[Span]]:
        """The likely spans of every message that may state something, by its place."""
        places = [at for at, episode in enumerate(episodes) if is_readable(episode)]
        read = self._head.read([_turn(episodes, at) for at in places])
        return {
            at: [span for span in spans if span.probability * span.certainty >= self._least]
            for at, spans in zip(places, read, strict=True)
        }


def is_readable(episode: Episode) -> bool:
    """Whether a message may state a fact: it has words or a number, and is no mere question."""
    text = episode.text.strip()
    if episode.kind != "text" or not _CONTENT.search(text) or is_untrusted(text):
        return False
    words = text.lower().split()
    if len(words) == 1 and text.islower() and lexicon().is_ordinary(text):
        return any(text in members for members in lexicon().classes.values()) or text.isdigit()
    return not (text.endswith("?") and len(words) < 12 and not re.search(r"[.!…\n]", text[:-1].rstrip("?!")))


def _turn(episodes: Sequence[Episode], at: int) -> Turn:
    episode = episodes[at]
    before = episodes[at - 1] if at else None
    if before is None or before.kind != "text" or episode.time - before.time > GAP:
        return Turn("", False, episode.text)
    return Turn(before.text, before.speaker == episode.speaker, episode.text)


def _listen(sentences: Sequence[Sentence], talk: Discourse) -> None:
    """Who is spoken of in a message, for those who are meant later."""
    for index, sentence in enumerate(sentences):
        talk.mark = len(talk.mentions)
        note_lowercase(sentence, talk)
        following = sentences[index + 1] if index + 1 < len(sentences) else None
        for kin in kinships(sentence, talk, following):
            talk.learn_kin(kin.owner, kin.relation, kin.name)
        for _ in clauses(sentence, talk):
            pass


def _propose(
    found: _Found, sentences: Sequence[Sentence], names: dict[str, str], talk: Discourse
) -> Iterator[Proposal]:
    span, episode = found.span, found.episode
    value = value_of(span, episode.text, episode.time, names)
    subject = _subject(found, names, talk)
    if value is None or subject is None:
        return
    said = value.text
    if span.predicate in PEOPLE:
        said = talk.person(said)
    if said == subject or _is_taken(span.predicate, subject, said, talk):
        return
    if span.predicate in _KIN and (kin := relation(span.predicate)):
        talk.learn_kin(subject, kin, said)
    sentence = _sentence(span, episode, sentences)
    if sentence is not None and (sentence.is_question or not _commits(span, episode, sentence)):
        return
    begun = beginning(episode, sentence, [], is_event=span.change != "state") if sentence else None
    predicate = span.predicate
    if predicate == "relation":
        if (word := _relation_word(episode.text[: span.start])) is None:
            return
        subject, said = said, f"{subject}'s {word}"
    is_end = span.change == "end"
    is_thing = subject in talk.things or subject in talk.animals
    yield Proposal(
        subject,
        predicate,
        said,
        (talk.at,),
        episode.speaker,
        round(span.probability * span.certainty * DISCOUNT, 3),
        "span",
        subject_kind="thing" if is_thing else "person",
        object_kind=None if predicate == "relation" else value.kind,
        valid_from=None if is_end else begun,
        valid_to=begun if is_end else None,
        change=span.change,
    )


def _relation_word(before: str) -> str | None:
    """What somebody is, in the words before their name: "my landlord Sam"."""
    words = [match[0].lower() for match in _WORD.finditer(before)][-4:]
    return next((w for w in reversed(words) if (kin := relation(w)) and kin.predicate == "relation"), None)


def _is_taken(predicate: str, subject: str, said: str, talk: Discourse) -> bool:
    """Whether the value is somebody whom the talk knows as something else."""
    if predicate not in _KIN:
        return predicate not in PEOPLE and said in talk.people
    known = {kin for (owner, kin), name in talk.kin.items() if owner == subject and name == said}
    return bool(known) and predicate not in known


def _sentence(span: Span, episode: Episode, sentences: Sequence[Sentence]) -> Sentence | None:
    """The sentence that holds the span, as far as it can still be recognised; else the first."""
    said = episode.text[span.start : span.end].lower()
    words = said.split()
    whole = [s for s in sentences if said in s.lower]
    partly = [s for s in sentences if words and words[0] in s.lower]
    return next(iter(whole or partly or sentences), None)


def _commits(span: Span, episode: Episode, sentence: Sentence) -> bool:
    """Whether the words before the span bind whoever says them, as the rules judge it."""
    said = episode.text[span.start : span.end].lower()
    at = sentence.lower.find(said)
    return commitment(sentence.text[: max(at, 0)], sentence.text) > 0


def _subject(found: _Found, names: dict[str, str], talk: Discourse) -> str | None:
    subject = found.span.subject
    if subject == ME:
        return talk.speaker
    if subject == YOU:
        return talk.addressee
    if isinstance(subject, str):
        return _last_person(talk, found.episode.text, found.span.start)
    in_before, at = subject
    text = found.before if in_before else found.episode.text
    with _as_far_as(talk, found.episode.text, -1 if in_before else at):
        return _meant(text, at, in_before, names, talk)


def _last_person(talk: Discourse, text: str, at: int) -> str | None:
    with _as_far_as(talk, text, at):
        return talk.last_person(within=4)


def _is_somebody(name: str) -> bool:
    """Not one common word, which only stood at the start of a sentence."""
    return " " in name or not lexicon().is_ordinary(name)


@contextmanager
def _as_far_as(talk: Discourse, text: str, at: int) -> Iterator[None]:
    """Those who are named behind a place of the message are not meant by a word that stands there."""
    lower, mentions = text.lower(), talk.mentions
    talk.mentions = [
        m
        for m in mentions
        if _is_somebody(m.name)
        and (m.at < talk.at or lower.find(m.name.split()[0].lower()) < max(at, 0) + (at >= 0))
    ]
    try:
        yield
    finally:
        talk.mentions = mentions


def _meant(text: str, at: int, in_before: bool, names: dict[str, str], talk: Discourse) -> str | None:
    """Whom the word at a place means. In the message before, "I" and "you" are those of whoever wrote it."""
    rest = text[at:]
    if _SELF.match(rest):
        return talk.addressee if in_before else talk.speaker
    if _OTHER.match(rest):
        return talk.speaker if in_before else talk.addressee
    if match := _PRONOUN.match(rest):
        word = match[0].lower()
        return talk.pronoun(_NOMINATIVE.get(word, word))
    match = _WORD.match(rest)
    if match is None:
        return talk.last_person(within=4)
    word = match[0].replace("’", "'").removesuffix("'s")
    if kin := relation(word):
        owner = _POSSESSIVE.search(text[:at])
        holder = talk.owner(owner["poss"].replace("’", "'")) if owner else talk.speaker
        return talk.relative(holder, kin) if holder else None
    return talk.person(_whole_name(rest, names))


def _whole_name(rest: str, names: dict[str, str]) -> str:
    """The name that begins here: further words in capitals belong to it."""
    taken: list[str] = []
    for match in _WORD.finditer(rest):
        word = match[0].replace("’", "'")
        plain = names.get(word.lower().removesuffix("'s"), word.removesuffix("'s"))
        if taken and (not word[0].isupper() or rest[: match.start()].rstrip()[-1:] in ",.!?;:"):
            break
        taken.append(plain)
        if word.endswith("'s") or len(taken) == 3:
            break
    joined = " ".join(taken)
    return joined[:1].upper() + joined[1:]
