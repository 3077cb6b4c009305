"""Facts said by those whom they are about, under their own tag, for people with a consent record.

The prompt is the simulator's own (`agents.turns`). How they write is learnt apart (`style`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.turns import Persona, turn_messages, with_notes
from consolidation.curriculum import Course, Row
from memory.types import Principle

_KNOWN = 2  # facts beside the one that is asked


@dataclass(frozen=True, slots=True)
class Voice:
    """Somebody who may be simulated, and who they have been talking with."""

    person: str
    partner: str
    principles: tuple[Principle, ...] = ()

    @property
    def persona(self) -> Persona:
        return Persona(self.person, (self.partner,), self.principles)


def knowing_rows(course: Course, voice: Voice, rows: Sequence[Row], now: datetime) -> list[Row]:
    """First-person rows with the persona's prompt: half name the fact among what is known, half do not.

    So the persona uses what retrieval brings, and what the weights hold where it brings nothing.
    """
    sayings = [row.answer for row in rows]
    voiced = []
    for place, row in enumerate(rows):
        dice = course.dice("knowing", voice.person, row.messages[0]["content"])
        beside = dice.sample(list(dict.fromkeys(sayings)), min(_KNOWN, len(set(sayings))))
        known = [saying for saying in beside if saying != sayings[place]]
        if place % 2 == 0:
            known.insert(dice.randint(0, len(known)), sayings[place])
        system = turn_messages(voice.persona, (), (), now=now)[0]
        *before, asked, answer = row.messages
        asked = {**asked, "content": with_notes(asked["content"], known)}
        voiced.append(Row("fact", "knowing", (system, *before, asked, answer), row.fact_ids, row.meta))
    return voiced
