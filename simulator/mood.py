"""What a persona feels now: the readings of the turns so far, carried over and fading.

A reading is in standard deviations of neutral text (`consolidation.reading`). With each new one what was felt keeps
`KEPT` of itself, and it halves every `HALF_LIFE_S` in between: a mood outlasts a turn, and is gone the next morning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

HALF_LIFE_S = 30 * 60
KEPT = 0.6  # of what was felt, with each new reading
FROM_OTHERS = 0.5  # how far a partner's feeling is caught, against one's own
NOTICED = 0.75  # standard deviations from which a feeling is named
STRONG = 1.75
NAMED = 2  # feelings at most


@dataclass(frozen=True, slots=True)
class Mood:
    """Per concept, standard deviations of neutral text; `at`: when it was so. Nothing is felt without readings."""

    felt: Mapping[str, float] = field(default_factory=dict)
    at: datetime | None = None

    def now(self, moment: datetime) -> Mood:
        """The mood as it has faded until then; a moment before its own changes nothing."""
        if self.at is None or moment <= self.at:
            return self
        left = 0.5 ** ((moment - self.at).total_seconds() / HALF_LIFE_S)
        return Mood({concept: value * left for concept, value in self.felt.items()}, moment)

    def after(self, reading: Mapping[str, float], moment: datetime, *, is_own: bool) -> Mood:
        """The mood once a turn was read: the persona's own, or a partner's."""
        if not reading:
            return self
        faded, weight = self.now(moment), 1.0 if is_own else FROM_OTHERS
        concepts = dict.fromkeys((*faded.felt, *reading))
        return Mood(
            {
                concept: KEPT * faded.felt.get(concept, 0.0) + (1 - KEPT) * weight * reading.get(concept, 0.0)
                for concept in concepts
            },
            moment if faded.at is None else max(moment, faded.at),
        )

    def strongest(self) -> list[tuple[str, float]]:
        """What can be noticed, the strongest first; feelings that are less than neutral text's are not named."""
        noticed = [(concept, value) for concept, value in self.felt.items() if value >= NOTICED]
        return sorted(noticed, key=lambda item: (-item[1], item[0]))[:NAMED]

    def as_json(self) -> dict[str, float]:
        return {concept: round(value, 3) for concept, value in sorted(self.felt.items())}


def mood_note(mood: Mood) -> str:
    """The mood as one sentence to the persona; "" where nothing is noticed."""
    told = [f"{'strong ' if value >= STRONG else ''}{concept}" for concept, value in mood.strongest()]
    return f"You feel {' and '.join(told)}." if told else ""


def mood_of(turns: Sequence[tuple[datetime, bool, Mapping[str, float]]]) -> Mood:
    """The mood after these turns, oldest first: when, whether it was the persona's own, its reading."""
    mood = Mood()
    for moment, is_own, reading in turns:
        mood = mood.after(reading, moment, is_own=is_own)
    return mood
