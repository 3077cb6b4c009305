"""A chat to import, and who reads it: for tests with processes of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from memory.ports import Roster
from memory.types import Episode, FactCandidate

CITIES = ("Porto", "Lisbon", "Oslo", "Graz", "Turku")


def write_chat(
    path: Path, speakers: Sequence[str], *, n_messages: int, conversation: str, tells_every: int = 10
) -> Path:
    """A JSONL export in which every so many messages one names a new home of its speaker."""
    start = datetime(2025, 3, 1, 9, len(conversation), tzinfo=UTC)  # two chats are no renamed one
    with path.open("w", encoding="utf-8") as file:
        for number in range(n_messages):
            home = f"I live in {CITIES[number // tells_every % len(CITIES)]}"
            line = {
                "time": (start + timedelta(hours=number)).isoformat(),
                "speaker": speakers[number % len(speakers)],
                "text": home if number % tells_every == 0 else f"{conversation}, message number {number}",
                "conversation": conversation,
            }
            file.write(json.dumps(line) + "\n")
    return path


class HomeReader:
    """Takes "I live in X" at its word."""

    name = "homes"

    def extract(self, episodes: Sequence[Episode], roster: Roster) -> list[FactCandidate]:
        return [
            FactCandidate(
                subject=episode.speaker,
                predicate="lives_in",
                object=episode.text.removeprefix("I live in "),
                episode_ids=(episode.id,),
                asserted_by=episode.speaker,
                confidence=0.9,
                rule="homes",
                change="update",
            )
            for episode in episodes
            if episode.text.startswith("I live in ")
        ]


class LengthTagger:
    """Feels joy by the length of a text."""

    name = "length"

    def tag(self, texts: Sequence[str]) -> list[dict[str, float]]:
        return [{"joy": min(10.0, len(text) / 5)} for text in texts]
