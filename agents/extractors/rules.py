"""`RuleExtractor`: facts from informal English chat by rules, with no model. Deterministic; evidence is exact.

It reads one stretch of one conversation in order and keeps a small picture of who is meant. A message is only
ever data: hostile pastes, quotations, questions and jokes that show themselves yield nothing. What it cannot read
it leaves out; precision goes before recall.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from agents.extractors.clauses import Clause, clauses, note_lowercase
from agents.extractors.dates import When, find_dates
from agents.extractors.dialogue import Dialogue
from agents.extractors.discourse import Discourse
from agents.extractors.events import events, note_topics
from agents.extractors.guards import commitment, is_untrusted
from agents.extractors.names import learn_names, learn_places, take_organisation
from agents.extractors.patterns import VerbPattern, verb_patterns
from agents.extractors.proposal import LEAST_CONFIDENCE, Proposal, Proposals
from agents.extractors.relations import Kinship, echoes, kinships
from agents.extractors.sentences import Sentence, as_statement, split
from agents.extractors.values import read_value
from memory.ports import Roster
from memory.types import Episode, FactCandidate


class RuleExtractor:
    """Implements `memory.ports.Extractor`. Keeps nothing between calls, so a stretch read twice gives the same."""

    name = "rules-1"

    def extract(self, episodes: Sequence[Episode], roster: Roster) -> list[FactCandidate]:
        """Candidates in the order their words were said. Episodes must come in the order of the conversation."""
        names = learn_names(episodes, roster)
        talk, found = Discourse(roster, places=learn_places(episodes, names)), Proposals()
        dialogue = Dialogue(talk, found)
        for at, episode in enumerate(episodes):
            talk.begin(at, episode)
            if episode.kind != "text" or is_untrusted(episode.text):
                dialogue.skip()
                continue
            note_topics(episode, talk)
            sentences = split(episode.text, names)
            _read(episode, sentences, talk, found, dialogue)
        return [c for c in found.candidates(episodes, talk.described()) if c.confidence >= LEAST_CONFIDENCE]


def _read(
    episode: Episode, sentences: list[Sentence], talk: Discourse, found: Proposals, dialogue: Dialogue
) -> None:
    dialogue.begin(episode, sentences)
    for index, sentence in enumerate(sentences):
        following = sentences[index + 1] if index + 1 < len(sentences) else None
        talk.mark = len(talk.mentions)
        note_lowercase(sentence, talk)
        for kin in (*kinships(sentence, talk, following), *echoes(sentence, talk)):
            weight = commitment(sentence.text[: kin.at], "")
            talk.learn_kin(kin.owner, kin.relation, kin.name)
            if weight:
                found.add(
                    kinship(episode, sentence, kin_confidence=kin.confidence * weight, kin=kin, talk=talk)
                )
        if sentence.is_question:
            plain = as_statement(sentence)
            dialogue.ask(episode, sentence, _statements(episode, plain, talk, as_question=True))
            continue
        dialogue.reply(episode, sentence, index)
        topic = dialogue.topic()
        for proposal in (
            *_statements(episode, sentence, talk, topic=topic),
            *events(episode, sentences, index, talk),
        ):
            found.add(proposal)
            if proposal.predicate == "medication":
                talk.kin["", "medicated"] = proposal.subject
    found.settle_start(talk.at)
    dialogue.end(episode)


def kinship(
    episode: Episode, sentence: Sentence, *, kin_confidence: float, kin: Kinship, talk: Discourse
) -> Proposal:
    relation = kin.relation
    is_person = not (relation.is_animal or relation.is_thing)
    base = Proposal(
        kin.owner,
        relation.predicate,
        kin.name,
        (talk.at,),
        episode.speaker,
        kin_confidence,
        kin.rule,
        object_kind="person" if is_person else "thing",
        valid_from=beginning(episode, sentence, [], is_event=kin.is_new, is_past=True),
        change="update" if kin.is_new and relation.predicate in ("boss", "partner", "roommate") else "state",
    )
    if relation.predicate != "relation":
        return base
    return replace(base, subject=kin.name, object=f"{kin.owner}'s {relation.word}", object_kind=None)


def _statements(
    episode: Episode,
    sentence: Sentence,
    talk: Discourse,
    *,
    topic: str | None = None,
    as_question: bool = False,
) -> list[Proposal]:
    proposals: list[Proposal] = []
    for clause in clauses(sentence, talk, topic):
        weight = commitment(clause.before, "" if as_question else sentence.text)
        if not weight:
            continue
        for pattern in verb_patterns():
            match = pattern.say.match(clause.verb)
            if match is None or (pattern.needs and not pattern.needs.search(sentence.text)):
                continue
            if clause.is_elided and not pattern.elided:
                continue
            if pattern.adverb and pattern.adverb not in clause.adverbs:
                continue
            if _AS_GOOD_AS.search(clause.adverbs) or (clause.is_second and _THE_ROLE.match(clause.verb)):
                continue
            made = _propose(episode, sentence, clause, pattern, match, talk)
            if made:
                proposals += [replace(p, confidence=p.confidence * weight) for p in made]
                break
    return proposals


def _propose(
    episode: Episode,
    sentence: Sentence,
    clause: Clause,
    pattern: VerbPattern,
    match: re.Match[str],
    talk: Discourse,
) -> list[Proposal]:
    tail = clause.verb[match.end() :] if pattern.kind in ("date", "month_day") else clause.verb
    is_past = pattern.past or (
        pattern.event and bool(_PAST_VERB.search(match[0])) and "will " not in clause.verb[:20]
    )
    dates = find_dates(tail, episode.time, is_past=is_past)
    if pattern.kind in ("date", "month_day") and not dates:
        dates = find_dates(sentence.text, episode.time, is_past=is_past)
        dates = dates or ([_today(episode)] if pattern.past and pattern.kind == "date" else [])
    value = read_value(pattern, match, sentence.is_cased, dates)
    subject = _whose(pattern, clause, talk)
    if value is None or subject is None or (pattern.needs_date and not dates):
        return []
    if pattern.whose:
        subject = talk.pronoun(match[pattern.whose]) or subject
    confidence = pattern.confidence * (0.9 if clause.is_elided else 1.0)
    if pattern.name == "moving-to" and not _SETTLING.search(episode.text):
        confidence *= 0.6 if re.search(r"\btomorrow\b", sentence.lower) else 0.85
    begun = beginning(episode, sentence, dates, is_event=pattern.event, is_past=is_past)
    change = (
        "update"
        if pattern.change == "state" and re.search(r"\b(?:now|instead)\b", sentence.lower)
        else pattern.change
    )
    proposal = Proposal(
        subject,
        pattern.predicate,
        value.text,
        (talk.at,),
        episode.speaker,
        confidence,
        pattern.name,
        object_kind=value.object_kind,
        valid_from=begun,
        change=change,
        subject_kind="thing" if subject in talk.things or subject in talk.animals else "person",
    )
    proposals = special(proposal, pattern, talk)
    where = match.groupdict().get("w") if pattern.also else None
    organisation = take_organisation(where, sentence.is_cased) if where else None
    if proposals and pattern.also and organisation:
        also = replace(proposal, predicate=pattern.also, object=organisation, object_kind="organisation")
        proposals.append(replace(also, confidence=proposal.confidence * 0.95))
    return proposals


def _whose(pattern: VerbPattern, clause: Clause, talk: Discourse) -> str | None:
    """The subject, unless this pattern cannot be about it."""
    if clause.subject.startswith("the ") and not pattern.whose:
        return None
    if pattern.of_others and (
        talk.is_speaker(clause.subject) or not talk.is_personal(clause.subject) or _WHEN.search(clause.before)
    ):
        return None
    if pattern.predicate in ("opening_date", "closing_date", "launched_on") and talk.is_speaker(
        clause.subject
    ):
        return None
    if (
        pattern.kind == "age"
        and clause.is_elided
        and not re.match(r"just|turned", clause.verb, re.IGNORECASE)
    ):
        return talk.last_person(within=3, is_before=True)
    return clause.subject


_WHEN = re.compile(r"\b(?:when|until|till|before|since|while)\b", re.IGNORECASE)
_THE_ROLE = re.compile(r"(?:are|is|were|was) the \w+$", re.IGNORECASE)  # "you're the doctor": a part to play
_AS_GOOD_AS = re.compile(r"\b(?:basically|practically|virtually|kind of|sort of|secretly)\b")
_SETTLING = re.compile(
    r"\b(?:flat|room|house|place|apartment|job|keys|lease|van|boxes|packing|packed|removal)\b", re.IGNORECASE
)
_PAST_VERB = re.compile(
    r"\b(?:\w{2,}ed|left|began|got|had|was|were|died|broke|came|met|lost|sold|bought|went)\b", re.IGNORECASE
)


def special(proposal: Proposal, pattern: VerbPattern, talk: Discourse) -> list[Proposal]:
    """Patterns whose value or owner is not in the words: a proposal of marriage is to whoever tells of it."""
    if pattern.kind == "to_speaker":
        if proposal.subject == talk.speaker:
            return []
        return [replace(proposal, subject=talk.speaker, object=proposal.subject, object_kind="person")]
    if pattern.kind == "ends_partner":
        name = proposal.subject
        if talk.is_speaker(name) or talk.kin.get((talk.speaker, "partner")) != name:
            return []
        ended = replace(proposal, subject=talk.speaker, object=name, object_kind="person")
        return [replace(ended, valid_from=None, valid_to=proposal.valid_from)]
    if pattern.change == "end":
        return [replace(proposal, valid_from=None, valid_to=proposal.valid_from)] if proposal.object else []
    return [proposal] if proposal.object else []


def beginning(
    episode: Episode, sentence: Sentence, dates: list[When], *, is_event: bool, is_past: bool = False
) -> datetime:
    """Since when: the day an event is given, what "since" or "for nine years" says, else the day it was told."""
    nearby = dates or find_dates(sentence.text, episode.time, is_past=is_past)
    for when in nearby:
        if when.is_since or (is_event and when.precision != "duration"):
            return when.day
        if when.precision == "duration" and not is_event:
            return when.day
    return day_of(episode)


def day_of(episode: Episode) -> datetime:
    """Midnight UTC of the day a message was sent, in the zone of its time."""
    return datetime(episode.time.year, episode.time.month, episode.time.day, tzinfo=UTC)


def _today(episode: Episode) -> When:
    return When(0, 0, day_of(episode), "day")
