"""Stage `constitution`: each speaker's constitution from the conversations they took part in, their patterns, and digests.

What the writer finds revises what stands (`memory.revision`); a new version is written only on change. A writer whose
back-end is away leaves the old version in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agents.errors import AgentError
from agents.held import held, withdrawn
from agents.pasted import pasted
from consolidation import patterns
from consolidation.digests import write_digests
from consolidation.stage import NightContext, Progress, StageResult
from memory import constitutions
from memory.episodes import list_episodes
from memory.facts import ALL_STATUSES, list_facts
from memory.people import list_people
from memory.revision import Found, match
from memory.sensitive import kinds_of_fact, left_out
from memory.types import Episode, Fact, Person


def run(context: NightContext, progress: Progress) -> StageResult:
    """Only observed messages count, and none that gives orders to machines. Repeatable: what has not changed is not
    written again."""
    said = _shown(context)
    conversations = _by_conversation(said)
    heard = _heard(conversations.values())
    people = list_people(context.database, context.space_id)
    speakers = [person for person in people if person.id in heard]
    versions: dict[str, int] = {}
    n_principles = n_away = 0
    for done, person in enumerate(speakers):
        progress(done, len(speakers))
        try:
            found = _found(context, person, heard[person.id], people)
        except AgentError:
            n_away += 1
            continue
        n_principles += len(found.lines)
        with context.database.transaction() as session:
            versions[person.id] = constitutions.write(
                session, context.space_id, person.id, found, run_id=context.run_id, clock=context.clock
            )
    progress(len(speakers), len(speakers))
    counts = patterns.refresh(context, conversations)
    counts |= write_digests(context, progress)
    return StageResult(
        counts={"people": len(speakers), "principles": n_principles, "writer_away": n_away, **counts},
        output={"versions": versions},
    )


def _shown(context: NightContext) -> list[Episode]:
    """What may be read, in time order."""
    said = list_episodes(context.database, context.space_id)
    withheld = pasted(said) | left_out(said, context.tools.leave_out)
    return [episode for episode in said if episode.id not in withheld]


def _found(
    context: NightContext, person: Person, heard: Sequence[Episode], people: Sequence[Person]
) -> Found:
    """What the writer finds now, laid beside what stands. No session is open while it reads."""
    facts = [
        fact for fact in _facts(context, person) if context.tools.leave_out.isdisjoint(kinds_of_fact(fact))
    ]
    lines = [*context.tools.constitution_writer.write(person.name, heard, people), *held(facts)]
    with context.database.reading() as session:
        standing = constitutions.standing(session, context.space_id, person.id)
        reworded = constitutions.reworded(session, context.space_id, standing.version, person.id)
    return Found(
        lines,
        alive={episode.id for episode in heard},
        reworded=reworded,
        n_messages=sum(episode.speaker_id == person.id for episode in heard),
        same=match(standing, lines, context.tools.embedder),
        withdrawn=withdrawn(facts),
    )


def _facts(context: NightContext, person: Person) -> list[Fact]:
    """Everything that was ever held of the person."""
    return list_facts(
        context.database,
        context.space_id,
        context.tools.registry,
        person_id=person.id,
        statuses=ALL_STATUSES,
        clock=context.clock,
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
