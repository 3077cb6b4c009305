"""Stage `constitution`: each speaker's principles from what they said themselves; a new version only on change."""

from __future__ import annotations

from collections import defaultdict

from consolidation.stage import NightContext, Progress, StageResult
from memory import constitutions
from memory.episodes import list_episodes
from memory.people import list_people
from memory.types import Episode


def run(context: NightContext, progress: Progress) -> StageResult:
    """Only observed messages count. Repeatable: what has not changed is not written again."""
    said: dict[str, list[Episode]] = defaultdict(list)
    for episode in list_episodes(context.database, context.space_id):
        said[episode.speaker_id].append(episode)
    speakers = [person for person in list_people(context.database, context.space_id) if said.get(person.id)]
    versions: dict[str, int] = {}
    n_principles = 0
    for done, person in enumerate(speakers):
        progress(done, len(speakers))
        principles = context.tools.constitution_writer.write(person.name, said[person.id])
        n_principles += len(principles)
        with context.database.transaction() as session:
            versions[person.id] = constitutions.write(
                session, context.space_id, person.id, principles, run_id=context.run_id, clock=context.clock
            )
    progress(len(speakers), len(speakers))
    return StageResult(
        counts={"people": len(speakers), "principles": n_principles}, output={"versions": versions}
    )
