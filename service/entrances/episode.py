"""What an entrance gives of messages and of what was felt in them. People come by name; the shapes are in docs/http.md."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from memory import episode_pages, moments
from memory.emotion_timeline import By, Span, reading_timeline, tag_timeline
from memory.episode_pages import Choice, Origin

if TYPE_CHECKING:
    from service.wiring import Services


@dataclass(frozen=True, slots=True)
class Asked:
    """Which messages, as names, ids and times; None is not asked."""

    person: str | None = None
    conversation: str | None = None
    source: str | None = None
    known_to: str | None = None
    origin: Origin | None = None
    since: datetime | None = None
    until: datetime | None = None
    newest: bool = False


@dataclass(frozen=True, slots=True)
class Felt:
    """Whose feelings, in which steps; `readout`: what it read instead of the tags."""

    person: str
    by: By = "month"
    since: datetime | None = None
    until: datetime | None = None
    known_to: str | None = None
    concepts: tuple[str, ...] = ()
    readings: bool = False


def messages(services: Services, asked: Asked, *, limit: int, after: str | None) -> dict[str, Any]:
    """A page of messages. Raises UnknownPerson, UnknownCursor."""
    choice = Choice(
        services.person(asked.person).id if asked.person else None,
        asked.conversation,
        asked.source,
        services.person(asked.known_to).id if asked.known_to else None,
        (asked.origin,) if asked.origin else ("observed",),
        _moment(asked.since),
        _moment(asked.until),
        asked.newest,
    )
    page = episode_pages.page_messages(services.database, services.space_id, choice, limit=limit, after=after)
    return {"episodes": [message.as_json() for message in page.messages], "next": page.next}


def message(services: Services, message_id: str) -> dict[str, Any]:
    """One message. Raises UnknownEpisode."""
    return episode_pages.get_message(services.database, services.space_id, message_id).as_json()


def conversations(services: Services, *, limit: int, after: str | None) -> dict[str, Any]:
    page = episode_pages.page_conversations(services.database, services.space_id, limit=limit, after=after)
    return {"conversations": page.conversations, "next": page.next}


def emotions(services: Services, felt: Felt) -> dict[str, Any]:
    """What somebody felt over time. Raises UnknownPerson, and UnknownReadout where readings are asked and none serves."""
    from memory.spaces import find_space

    person, where = services.person(felt.person), (services.database, services.space_id)
    span = Span(
        person.id,
        felt.by,
        find_space(services.database, services.settings.space).timezone,
        _moment(felt.since),
        _moment(felt.until),
        services.person(felt.known_to).id if felt.known_to else None,
        frozenset(felt.concepts),
    )
    if not felt.readings:
        return {"person": person.name, "made_of": "tags", "readout": None, **tag_timeline(*where, span)}
    readout = _readout(services)
    return {
        "person": person.name,
        "made_of": "readings",
        "readout": readout,
        **reading_timeline(*where, span, readout),
    }


def _readout(services: Services) -> str:
    """The hash of the readout that serves; messages that it has read keep its readings."""
    from consolidation.readouts import sha256_of
    from service.entrances.readout import open_readout

    return sha256_of(open_readout(services))


def _moment(moment: datetime | None) -> datetime | None:
    return moments.checked(moment) if moment is not None else None
