"""Stage `constitution`: each speaker's principles from the conversations they took part in, their patterns, and digests.

A new version is written only on change. A writer whose back-end is away leaves the old version in force.
"""

from __future__ import annotations

from collections.abc import Iterable

from agents.errors import AgentError
from consolidation import patterns
from consolidation.digests import write_digests
from consolidation.stage import NightContext, Progress, StageResult
from memory import constitutions
from memory.episodes import list_episodes
from memory.people import list_people
from memory.types import Episode


def run(context: NightContext, progress: Progress) -> StageResult:
    """Only observed messages count. Repeatable: what has not changed is not written again."""
    conversations = _by_conversation(list_episodes(context.database, context.space_id))
    heard = _heard(conversations.values())
    speakers = [person for person in list_people(context.database, context.space_id) if person.id in heard]
    versions: dict[str, int] = {}
    n_principles = n_kept = 0
    for done, person in enumerate(speakers):
        progress(done, len(speakers))
        try:
            principles = context.tools.constitution_writer.write(person.name, heard[person.id])
        except AgentError:
            n_kept += 1
            continue
        n_principles += len(principles)
        with context.database.transaction() as session:
            versions[person.id] = constitutions.write(
                session, context.space_id, person.id, principles, run_id=context.run_id, clock=context.clock
            )
    progress(len(speakers), len(speakers))
    found = patterns.refresh(context, conversations)
    found |= write_digests(context, progress)
    return StageResult(
        counts={"people": len(speakers), "principles": n_principles, "writer_away": n_kept, **found},
        output={"versions": versions},
    )


def _by_conversation(episodes: Iterable[Episode]) -> dict[str, list[Episode]]:
    conversations: dict[str, list[Episode]] = {}
    for episode in episodes:
        conversations.setdefault(episode.conversation_id, []).append(episode)
    return conversations


def _heard(conversations: Iterable[list[Episode]]) -> dict[str, list[Episode]]:
    """Per speaker all that was said in their conversations: a habit is seen against the others' habits."""
    heard: dict[str, list[Episode]] = {}
    for spoken in conversations:
        for speaker_id in dict.fromkeys(episode.speaker_id for episode in spoken):
            heard.setdefault(speaker_id, []).extend(spoken)
    return {speaker_id: sorted(said, key=lambda episode: episode.time) for speaker_id, said in heard.items()}
