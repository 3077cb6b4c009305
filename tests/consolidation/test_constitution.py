from __future__ import annotations

from typing import Any

from agents.backends.scripted import ScriptedChat
from agents.constitutions import HabitWriter, ModelConstitutionWriter
from agents.errors import BackendUnreachable
from consolidation import constitution
from consolidation.stage import no_progress
from memory import constitutions


def away(*_: Any, **__: Any) -> str:
    raise BackendUnreachable("scripted", "nobody there")


def test_a_writer_that_is_away_leaves_the_old_version_in_force(chat: Any) -> None:
    speaker = chat.episodes[0].speaker_id
    constitution.run(chat.context(), no_progress)
    before = constitutions.current(chat.database, chat.space_id, speaker)
    result = constitution.run(
        chat.context(tools={"constitution_writer": ModelConstitutionWriter(ScriptedChat(away))}), no_progress
    )
    assert before
    assert result.counts["writer_away"] == result.counts["people"] > 0
    assert constitutions.current(chat.database, chat.space_id, speaker) == before


def test_habits_are_seen_against_the_other_speakers(chat: Any) -> None:
    heard = constitution._heard([chat.episodes])
    assert set(heard) == {episode.speaker_id for episode in chat.episodes}
    assert all(len(said) == len(chat.episodes) for said in heard.values())
    assert constitution.run(chat.context(tools={"constitution_writer": HabitWriter()}), no_progress).counts[
        "people"
    ] == len(heard)
