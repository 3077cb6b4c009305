from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from memory.emotions import list_tags
from memory.episodes import list_episodes
from memory.ports import Roster
from memory.reading import ANSWERED_WITHIN, LOOK_BACK, STRETCH, ReadReport, read_episodes, said_before
from memory.types import Episode, FactCandidate


class LivesReader:
    """Takes "I live in X" at its word; remembers what it was shown."""

    name = "lives"

    def __init__(self) -> None:
        self.shown: list[list[str]] = []
        self.rosters: list[Roster] = []

    def extract(self, episodes: Sequence[Episode], roster: Roster) -> list[FactCandidate]:
        self.shown.append([episode.id for episode in episodes])
        self.rosters.append(roster)
        return [
            FactCandidate(
                subject=episode.speaker,
                predicate="lives_in",
                object=episode.text.removeprefix("I live in "),
                episode_ids=(episode.id,),
                asserted_by=episode.speaker,
                confidence=0.9,
                rule="lives",
            )
            for episode in episodes
            if episode.text.startswith("I live in ")
        ]


class LengthTagger:
    """Feels joy by the length of a text."""

    name = "length"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def tag(self, texts: Sequence[str]) -> list[dict[str, float]]:
        self.batches.append(len(texts))
        return [{"joy": min(10.0, len(text) / 2), "fear": 0.0} for text in texts]


class Dying(LivesReader):
    """Stops at its second stretch, as a killed process does."""

    def extract(self, episodes: Sequence[Episode], roster: Roster) -> list[FactCandidate]:
        if self.shown:
            raise KeyboardInterrupt
        return super().extract(episodes, roster)


def read(world, extractor: LivesReader, **rest) -> ReadReport:
    return read_episodes(
        world.database,
        world.space_id,
        extractor,
        LengthTagger(),
        world.registry,
        clock=world.clock,
        **rest,
    )


def unread(world) -> int:
    return len(list_episodes(world.database, world.space_id, unread_by="lives"))


def test_reading_finds_candidates_and_emotions_and_marks_what_was_read(world) -> None:
    world.say("Ana Reis", 1, text="I live in Porto")
    assert read(world, LivesReader()) == ReadReport(n_episodes=1, n_candidates=1, n_tags=1)
    assert world.held() == ["Porto"]
    (tag,) = list_tags(world.database, world.space_id)
    assert (tag.concept, tag.intensity, tag.judge) == ("joy", 7.5, "length")
    assert unread(world) == 0


def test_reading_again_adds_nothing(world) -> None:
    world.say("Ana Reis", 1, text="I live in Porto")
    read(world, LivesReader())
    assert read(world, LivesReader()) == ReadReport(0, 0, 0)


def test_new_messages_are_read_with_the_ones_before_as_context(world) -> None:
    old = [world.say("Ana Reis", 1, text="I live in Porto") for _ in range(LOOK_BACK + 3)]
    read(world, LivesReader())
    new = world.say("Ana Reis", 2, text="indeed")
    extractor = LivesReader()
    assert read(world, extractor).n_candidates == 0
    assert extractor.shown == [[*old[-LOOK_BACK:], new]]


def test_conversations_are_read_apart_with_their_own_speakers(world) -> None:
    world.say("Ana Reis", 1, to="Ben Ode")
    world.say("Ana Reis", 1, to="Cleo Ray")
    extractor = LivesReader()
    read(world, extractor)
    assert [len(shown) for shown in extractor.shown] == [1, 1]
    assert {frozenset(roster.speakers) for roster in extractor.rosters} == {
        frozenset({"Ana Reis", "Ben Ode"}),
        frozenset({"Ana Reis", "Cleo Ray"}),
    }


def test_what_a_model_wrote_is_not_read(world) -> None:
    world.say("Ana Reis", 1, text="I live in Porto", origin="simulated")
    extractor = LivesReader()
    read(world, extractor)
    assert extractor.shown == []


@pytest.mark.parametrize("database", ["memory"], indirect=True)
def test_a_reading_cut_short_goes_on_where_it_stopped(world) -> None:
    for _ in range(STRETCH + 5):
        world.say("Ana Reis", 1)
    with pytest.raises(KeyboardInterrupt):
        read(world, Dying())
    assert unread(world) == 5
    steps: list[tuple[int, int]] = []
    read(world, LivesReader(), progress=lambda done, total, note="": steps.append((done, total)))
    assert steps == [(0, 5), (5, 5)]


class ContextReader(LengthTagger):
    """Feels what was said before."""

    def tag_after(self, texts: Sequence[str], before: Sequence[str]) -> list[dict[str, float]]:
        return [{said: 5.0} if said else {} for said in before]


def test_a_tagger_is_told_what_somebody_else_said_before(world) -> None:
    for speaker, text in (
        ("Ana Reis", "one"),
        ("Ana Reis", "two"),
        ("Ben Ode", "three"),
        ("Ana Reis", "four"),
    ):
        world.say(speaker, 1, to="Ben Ode" if speaker == "Ana Reis" else "Ana Reis", text=text)
    read_episodes(
        world.database, world.space_id, LivesReader(), ContextReader(), world.registry, clock=world.clock
    )
    texts = {episode.id: episode.text for episode in list_episodes(world.database, world.space_id)}
    found = {texts[tag.episode_id]: tag.concept for tag in list_tags(world.database, world.space_id)}
    assert found == {"three": "two", "four": "three"}


def test_what_was_said_long_ago_or_by_oneself_is_not_answered() -> None:
    start = datetime(2025, 3, 1, tzinfo=UTC)
    late = start + ANSWERED_WITHIN + timedelta(seconds=1)
    messages = [("a", start, "1"), ("b", start, "2"), ("b", start, "3"), ("c", start, "4"), ("a", late, "5")]
    assert said_before(messages) == ["", "1", "1", "3", ""]
