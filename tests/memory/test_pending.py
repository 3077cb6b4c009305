from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from db import tables
from memory import pending
from memory.episodes import list_episodes
from memory.erasure import Target, erase
from memory.pending import Waiting, list_waiting
from memory.ports import Reading, Roster
from memory.reading import ReadReport, read_episodes
from memory.types import Episode, FactCandidate


class Forgetful:
    """Reads "I live in X"; cannot read messages with a word of `unreadable` in them."""

    name = "forgetful"

    def __init__(self, **unreadable: str) -> None:
        self.unreadable = unreadable

    def read(self, episodes: Sequence[Episode], roster: Roster) -> Reading:
        unread = {
            episode.id: reason
            for episode in episodes
            for word, reason in self.unreadable.items()
            if word in episode.text
        }
        found = [
            FactCandidate(
                episode.speaker,
                "lives_in",
                episode.text.split()[-1],
                (episode.id,),
                episode.speaker,
                0.9,
                "test",
            )
            for episode in episodes
            if episode.text.startswith("I live in ") and episode.id not in unread
        ]
        return Reading(found, unread)

    def extract(self, episodes: Sequence[Episode], roster: Roster) -> list[FactCandidate]:
        return self.read(episodes, roster).candidates


class Calm:
    name = "calm"

    def tag(self, texts: Sequence[str]) -> list[dict[str, float]]:
        return [{"joy": 1.0} for _ in texts]


def read(world, **unreadable: str) -> ReadReport:
    return read_episodes(
        world.database, world.space_id, Forgetful(**unreadable), Calm(), world.registry, clock=world.clock
    )


def waiting(world) -> list[Waiting]:
    return list_waiting(world.database, world.space_id, "forgetful")


def say_three(world) -> None:
    for day, text in enumerate(("I live in Porto", "dark words", "odd words"), 1):
        world.say("Ana Reis", day, text=text)


def test_what_was_read_is_kept_and_the_rest_waits_with_its_reason(world) -> None:
    say_three(world)
    assert read(world, dark="away", odd="nonsense") == ReadReport(1, 1, 3, n_pending=2)
    assert world.held() == ["Porto"]
    assert waiting(world) == [
        Waiting("message", "away", 1, world.now),
        Waiting("message", "nonsense", 1, world.now),
    ]


def test_what_waits_is_read_by_the_next_reading_and_waits_no_longer(world) -> None:
    say_three(world)
    read(world, dark="away", odd="nonsense")
    assert read(world) == ReadReport(2, 0, 2)
    assert waiting(world) == []
    assert list_episodes(world.database, world.space_id, unread_by="forgetful") == []


def test_who_waits_on_waits_since_the_first_time_for_the_newest_reason(world) -> None:
    say_three(world)
    began = world.now
    read(world, dark="away")
    world.now += timedelta(hours=1)
    read(world, dark="budget")
    assert waiting(world) == [Waiting("message", "budget", 1, began)]


def test_messages_that_nobody_was_asked_about_are_listed_too(world) -> None:
    say_three(world)
    assert waiting(world) == [Waiting("message", "not_asked", 3, None)]


def test_facts_without_a_verdict_wait_for_the_next_night(world) -> None:
    fact_id = world.claim("Porto", 1)
    judged = world.claim("Faro", 2)
    with world.database.transaction() as session:
        for name, label in ((fact_id, None), (judged, "supported")):
            session.get_one(tables.Fact, name).check_result = {
                "support": {"label": label, "reason": "r", "confidence": 0.0},
                "impossible": None,
                "n_evidence": 1,
            }
    assert Waiting("judgement", "no_verdict", 1, world.now) in waiting(world)


def test_a_reason_that_is_none_is_refused(world) -> None:
    message = world.say("Ana Reis", 1)
    with pytest.raises(ValueError, match="away"), world.database.transaction() as session:
        pending.mark(session, world.space_id, {message: "bored"}, world.now)


def test_erasing_a_message_takes_its_mark_with_it(world, tmp_path: Path) -> None:
    say_three(world)
    read(world, dark="away", odd="away")
    (message, _) = list_episodes(world.database, world.space_id, unread_by="forgetful")
    erase(world.database, world.space_id, tmp_path, Target("episode", message.id), world.registry)
    assert [item.n for item in waiting(world)] == [1]
    with world.database.reading() as session:
        assert session.query(tables.Pending).count() == 1
