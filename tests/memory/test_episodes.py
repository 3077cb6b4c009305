from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db.engine import Database
from memory.episodes import append_turn, audience, get_episodes, list_episodes, mark_read
from memory.importing import import_file
from memory.people import get_or_create_node
from memory.spaces import ensure_space

FIXTURES = Path(__file__).parent / "fixtures"
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def space(database: Database) -> str:
    space = ensure_space(database)
    import_file(database, space, FIXTURES / "android_us.txt")
    return space


def test_episodes_come_in_time_order_whatever_the_ids(database: Database, space: str) -> None:
    episodes = list_episodes(database, space)
    backwards = [episode.id for episode in reversed(episodes)]
    assert get_episodes(database, space, [*backwards, "no such id"]) == episodes


def test_kinds_and_until_limit_what_is_listed(database: Database, space: str) -> None:
    assert {e.kind for e in list_episodes(database, space, kinds=("media", "deleted"))} == {
        "media",
        "deleted",
    }
    until = datetime(2025, 3, 5, 23, 59, tzinfo=UTC)
    assert [e.position for e in list_episodes(database, space, until=until)] == [0]


def test_the_newest_of_a_list_are_its_end(database: Database, space: str) -> None:
    episodes = list_episodes(database, space)
    assert list_episodes(database, space, newest=2) == episodes[-2:]
    assert list_episodes(database, space, newest=len(episodes) + 1) == episodes


def test_a_person_has_their_own_messages_and_those_of_their_conversations(
    database: Database, space: str
) -> None:
    with database.transaction() as session:
        apart = get_or_create_node(session, space, "Nobody Else")
    append_turn(
        database, space, conversation="alone", speaker_id=apart, text="hm", origin="observed", time=NOON
    )
    episodes = list_episodes(database, space)
    said, *_ = episodes
    own = list_episodes(database, space, speaker_id=said.speaker_id)
    assert own == [one for one in episodes if one.speaker_id == said.speaker_id]
    heard = list_episodes(database, space, heard_by=said.speaker_id)
    assert heard == [one for one in episodes if one.speaker_id != apart]
    assert [one.text for one in list_episodes(database, space, heard_by=apart, newest=1)] == ["hm"]


def test_what_an_extractor_has_read_is_unread_for_another(database: Database, space: str) -> None:
    episodes = list_episodes(database, space, unread_by="rules-1")
    with database.transaction() as session:
        mark_read(session, [episode.id for episode in episodes[:2]], "rules-1")
    assert list_episodes(database, space, unread_by="rules-1") == episodes[2:]
    assert list_episodes(database, space, unread_by="rules-2") == episodes


def test_turns_are_kept_in_order_even_with_equal_words(database: Database, space: str) -> None:
    with database.transaction() as session:
        ana = get_or_create_node(session, space, "Ana")
        bo = get_or_create_node(session, space, "Bo")
    turns = [
        append_turn(
            database,
            space,
            conversation="Ana, live",
            speaker_id=ana,
            text="ok",
            origin="simulated",
            time=NOON,
            participants=(bo,),
        )
        for _ in range(3)
    ]
    assert [turn.position for turn in turns] == [0, 1, 2]
    assert list_episodes(database, space, origins=("simulated",)) == turns
    assert turns[0].speaker == "Ana"
    assert audience(database, space)[turns[0].conversation_id] == {ana, bo}


def test_simulated_turns_stay_out_unless_asked_for(database: Database, space: str) -> None:
    speaker = list_episodes(database, space)[0].speaker_id
    append_turn(
        database, space, conversation="live", speaker_id=speaker, text="x", origin="simulated", time=NOON
    )
    assert not [e for e in list_episodes(database, space) if e.time >= NOON - timedelta(1)]


def test_a_space_is_made_once(database: Database, space: str) -> None:
    assert ensure_space(database) == space
    assert ensure_space(database, "other", timezone="Europe/Lisbon") != space
