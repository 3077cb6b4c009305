"""Let an extractor and an emotion tagger read what they have not read yet.

Each conversation is read in time order, in stretches; before a stretch come a few messages as context, from which
alone nothing is taken. What was found in a stretch and the mark that it was read are one transaction, so that a
reading that was cut short goes on where it stopped. Messages that the extractor could not read stay unread and are
marked with the reason (`memory.pending`). The models run outside of any transaction; what another process has read
while they ran is not taken twice.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from db.engine import Database
from memory import pending
from memory.candidates import add_candidates
from memory.descriptions import name_the_described
from memory.emotions import add_tags, forget_tags
from memory.episodes import list_episodes, mark_read, still_unread
from memory.exchange.told import told
from memory.facts import sentence_of
from memory.people import roster
from memory.ports import (
    Clock,
    ContextTagger,
    EmotionTagger,
    Extractor,
    PatientExtractor,
    Reading,
    Roster,
    Withhold,
    utc_now,
)
from memory.registry import Registry
from memory.types import EmotionTag, Episode

if TYPE_CHECKING:
    from memory.search.ahead import Prepare

_log = logging.getLogger(__name__)

STRETCH = 200  # new episodes per transaction
LOOK_BACK = 6  # earlier episodes shown as context
ANSWERED_WITHIN = timedelta(hours=6)  # what was said longer ago is not answered any more


class Progress(Protocol):
    """`done` of `total` episodes."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class ReadReport:
    """`n_episodes` were read; `n_pending` could not be, and wait."""

    n_episodes: int
    n_candidates: int
    n_tags: int
    n_pending: int = 0

    def __add__(self, other: ReadReport) -> ReadReport:
        return ReadReport(
            self.n_episodes + other.n_episodes,
            self.n_candidates + other.n_candidates,
            self.n_tags + other.n_tags,
            self.n_pending + other.n_pending,
        )


def read_episodes(
    database: Database,
    space_id: str,
    extractor: Extractor,
    tagger: EmotionTagger,
    registry: Registry,
    *,
    withhold: Withhold | None = None,
    prepare: Prepare | None = None,
    clock: Clock = utc_now,
    progress: Progress | None = None,
) -> ReadReport:
    """Read every observed text that this extractor has not read. Reading twice adds nothing. `prepare` makes the vectors
    of what is found.

    What `withhold` names counts as read, is shown to nobody and keeps no tags of its author's.
    """
    reader = _Reader(database, space_id, extractor, tagger, registry, withhold, prepare, clock)
    unread = list_episodes(database, space_id, unread_by=extractor.name)
    new_ids: dict[str, set[str]] = defaultdict(set)
    for episode in unread:
        new_ids[episode.conversation_id].add(episode.id)
    report = ReadReport(0, 0, 0)
    if progress is not None:
        progress(0, len(unread))
    for conversation_id, new in new_ids.items():
        history = list_episodes(database, space_id, conversation_id=conversation_id)
        for context, stretch in _stretches(history, new):
            report += reader.read(context, stretch)
            if progress is not None:
                done = report.n_episodes + report.n_pending
                progress(done, len(unread), f"{report.n_pending} wait" if report.n_pending else "")
    _log.info(
        "%d episodes read, %d candidates, %d wait", report.n_episodes, report.n_candidates, report.n_pending
    )
    return report


def _stretches(
    history: Sequence[Episode], new_ids: set[str]
) -> Iterator[tuple[list[Episode], list[Episode]]]:
    """(context, new episodes) in time order; a stretch ends where an episode that was read before stands between."""
    start = 0
    while start < len(history):
        if history[start].id not in new_ids:
            start += 1
            continue
        end = start
        while end < len(history) and end - start < STRETCH and history[end].id in new_ids:
            end += 1
        yield list(history[max(0, start - LOOK_BACK) : start]), list(history[start:end])
        start = end


@dataclass(frozen=True, slots=True)
class _Reader:
    database: Database
    space_id: str
    extractor: Extractor
    tagger: EmotionTagger
    registry: Registry
    withhold: Withhold | None
    prepare: Prepare | None
    clock: Clock

    def read(self, context: Sequence[Episode], stretch: Sequence[Episode]) -> ReadReport:
        """Models first, then everything they found and the marks in one transaction."""
        withheld = self.withhold([*context, *stretch]) if self.withhold else ()
        shown = [episode for episode in stretch if episode.id not in withheld]
        before = [episode for episode in context if episode.id not in withheld]
        found = self._extract(before, shown) if shown else Reading([])
        tags = list(_tags(self.tagger, before, shown))
        said = [sentence_of(one.subject, one.predicate, one.object) for one in found.candidates]
        ahead = self.prepare(said) if self.prepare else None
        with self.database.transaction() as session:
            unread = still_unread(session, [episode.id for episode in stretch], self.extractor.name)
            candidates = [item for item in found.candidates if not unread.isdisjoint(item.episode_ids)]
            waiting = {item: reason for item, reason in found.unread.items() if item in unread}
            tags = [tag for tag in tags if tag.episode_id in unread]
            fact_ids = add_candidates(session, self.space_id, candidates, self.registry, clock=self.clock)
            name_the_described(session, self.space_id, fact_ids, self.registry, clock=self.clock)
            if ahead is not None:
                ahead.keep(session, facts=fact_ids)
            add_tags(session, self.space_id, tags)
            forget_tags(session, self.space_id, sorted(unread.intersection(withheld)))
            read = sorted(unread - waiting.keys())
            mark_read(session, read, self.extractor.name)
            pending.clear(session, read)
            pending.mark(session, self.space_id, waiting, self.clock())
        return ReadReport(len(stretch) - len(waiting), len(fact_ids), len(tags), len(waiting))

    def _extract(self, context: Sequence[Episode], stretch: Sequence[Episode]) -> Reading:
        """What rests on at least one new episode; evidence outside of what was shown is dropped."""
        known = roster(self.database, self.space_id, stretch[0].conversation_id)
        new_ids = {episode.id for episode in stretch}
        shown = new_ids | {episode.id for episode in context}
        notes = told(self.database, self.space_id, [*context, *stretch])
        if notes is None:
            made = self._ask([*context, *stretch], known)
            found = made.candidates
        else:
            made = self._ask(notes.episodes, notes.roster(known))
            found = notes.settle(made.candidates, self.registry)
        candidates = [
            replace(candidate, episode_ids=tuple(item for item in candidate.episode_ids if item in shown))
            for candidate in found
            if not new_ids.isdisjoint(candidate.episode_ids)
        ]
        return Reading(candidates, {item: why for item, why in made.unread.items() if item in new_ids})

    def _ask(self, episodes: Sequence[Episode], known: Roster) -> Reading:
        if isinstance(self.extractor, PatientExtractor):
            return self.extractor.read(episodes, known)
        return Reading(self.extractor.extract(episodes, known))


def _tags(
    tagger: EmotionTagger, context: Sequence[Episode], episodes: Sequence[Episode]
) -> Iterator[EmotionTag]:
    said = [*context, *episodes]
    before = said_before([(episode.speaker, episode.time, episode.text) for episode in said])[len(context) :]
    texts = [episode.text for episode in episodes]
    felt = tagger.tag_after(texts, before) if isinstance(tagger, ContextTagger) else tagger.tag(texts)
    for episode, tags in zip(episodes, felt, strict=True):
        for concept, intensity in tags.items():
            if intensity > 0:
                yield EmotionTag(episode.id, concept, min(10.0, float(intensity)), tagger.name)


def said_before(messages: Sequence[tuple[str, datetime, str]]) -> list[str]:
    """For each message, (speaker, time, text) in time order, what somebody else said last before it, if that is no
    longer ago than ANSWERED_WITHIN; else the empty text."""
    found = []
    last: tuple[str, datetime, str] | None = None
    last_other: tuple[str, datetime, str] | None = None  # the last by somebody else than who said the last
    for message in messages:
        speaker, time, _ = message
        answered = last_other if last is None or last[0] == speaker else last
        is_fresh = answered is not None and time - answered[1] <= ANSWERED_WITHIN
        found.append(answered[2] if answered is not None and is_fresh else "")
        if last is not None and last[0] != speaker:
            last_other = last
        last = message
    return found
