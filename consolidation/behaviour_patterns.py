"""A behaviour out of a pattern that the graph holds: how the person replied in the messages it rests on.

Only for somebody who agreed to be simulated. The examples are windows of their conversations as a night trains them
(`windows`); those whose prompts are held out are chosen by hash. A pattern that shows in what is said has its measure by its
name; any other needs one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from agents.withholding import Withholding
from consolidation.behaviour import LEAST_EXAMPLES, LEAST_HELD_OUT, Behaviour, Messages, Yardstick, split
from consolidation.errors import BadBehaviour
from consolidation.patterns import PREDICATE
from consolidation.recipe_serving import Place
from consolidation.windows import Bounds, Known, barred, whole_prompt, windows_of
from memory.consent import has_consent
from memory.episodes import list_episodes
from memory.facts import get_fact
from memory.registry import Registry
from memory.types import Fact

BOUNDS = Bounds(max_context=4, max_context_chars=320, max_reply_chars=200)
# what `agents.patterns.shown` calls behaviours, as far as a single reply can show them
_SHOWN_IN = (
    (re.compile(r"writes short messages\b"), "words_per_reply", "less"),
    (re.compile(r"writes long messages\b"), "words_per_reply", "more"),
    (re.compile(r"asks questions\b"), "asks", "more"),
    (re.compile(r"laughs\b"), "laughs", "more"),
    (re.compile(r"uses emoji\b"), "emoji", "more"),
)


@dataclass(frozen=True, slots=True)
class FromPattern:
    """A behaviour with the pattern's node, and everybody who speaks in its examples; ids."""

    behaviour: Behaviour
    pattern: str
    people: tuple[str, ...]


def from_pattern(
    place: Place,
    registry: Registry,
    name: str,
    fact_id: str,
    *,
    measure: str | None = None,
    wanted: str | None = None,
    kinds_left_out: Collection[str] = (),
) -> FromPattern:
    """`fact_id` as `slowwave person patterns` shows it.

    Raises UnknownFact, and BadBehaviour for a fact that is no pattern, a person who did not agree, a pattern without a
    measure, and one that rests on too few replies.
    """
    fact = get_fact(place.database, place.space_id, fact_id, registry, clock=place.clock)
    if fact.predicate != PREDICATE or fact.object_id is None:
        raise BadBehaviour(
            name, f"{fact_id} is no pattern; `slowwave person patterns PERSON` shows their ids"
        )
    if not has_consent(place.database, place.space_id, fact.subject_id):
        raise BadBehaviour(
            name,
            f"{fact.subject} has not agreed to be simulated; `slowwave consent` records it where they have",
        )
    known = _shown_in(fact.object)
    measure, wanted = measure or known[0], wanted or known[1]
    if measure is None or wanted is None:
        raise BadBehaviour(name, "nothing measures that pattern by itself; give --measure and --wanted")
    windows = list(_windows(place, fact, kinds_left_out))
    if len(windows) < LEAST_EXAMPLES + LEAST_HELD_OUT:
        raise BadBehaviour(
            name,
            f"the pattern rests on {len(windows)} replies that can be trained; {LEAST_EXAMPLES + LEAST_HELD_OUT} are needed",
        )
    examples, held_out = split([messages for messages, _ in windows])
    behaviour = Behaviour(
        "from a pattern", tuple(examples), Yardstick(name, measure, wanted, tuple(held_out))
    )
    speakers = {speaker for _, heard in windows for speaker in heard}
    return FromPattern(behaviour, fact.object_id, tuple(sorted(speakers)))


def _shown_in(text: str) -> tuple[str | None, str | None]:
    return next(
        ((measure, wanted) for shows, measure, wanted in _SHOWN_IN if shows.match(text)), (None, None)
    )


def _windows(
    place: Place, fact: Fact, kinds_left_out: Collection[str]
) -> Iterator[tuple[Messages, frozenset[str]]]:
    """Each reply that holds a message of the evidence, with what was said before it and who spoke; every reply once."""
    episodes = list_episodes(place.database, place.space_id)
    hidden = barred(episodes, Withholding(tuple(kinds_left_out)))
    evidence = set(fact.evidence)
    for window in windows_of(episodes, fact.subject_id, BOUNDS, barred=hidden):
        if window.before and not evidence.isdisjoint(episode.id for episode in window.reply):
            messages = whole_prompt(window, Known(), BOUNDS)
            yield tuple(map(dict, messages)), frozenset(one.speaker_id for one in window.episodes)
