"""The making of what styles begin as: how people write messages at all, learnt from talk of people who do not exist.

`python -m consolidation.talk_training FOLDER` trains it in that folder, half an hour on two cores, and files it where
`consolidation.primer` looks. The talk is `invented_talk.txt`, written for this: hundreds of conversations of pairs, each voice
its own. Shown are replies in the very prompts that styles are trained with, and longer stretches of a talk, of which
every message is learnt: that costs a fifth of it for each message.
"""

from __future__ import annotations

import math
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agents.constitutions import HabitWriter
from agents.turns import Persona, Turn, conversation_text, turn_messages
from consolidation.primer import save_style_start
from consolidation.primer_training import every_percent, maker
from consolidation.stage import TrainSettings
from consolidation.trainer.job import JobFolder, Row, TrainJob
from consolidation.training_child import put_job, trained
from consolidation.vectors import Origin, hash_rows
from consolidation.windows import Bounds, Known, Message, bare_prompt, drawn_prompt, stretches, windows_of
from memory import names
from memory.types import Episode, Person, Principle

TALK = Path(__file__).with_name("invented_talk.txt")
ROUNDS = 3  # showings of every message in a stretch
STRETCH_CHARS = 1000  # with the tags; more would not fit beside the longest prompt
REPLIES = 1600  # single ones beside them
WATCHED = 8  # every so many pairs one is looked at and not learnt
MAX_WATCHED = 48  # replies
AT_ONCE = 8
SETTINGS = TrainSettings(
    lr=1.5e-3,
    facts_per_step=0,
    negatives_per_step=0,
    replay_per_step=0,
    style_per_step=AT_ONCE,
    kl_per_step=2,
    kl_weight=1.0,
    kl_growth=0.0,
    max_tokens=512,
    look_every=40,
    keep_best=True,
    max_minutes=240.0,
)
_HEADER = re.compile(r"# (\d{4}-\d{2}-\d{2} \d{2}:\d{2}) \| (\w+), (\w+)")


def read_talk(text: str) -> list[list[Episode]]:
    """The conversations of each pair, `# 2025-03-02 19:40 | A, B` and a message a line; one after the other in time, some
    minutes between messages. Raises ValueError with the number of a line that is neither."""
    talks: dict[str, list[Episode]] = defaultdict(list)
    talk, pair, time = "", ("", ""), datetime(2026, 1, 1, tzinfo=UTC)
    dice = random.Random("talk")
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            pair = (header[2], header[3])
            talk = " and ".join(sorted(pair))
            time = datetime.fromisoformat(header[1]).replace(tzinfo=UTC)
        elif line:
            speaker, _, said = line.partition(": ")
            if speaker not in pair or not said.strip():
                raise ValueError(f"line {number} is neither the head of a talk nor a message of its two")
            time += timedelta(seconds=dice.randint(10, 400))
            position = len(talks[talk])
            talks[talk].append(
                Episode(f"{talk} {position}", talk, position, names.key(speaker), speaker, time, said.strip())
            )
    return list(talks.values())


def training_rows(talks: Sequence[Sequence[Episode]], seed: int) -> list[Row]:
    """Stretches and replies of most pairs, and replies of the others that watch."""
    dice = random.Random(f"talk {seed}")
    watched = set(dice.sample(range(len(talks)), len(talks) // WATCHED))
    longer: list[tuple[Message, ...]] = []
    replies: list[tuple[Message, ...]] = []
    watching: list[tuple[Message, ...]] = []
    for place, talk in enumerate(talks):
        known = {name: Known(_principles(name, talk)) for name in dict.fromkeys(e.speaker for e in talk)}
        windows = [
            w
            for e in {e.speaker_id: e for e in talk}.values()
            for w in windows_of(talk, e.speaker_id, Bounds())
        ]
        if place in watched:
            watching += [bare_prompt(window, Bounds()) for window in windows]
            continue
        replies += [drawn_prompt(window, known[window.speaker], Bounds(), dice) for window in windows]
        for _ in range(ROUNDS):
            longer += _stretches(talk, known, dice)
    shown = [*longer, *dice.sample(replies, min(REPLIES, len(replies)))]
    held_out = dice.sample(watching, min(MAX_WATCHED, len(watching)))
    return [
        *(Row(f"talk:{place:05d}", "style", messages) for place, messages in enumerate(shown)),
        *(Row(f"validation:{place:03d}", "validation", messages) for place, messages in enumerate(held_out)),
    ]


def _principles(name: str, talk: Sequence[Episode]) -> tuple[Principle, ...]:
    people = [
        Person(e.speaker_id, e.speaker, is_speaker=True) for e in {e.speaker_id: e for e in talk}.values()
    ]
    return tuple(HabitWriter().write(name, talk, people))


def _stretches(
    talk: Sequence[Episode], known: dict[str, Known], dice: random.Random
) -> Iterator[tuple[Message, ...]]:
    """All of a pair's messages once, cut at other places each time: whoever writes first is who the prompt speaks of."""
    for day in stretches(talk):
        start, limit = 0, dice.randint(STRETCH_CHARS // 4, STRETCH_CHARS)
        while start < len(day):
            end, size = start, 0
            while end < len(day) and (end == start or size + _size(day[end]) <= limit):
                size += _size(day[end])
                end += 1
            yield _stretch(day[max(0, start - dice.randint(0, 3)) : start], day[start:end], known, dice)
            start, limit = end, STRETCH_CHARS


def _size(episode: Episode) -> int:
    """Characters with its tag and line break."""
    return len(episode.text) + len(episode.speaker) + 4


def _stretch(
    before: Sequence[Episode], said: Sequence[Episode], known: dict[str, Known], dice: random.Random
) -> tuple[Message, ...]:
    first = said[0]
    partners = tuple(name for name in known if name != first.speaker)
    persona = Persona(first.speaker, partners, known[first.speaker].principles if dice.random() < 0.5 else ())
    turns = [Turn(episode.speaker, episode.text) for episode in before]
    asked = turn_messages(persona, turns, (), now=first.time)
    text = conversation_text(((e.speaker, e.text) for e in said), persona.tags).removeprefix(
        f"{persona.tag} "
    )
    return (*asked, {"role": "assistant", "content": text})


def main() -> None:
    options = maker(__doc__).parse_args()
    talks = read_talk(TALK.read_text(encoding="utf-8"))
    rows = training_rows(talks, options.seed)
    n_shown = sum(row.kind == "style" for row in rows)
    job = TrainJob(
        base_model=options.base_model,
        cache_dir=str(options.cache.resolve()),
        settings=replace(SETTINGS, steps=options.steps or math.ceil(n_shown / AT_ONCE)),
        seed=options.seed,
        meta=Origin(hash_rows(rows), None, None).as_meta("talk"),
    )
    folder = JobFolder(options.folder)
    put_job(folder, job, rows)
    print(f"{len(talks)} pairs, {n_shown} texts", file=sys.stderr)
    result = trained(folder, every_percent(), lambda: False)
    save_style_start(folder.adapter)
    print(f"{result['steps']} steps, best after {result['best_step']}", file=sys.stderr)


if __name__ == "__main__":
    main()
