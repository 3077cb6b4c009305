"""What readouts are made with: the names and limits that the entrances offer. Imports nothing, so that help costs nothing."""

from __future__ import annotations

from dataclasses import dataclass

CAA, LDA = "caa", "lda"
METHODS = (CAA, LDA)
TAGS, PRINCIPLES, PATTERNS = "tags", "principles", "patterns"
KINDS = (TAGS, PRINCIPLES, PATTERNS)


@dataclass(frozen=True, slots=True)
class PairSettings:
    """What counts as an example. `max_negative_mentions`: tags of the concept, by whomever and however weak, and
    occurrences of its name, that a text without the concept may have."""

    min_positive_score: float = 8.0
    max_negative_mentions: int = 0
    min_content_chars: int = 40
    max_examples_per_emotion: int = 500  # of each side
    min_examples: int = 12
    top: int = 24  # how many of the commonest concepts are taken where none are named
    kinds: tuple[str, ...] = (TAGS,)
    concepts: tuple[str, ...] = ()
    seed: int = 0
