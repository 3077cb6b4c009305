"""A session with a persona as text: lines as WhatsApp exports them, or JSON lines, every message marked as simulated.

An import takes the mark for what it is: what comes back from such a file is `simulated` again (memory.importers).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from db.engine import Database
from memory import fact_rows
from memory.episodes import get_episodes
from memory.importers.bots import SIMULATED
from memory.sessions import get_session, list_turns
from memory.types import Episode


def messages(database: Database, space_id: str, session_id: str) -> list[Episode]:
    """Everything said in the session, by either side, in time order. Raises UnknownSession."""
    session = get_session(database, space_id, session_id)
    turns = list_turns(database, space_id, session.id)
    ids = [one for turn in turns for one in (turn.answers_id, turn.episode_id) if one]
    said = get_episodes(database, space_id, ids)
    return [one for one in said if one.conversation_id == session.conversation_id]


def whatsapp_lines(database: Database, space_id: str, session_id: str) -> Iterator[str]:
    """ "12/03/2025, 18:03 - Ana (simulated): hello", in the space's time zone. Raises UnknownSession.

    A message of several lines is one string with a head and the mark on each: no line of it can pass for a message
    that somebody wrote.
    """
    with database.reading() as session:
        zone = fact_rows.timezone(session, space_id)
    for one in messages(database, space_id, session_id):
        speaker = f"{one.speaker}{SIMULATED}".replace(
            ": ", ":\u00a0"
        )  # a name ends at the first colon with a space
        head = f"{one.time.astimezone(zone):%d/%m/%Y, %H:%M} - {speaker}: "
        yield "\n".join(head + line for line in one.text.splitlines() if line.strip())


def json_lines(database: Database, space_id: str, session_id: str) -> Iterator[str]:
    """One object a line: time, speaker, text, origin. Raises UnknownSession."""
    for one in messages(database, space_id, session_id):
        row = {"time": one.time.isoformat(), "speaker": one.speaker, "text": one.text, "origin": one.origin}
        yield json.dumps(row, ensure_ascii=False)
