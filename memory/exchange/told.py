"""Notes as an extractor understands them: whole sentences about what they are about.

A note of another program leaves out its subject ("Speaks fluent Spanish", "User likes tea"). Here it gets one, for
reading alone; the stored words stay. What is found is asserted by nobody, and no note is about the notebook.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from db.tables import Alias, Conversation, Evidence, Fact, Node
from memory import names
from memory.exchange.notes import NOTEBOOK, NOTES, OUTRIGHT, PERSON, begins_with
from memory.exchange.plain import plain_fact
from memory.ports import Roster
from memory.registry import Registry
from memory.types import Episode, FactCandidate


def _set(spaced: str) -> frozenset[str]:
    return frozenset(spaced.split())


_VERBS = _set(
    "is was has had can could will would does did cannot went met bought grew ran wrote taught got became began left "
    "took made built sold lost found gave knew won spoke kept read"
)
_STATES = _set(
    "allergic married engaged divorced widowed retired vegetarian vegan single interested afraid scared based "
    "pregnant fluent proud responsible passionate"
)
_USER = re.compile(r"(?:the\s+)?user(?=['’]s\b|\b)", re.IGNORECASE)
_FIRST_PERSON = re.compile(r"(?:i|i['’]m|i['’]ve|i['’]d|my|we|our)\b", re.IGNORECASE)
STAND_IN = "Zandor Quill"  # for names that do not look like one
_CAPITAL = r"[A-ZÀ-ÖØ-Þ][\w]*"
_PLAIN = re.compile(rf"{_CAPITAL}(?:[ .'’-]+{_CAPITAL})*")
_ABOUT = re.compile(r".*? notes on (.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Told:
    """One conversation's notes with their subject."""

    about: str
    kind: str
    speaker: str  # under whom the notes are read
    episodes: tuple[Episode, ...]

    def roster(self, known: Roster) -> Roster:
        """Who may be meant: a person whom the notes are about speaks where they say "I"."""
        return replace(known, speakers=(self.speaker,)) if self.kind == PERSON else known

    def settle(self, candidates: Iterable[FactCandidate], registry: Registry) -> list[FactCandidate]:
        """The candidates as nobody's assertion, about the thing under its own kind; none about the notebook.

        A note in which the extractor found nothing is taken at its word, where it states one thing outright.
        """
        settled = [self._settled(candidate) for candidate in candidates]
        found = [candidate for candidate in settled if candidate is not None]
        read = {episode_id for candidate in found for episode_id in candidate.episode_ids}
        return found + [
            candidate for candidate in self._plain(registry) if read.isdisjoint(candidate.episode_ids)
        ]

    def _plain(self, registry: Registry) -> Iterator[FactCandidate]:
        for episode in self.episodes if self.kind == PERSON else ():
            stand_in = episode.text.replace(STAND_IN, self.about)
            candidate = plain_fact(self.about, self.kind, stand_in, episode, registry)
            if candidate is not None:
                yield candidate

    def _settled(self, candidate: FactCandidate) -> FactCandidate | None:
        subject = candidate.subject.replace(STAND_IN, self.about)
        if names.key(subject) == names.key(NOTES):
            return None
        said = replace(
            candidate,
            asserted_by="",
            subject=subject,
            object=candidate.object.replace(STAND_IN, self.about),
            corrects=candidate.corrects and candidate.corrects.replace(STAND_IN, self.about),
        )
        if self.about and names.key(subject) == names.key(self.about):
            return replace(said, subject=self.about, subject_kind=self.kind)
        return said


def told(database: Database, space_id: str, episodes: Sequence[Episode]) -> Told | None:
    """The episodes of one conversation as whole sentences; None where they are no notes.

    Notes that were relations or types are left out: what they say is a fact already.
    """
    if not episodes or episodes[-1].speaker != NOTES:
        return None
    with database.reading() as session:
        if session.get_one(Node, episodes[-1].speaker_id).kind != NOTEBOOK:
            return None
        conversation = session.get_one(Conversation, episodes[-1].conversation_id)
        about = about_of(conversation.name)
        wanted = names.key(about)
        kinds = session.scalars(
            select(Node.kind)
            .outerjoin(Alias, Alias.node_id == Node.id)
            .where(Node.space_id == space_id, (Node.name_key == wanted) | (Alias.name_key == wanted))
            .order_by(Node.kind != PERSON, Node.created_at)
        ).all()
        outright = set(
            session.scalars(
                select(Evidence.episode_id)
                .join(Fact, Fact.id == Evidence.fact_id)
                .where(Evidence.episode_id.in_([episode.id for episode in episodes]), Fact.rule.in_(OUTRIGHT))
            )
        )
    kind = kinds[0] if kinds else "thing"
    called = about if _PLAIN.fullmatch(about) else STAND_IN
    speaker = called if kind == PERSON else NOTES
    sentences = tuple(
        replace(episode, speaker=speaker, text=_called(about, called, stated(about, episode.text)))
        for episode in episodes
        if episode.id not in outright
    )
    return Told(about, kind, speaker, sentences)


def _called(about: str, called: str, note: str) -> str:
    """The sentence, with a name in it that reads as one: "alex_91" and "“Bo”" would be taken for no names."""
    said = sentence(about, note)
    return said if called == about else said.replace(about, called)


def notebook_ids(session: Session, space_id: str) -> Sequence[str]:
    """The nodes under which notes stand."""
    return session.scalars(select(Node.id).where(Node.space_id == space_id, Node.kind == NOTEBOOK)).all()


def noted_nodes(
    session: Session, space_id: str, node_ids: Collection[str], without: Collection[str] = ()
) -> set[str]:
    """Those of the nodes that notes are about, conversations `without` left aside."""
    notebooks = notebook_ids(session, space_id)
    if not notebooks or not node_ids:
        return set()
    rows = session.execute(
        select(Conversation.id, Conversation.name)
        .where(
            Conversation.id.in_(
                select(tables.Episode.conversation_id).where(tables.Episode.speaker_id.in_(notebooks))
            )
        )
        .where(Conversation.space_id == space_id)
    )
    about = {names.key(about_of(row.name)) for row in rows if row.id not in without}
    called = session.execute(
        select(Node.id, Node.name_key, Alias.name_key)
        .outerjoin(Alias, Alias.node_id == Node.id)
        .where(Node.space_id == space_id)
    )
    return {node_id for node_id, *keys in called if node_id in node_ids and not about.isdisjoint(keys)}


def about_of(conversation: str) -> str:
    """The name of what a conversation of notes is about; "" where it is about nothing in particular."""
    match = _ABOUT.fullmatch(conversation)
    return match[1] if match else ""


def stated(about: str, text: str) -> str:
    """The note as the other program had it, without the name that leads it in the store."""
    return text.removeprefix(f"{about}: ") if about else text


def sentence(about: str, note: str) -> str:
    """The note with a subject where it has none: "Speaks Spanish" becomes "Ada Lund speaks Spanish."."""
    said = note.strip()
    if not about or _FIRST_PERSON.match(said) or begins_with(said, about):
        return said
    if match := _USER.match(said):
        return about + said[match.end() :]
    first, _, rest = said.partition(" ")
    word = first.casefold()
    if re.match(r"\d+ years? old\b", said):
        return f"{about} is {said}"
    if word == "born":
        return f"{about} was born {rest}"
    if word.strip(",.") in _STATES:
        return f"{about} is {word} {rest}".strip()
    if word in _VERBS or re.fullmatch(r"[a-z]{2,}(?:[^s]s|ed)", word):
        return f"{about} {word} {rest}".strip()
    return said
