"""Recurring behaviours of a person: what they say of themselves, and what counting shows. See ADR 20.

Everything here is about one conversation, so that whoever heard one message of the evidence could hear all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from agents.patterns.pattern import Counts, Pattern
from agents.patterns.shown import LEAST_INTENSITY, shown
from agents.patterns.told import told
from memory.types import Episode

__all__ = ["LEAST_INTENSITY", "Counts", "Pattern", "find_patterns"]


def find_patterns(
    episodes: Sequence[Episode], felt: Mapping[str, Mapping[str, float]], zone: tzinfo
) -> list[Pattern]:
    """Those of every speaker of one conversation, the surest first. `episodes` are its observed messages in time order;
    `felt` is by message the intensity (0-10) of each concept; days are those of `zone`."""
    speakers = dict.fromkeys(episode.speaker_id for episode in episodes)
    found = told(episodes, list(speakers))
    for speaker in speakers:
        found += shown(episodes, speaker, felt, zone)
    return sorted(found, key=lambda pattern: (-pattern.confidence, pattern.text, pattern.person_id))
