"""A message that somebody tells an entrance now: kept as an episode of a live conversation, and read at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from memory import moments, people
from memory.episodes import append_turn
from memory.errors import UnknownPerson
from memory.statements import checked_name
from service.wiring import Services


@dataclass(frozen=True, slots=True)
class Told:
    """What `speaker` said, word for word, and who heard it. Without a conversation it is one of the speaker's own."""

    speaker: str
    text: str
    heard_by: tuple[str, ...] = ()
    conversation: str | None = None
    time: datetime | None = None


def tell(services: Services, told: Told) -> dict[str, Any]:
    """Keep the message and read it; people whom nobody knows are made. Raises what reading raises, the message kept."""
    _ = services.extractor, services.tagger  # a missing model is found before anything is written
    speaker = _person(services, told.speaker, is_speaker=True)
    hearers = [_person(services, name) for name in told.heard_by]
    name = people.get_person(services.database, services.space_id, speaker).name
    conversation = told.conversation or f"told by {name}"
    episode = append_turn(
        services.database,
        services.space_id,
        conversation=conversation[:255],
        speaker_id=speaker,
        text=told.text,
        origin="observed",
        time=moments.checked(told.time) if told.time else services.clock(),
        participants=hearers,
    )
    found = services.read()
    return {
        "episode": episode.id,
        "speaker": episode.speaker,
        "conversation": conversation[:255],
        "time": episode.time.isoformat(),
        "found": found.n_candidates,
        "waits": found.n_pending,
    }


def _person(services: Services, name: str, *, is_speaker: bool = False) -> str:
    """The id of the person of that name, made if nobody goes by it."""
    wanted = checked_name(name)
    try:
        found = services.person(wanted).id
    except UnknownPerson:
        found = ""
    with services.database.transaction() as session:
        if found and not is_speaker:
            return found
        shown = people.load_people(session, [found])[0].name if found else wanted
        return people.get_or_create_node(
            session, services.space_id, shown, is_speaker=is_speaker, clock=services.clock
        )
