"""What counting finds in talk whose patterns are known, and in talk that has none: `python -m bench.patterns`.

People are invented, two to a conversation. Half of them have one pattern planted, of each behaviour and state in turn: it shows
with probability `--strength` after the state and `--base` elsewhere. The others have states and behaviours, but
nothing joins them. `found` is the share of planted patterns that are found (behaviour and state), `false_per_person` counts all
else. With `--chat DIR` the folder's own messages are tagged and asked as they are, and again `--shuffles` times
with the tags of whole sessions dealt to other sessions: what is found then is chance.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agents.emotions import EmotionHead
from agents.patterns import find_patterns
from agents.patterns.shown import SESSION_GAP, STATES
from bench.extraction import read_chat
from bench.report import print_result
from memory.embedders.minilm import MiniLM
from memory.types import Episode

_FILLER = (
    "the bus was late again today", "we had soup and some bread", "going to the market later on", "the neighbours painted their door",
    "it rained most of the afternoon", "found the old radio in the cellar", "the train was full this morning", "watched half of a film",
)  # fmt: skip
_SHOWS = {
    "laughs": "hahaha the look on that face",
    "uses emoji": "well there we are 🙂",
    "says sorry": "sorry about that",
    "says thank you": "thank you for that",
    "swears": "what a bloody mess",
    "writes in capitals": "this is REALLY something",
    'brings up "kitchen"': "i was in the kitchen then",
}
_QUIET = "goes quiet"
_CONCEPT = {state: min(concepts) for state, concepts in STATES.items()}
Felt = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Plan:
    sessions: int
    strength: float
    base: float
    state_share: float = 0.3  # of sessions, for each of the two states that a person has


def invent(plan: Plan, planted: tuple[str, str] | None, seed: int) -> tuple[list[Episode], Felt]:
    """A conversation of "a" (whom it is about) and "b"."""
    dice = random.Random(seed)
    states = [planted[1] if planted else dice.choice(list(STATES)), dice.choice(list(STATES))]
    episodes: list[Episode] = []
    felt: Felt = {}
    now = datetime(2024, 1, 1, 8, tzinfo=UTC)
    for _ in range(plan.sessions):
        now += timedelta(hours=dice.uniform(14, 40))
        own = [s for s in dict.fromkeys(states) if dice.random() < plan.state_share]
        is_in = planted is not None and planted[1] in own
        now = _session(dice, plan, planted, own, is_in, now, episodes, felt)
    return episodes, felt


def _session(
    dice: random.Random,
    plan: Plan,
    planted: tuple[str, str] | None,
    own: Sequence[str],
    is_in: bool,
    now: datetime,
    episodes: list[Episode],
    felt: Felt,
) -> datetime:
    shown = {
        name
        for name in (*_SHOWS, _QUIET)
        if dice.random() < (plan.strength if is_in and planted and planted[0] == name else plan.base)
    }
    n_turns = dice.randint(4, 8)
    for turn in range(n_turns):
        for speaker in ("a", "b"):
            is_answer = speaker == "a" and turn == 1
            now += (
                timedelta(hours=dice.uniform(2.2, 2.9))
                if is_answer and _QUIET in shown
                else timedelta(minutes=dice.uniform(1, 6))
            )
            text = dice.choice(_FILLER)
            if speaker == "a" and turn == 2 and (signs := sorted(shown - {_QUIET})):
                text = ". ".join(_SHOWS[name] for name in signs)
            episode = _message(len(episodes), speaker, now, text)
            episodes.append(episode)
            if speaker == "a" and turn == 0:
                felt[episode.id] = {_CONCEPT[state]: 7.0 for state in own}
    return now


def _message(number: int, speaker: str, time: datetime, text: str) -> Episode:
    return Episode(f"{number:06d}", "talk", number, speaker, speaker, time, text)


def planted(plan: Plan, people: int, seed: int) -> dict[str, Any]:
    names = [*_SHOWS, _QUIET]
    found = n_planted = n_false = n_messages = 0
    seconds = 0.0
    for number in range(people):
        pair = (names[number // 2 % len(names)], list(STATES)[number % len(STATES)]) if number % 2 else None
        episodes, felt = invent(plan, pair, seed * 10_007 + number)
        started = time.perf_counter()
        patterns = {p.text for p in find_patterns(episodes, felt, UTC) if p.is_strong and p.person_id == "a"}
        seconds += time.perf_counter() - started
        wanted = {f"{pair[0]} when {pair[1]}"} if pair else set()
        n_planted += len(wanted)
        found += len(wanted & patterns)
        n_false += len(patterns - wanted)
        n_messages += len(episodes)
    return {
        "found": round(found / max(1, n_planted), 4),
        "n_planted": n_planted,
        "false_per_person": round(n_false / people, 4),
        "messages_per_s": round(n_messages / seconds),
    }


def against_chat(folder: Path, shuffles: int, seed: int) -> dict[str, Any]:
    """Counts only: nobody's words."""
    episodes = [e for e in read_chat(folder) if e.kind == "text" and e.speaker]
    tagger = EmotionHead.load(MiniLM.load())
    felt = dict(zip([e.id for e in episodes], tagger.tag([e.text for e in episodes]), strict=True))
    true = find_patterns(episodes, felt, UTC)
    dice = random.Random(seed)
    chance = [_n_shown(episodes, shuffled(episodes, felt, dice)) for _ in range(shuffles)]
    return {
        "told": sum(p.kind == "told" for p in true),
        "shown": _n_shown(episodes, felt),
        "shown_by_chance": round(sum(chance) / max(1, shuffles), 4),
        "messages": len(episodes),
    }


def _n_shown(episodes: Sequence[Episode], felt: Felt) -> int:
    return sum(p.kind == "shown" and p.is_strong for p in find_patterns(episodes, felt, UTC))


def shuffled(episodes: Sequence[Episode], felt: Felt, dice: random.Random) -> Felt:
    """Each session gets the tags of another, message by message from its start."""
    parts = list(_sessions(episodes))
    given = [[felt.get(e.id, {}) for e in part] for part in parts]
    dice.shuffle(given)
    return {
        e.id: tags
        for part, others in zip(parts, given, strict=True)
        for e, tags in zip(part, others, strict=False)
    }


def _sessions(episodes: Sequence[Episode]) -> Iterator[list[Episode]]:
    part: list[Episode] = []
    for episode in episodes:
        if part and episode.time - part[-1].time > SESSION_GAP:
            yield part
            part = []
        part.append(episode)
    if part:
        yield part


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=80)
    parser.add_argument("--sessions", type=int, default=120)
    parser.add_argument("--strength", type=float, default=0.6)
    parser.add_argument("--base", type=float, default=0.15)
    parser.add_argument(
        "--chat", type=Path, help="a chat folder; its messages are asked as they are, and shuffled"
    )
    parser.add_argument("--shuffles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.perf_counter()
    plan = Plan(options.sessions, options.strength, options.base)
    numbers = planted(plan, options.people, options.seed)
    if options.chat:
        numbers["chat"] = against_chat(options.chat, options.shuffles, options.seed)
    print_result(numbers, seed=options.seed, started=started)


if __name__ == "__main__":
    main()
