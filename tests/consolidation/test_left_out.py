"""The setting that leaves out what is sensitive: nothing of those kinds is read, written down or trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.constitutions import HabitWriter
from agents.withholding import Withholding
from consolidation import constitution, dream
from consolidation.stage import no_progress
from memory import constitutions
from memory.episodes import append_turn
from memory.facts import decide
from memory.ports import Roster
from memory.reading import read_episodes
from memory.registry import Registry
from memory.types import Episode, FactCandidate

REGISTRY = Registry.load()


def test_facts_of_a_kind_that_is_left_out_are_not_taught(chat: Any) -> None:
    ids = chat.propose(
        ("Mona Berg", "lives_in", "Bergen", 0), ("Mona Berg", "phone_number", "+47 412 34 567", 0)
    )
    with chat.database.transaction() as session:
        for fact_id in ids:
            decide(session, chat.space_id, fact_id, "STORE", ["for a test"], REGISTRY, run_id=None)
    taught = [
        slot.predicate
        for tools in ({}, {"leave_out": frozenset({"phone"})})
        for slot in dream.read_graph(chat.context(tools={"registry": REGISTRY, **tools}))[0].tonight
    ]
    assert sorted(taught) == ["lives_in", "lives_in", "phone_number"]


def test_messages_of_a_kind_that_is_left_out_are_seen_by_no_reader(chat: Any) -> None:
    seen: list[str] = []

    class Reader:
        name = "reader"

        def extract(self, episodes: Sequence[Episode], roster: Roster) -> list[FactCandidate]:
            seen.extend(episode.text for episode in episodes)
            return []

    said(chat, "my new number is +47 412 34 567")
    withhold = Withholding(("phone",))
    tagger = chat.tools().tagger
    read_episodes(chat.database, chat.space_id, Reader(), tagger, REGISTRY, withhold=withhold)
    assert "I moved to Bergen last week, so glad about it" in seen
    assert not any("412" in text or "LANGUAGE MODELS" in text for text in seen)


def test_lines_that_rest_on_what_is_left_out_go_with_the_next_night(chat: Any) -> None:
    episode = said(chat, "i never give my number, it is +47 412 34 567")
    tools: dict[str, Any] = {"constitution_writer": HabitWriter()}

    def lines(**more: Any) -> list[str]:
        constitution.run(chat.context(tools=tools | more), no_progress)
        return [line.text for line in constitutions.current(chat.database, chat.space_id, episode.speaker_id)]

    assert lines() == ["Never: give their number"]
    assert lines(leave_out=frozenset({"phone"})) == []


def said(chat: Any, text: str) -> Episode:
    """One more message of the first speaker's."""
    return append_turn(
        chat.database,
        chat.space_id,
        conversation="one more",
        speaker_id=chat.episodes[0].speaker_id,
        text=text,
        origin="observed",
        time=chat.episodes[-1].time,
        participants=(),
    )
