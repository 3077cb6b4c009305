"""How much personas are like the people of a chat: `python -m bench.persona --chat DIR [--minutes M] [--facts N]`.

The export is cut at four fifths of its messages by time. What was said before goes into a fresh space, everybody with enough
messages agrees, and two nights make everything there is of them: decisions and constitutions first, with the knowledge
of N facts where that is wanted, then the styles. What was said later is in no space that is looked at; each of its replies is read
after the messages just before it, in the conditions of `simulator.fidelity`. Bits per character are weighted by
characters. `who_said_it` is the accuracy of a judge of letters, learnt from the replies of before, on the real replies of later
and on those that each persona (weights and memory) writes in their place; each person counts alike. Controls: the replies
under another person's weights, and after a conversation that is not theirs. `--develop` leaves the last fifth
unread and does all this with the first four. A training ends by itself; `--minutes` only stops one that would go on for much longer,
and what it cuts short says little about personas.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from agents.runtime.lm import LanguageModel
from bench.chats import open_chat
from bench.report import now_and_then, print_result
from consolidation.recipe import current_recipe, recipe_adapters
from consolidation.stage import Progress
from consolidation.style import Talk, read_talk
from memory import consent, constitutions
from memory.episodes import list_episodes
from memory.importers.detect import Export
from memory.importers.shape import Reading
from memory.importing import import_export
from memory.people import list_people
from memory.types import Message, Person, Row
from service.entrances.fidelity import gather
from service.entrances.style import Wish, ground_of
from service.settings import Settings
from service.wiring import Services
from simulator.fidelity import (
    BASE,
    BOTH,
    CONDITIONS,
    LEAST,
    PROMPT,
    Drawing,
    Fidelity,
    Material,
    Worn,
    measure_person,
)
from simulator.held_out import Exchange, shuffled
from simulator.likelihood import Likelihood, full_prompt, measure, pooled
from simulator.recall import Recall
from simulator.who_said_it import WhoSaidIt

SHARE = 0.8  # of the messages that everything is made of
MOST = 3  # people, those with the most messages
CONTROLS = 24  # replies of each that are read under the controls
SAVED = 0.15  # the bar: of the prompt's bits
SAID = 0.8  # the bar: of the judge's accuracy on real replies


@dataclass(frozen=True, slots=True)
class Part:
    """A chat until `end` (exclusive, None is all of it), and the time that divides it."""

    cut: datetime
    end: datetime | None


@dataclass(slots=True)
class Speaker:
    """One person of the chat with what is measured of them."""

    person: Person
    material: Material
    worn: Worn
    found: Fidelity | None = None


def main(argv: Sequence[str] | None = None) -> int:
    args = options(argv)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        numbers = run(args, args.home or Path(folder))
    print_result(numbers, seed=args.seed, started=started)
    return 0


def options(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.persona", description=__doc__)
    parser.add_argument("--chat", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=45.0, help="that each training has at most")
    parser.add_argument("--facts", type=int, default=0, help="that a night trains into the weights")
    parser.add_argument("--develop", action="store_true", help="leave the last fifth unread")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--cache", type=Path, help="a folder that keeps the converted model")
    parser.add_argument("--replies", type=int, help="of each speaker, drawn by the seed (default: all)")
    parser.add_argument("--home", type=Path, help="a folder that keeps what is made, or has it")
    parser.add_argument("--show", action="store_true", help="print replies on standard error")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def run(args: argparse.Namespace, home: Path) -> dict[str, Any]:
    part = part_of(args.chat, develop=args.develop)
    is_made = (home / "graph.db").exists()
    home.mkdir(parents=True, exist_ok=True)
    if args.cache and not (home / "cache").exists():
        home.joinpath("cache").symlink_to(args.cache.resolve(), target_is_directory=True)
    settings = Settings(home=home)
    settings = replace(settings, night=replace(settings.night, base_model=args.model, seed=args.seed))
    began = time.monotonic()
    with Services(settings, clock=lambda: part.cut + timedelta(seconds=time.monotonic() - began)) as services:
        seconds = {} if is_made else make(services, args, part)
        later = everything(args.chat, home / "whole", part)
        people = agreeing(services)
        services.index.refresh()
        model = LanguageModel.load(services.model_spec())
        speakers = [found for one in people if (found := speaker_of(services, one, later, part))]
        for one in speakers:
            one.material = some_of(one.material, args.replies, args.seed)
        drawing = Drawing(seed=args.seed)
        seconds["measuring"] = _timed(lambda: speak(model, speakers, drawing))
        numbers = numbers_of(speakers)
        seconds["controls"] = _timed(lambda: numbers.update(controls=controls(model, speakers, args.seed)))
        if args.show:
            show(speakers)
        return numbers | {
            "part": "development" if args.develop else "last fifth",
            "cut": part.cut.isoformat(),
            "minutes": args.minutes,
            "facts": args.facts,
            "dtype": str(model.dtype).removeprefix("torch."),
            "styles": styles_of(services, people),
            "seconds_by_part": seconds,
        }


def make(services: Services, args: argparse.Namespace, part: Part) -> dict[str, float]:
    """Everything that is made of the first part; seconds of each step."""
    seconds = {"import": _timed(lambda: bring_in(services, args.chat, part))}
    for person in agreeing(services):
        consent.record(
            services.database,
            services.space_id,
            person.id,
            agreed_by=person.name,
            note="a benchmark",
            clock=services.clock,
        )
    seconds["first_night"] = _timed(lambda: first_night(services, args.facts, args.minutes))
    seconds["styles"] = _timed(lambda: second_night(services, args.minutes))
    return seconds


def _timed(work: Any) -> float:
    begun = time.perf_counter()
    work()
    return round(time.perf_counter() - begun, 1)


# ---- the two parts of a chat


def part_of(folder: Path, *, develop: bool) -> Part:
    """Where the chat is cut; with `develop` also where it ends."""
    times = sorted(message.time for message in open_chat(folder).messages() if is_text(message))
    if not develop:
        return Part(times[int(len(times) * SHARE)], None)
    end = times[int(len(times) * SHARE)]
    earlier = [moment for moment in times if moment < end]
    return Part(earlier[int(len(earlier) * SHARE)], end)


def is_text(message: Message) -> bool:
    return message.kind == "text" and bool(message.text.strip())


def before(export: Export, end: datetime | None) -> Export:
    """The export without what was said at `end` or later."""
    if end is None:
        return export
    return replace(export, readings=tuple(_limited(reading, end) for reading in export.readings))


def _limited(reading: Reading, end: datetime) -> Reading:
    def rows() -> Iterator[Row]:
        return (row for row in reading.rows() if not isinstance(row, Message) or row.time < end)

    return replace(reading, rows=rows)


def everything(folder: Path, home: Path, part: Part) -> Talk:
    """All that was said until the part's end, in a store of its own, with what no window may hold."""
    with Services(Settings(home=home)) as services:  # the same file is not stored again
        import_export(services.database, services.space_id, before(open_chat(folder), part.end))
        return read_talk(ground_of(services, Wish()))


# ---- what is made of the first part


def bring_in(services: Services, folder: Path, part: Part) -> None:
    services.bring_in(before(open_chat(folder), part.cut), folder, read_step=now_and_then("reading"))
    services.index.refresh()


def agreeing(services: Services) -> list[Person]:
    """The people with the most messages; each of them is asked, and agrees."""
    counts = Counter(episode.speaker_id for episode in list_episodes(services.database, services.space_id))
    people = {person.id: person for person in list_people(services.database, services.space_id)}
    return [people[person_id] for person_id, _ in counts.most_common(MOST)]


def first_night(services: Services, n_facts: int, minutes: float) -> None:
    """Decisions and constitutions, and the knowledge of so many facts."""
    night = services.settings.night
    style = replace(night.style, is_on=False)
    train = replace(night.train, max_minutes=minutes)
    sleep(services, replace(night, max_facts=n_facts, style=style, train=train))


def second_night(services: Services, minutes: float, n_people: int = MOST) -> None:
    """The styles, with the constitutions there; no more facts."""
    night = services.settings.night
    style = replace(night.style, max_minutes=minutes, people_per_night=n_people)
    sleep(services, replace(night, max_facts=0, style=style))


def sleep(services: Services, settings: Any) -> None:
    def watch(stage: str) -> Progress:
        return now_and_then(stage)

    report = services.sleep(settings=settings, watch=watch)
    print(f"night: {report.status} {report.reason or ''}".rstrip(), file=sys.stderr, flush=True)


def styles_of(services: Services, people: Sequence[Person]) -> dict[str, Any]:
    """By name the coefficient of the style that serves; None where none does."""
    recipe = current_recipe(services.database, services.space_id, services.settings.home)
    entries = recipe.entries if recipe else ()
    served = {entry.person: entry.coefficient for entry in entries if entry.person}
    return {person.name: served.get(person.id) for person in people}


# ---- measuring


def speaker_of(services: Services, person: Person, later: Talk, part: Part) -> Speaker | None:
    """None for somebody who says too little in the last part."""
    theirs = next((episode.speaker_id for episode in later.episodes if episode.speaker == person.name), None)
    if theirs is None:
        return None
    material = gather(replace(person, id=theirs), later, part.cut, Recall(services.simulator_tools(), person))
    if len(material.replies) < LEAST:
        return None
    principles = constitutions.current(services.database, services.space_id, person.id)
    home = services.settings.home
    recipe = current_recipe(services.database, services.space_id, home)
    worn = recipe_adapters(home, recipe.for_person(person.id)) if recipe else []
    return Speaker(person, replace(material, principles=principles), worn)


def some_of(material: Material, n: int | None, seed: int) -> Material:
    """The material with so many of the replies."""
    if n is None or n >= len(material.replies):
        return material
    chosen = np.random.default_rng(seed).permutation(len(material.replies))[:n]
    return replace(material, replies=[material.replies[place] for place in sorted(chosen.tolist())])


def speak(model: LanguageModel, speakers: Sequence[Speaker], drawing: Drawing) -> None:
    for one in speakers:
        step = now_and_then("replies")
        speaking = (BOTH if one.worn else PROMPT,)
        one.found = measure_person(model, one.worn, one.material, drawing, speaking=speaking, progress=step)


def found_of(speaker: Speaker) -> Fidelity:
    if speaker.found is None:
        raise RuntimeError("measure before asking for numbers")
    return speaker.found


def likelihood_of(speaker: Speaker, condition: str) -> Likelihood:
    """Without weights of their own, those with weights are those without."""
    found = found_of(speaker).likelihoods
    return found.get(condition) or found[BASE if condition != BOTH else PROMPT]


def numbers_of(speakers: Sequence[Speaker]) -> dict[str, Any]:
    together = {name: pooled([likelihood_of(one, name) for one in speakers]) for name in CONDITIONS}
    both, prompt = together[BOTH], together[PROMPT]
    said = who_said_it(speakers)
    saved = both.reduction(prompt)
    return {
        "bits_per_char": {
            name: {
                **{one.person.name: round(likelihood_of(one, name).per_character, 4) for one in speakers},
                "mean": round(together[name].per_character, 4),
            }
            for name in CONDITIONS
        },
        "interval": {name: _rounded(found.interval()) for name, found in together.items()},
        "under_prompt": round(saved, 4),
        "under_prompt_interval": _rounded(both.reduction_interval(prompt)),
        "under_prompt_by_person": {
            one.person.name: round(likelihood_of(one, BOTH).reduction(likelihood_of(one, PROMPT)), 4)
            for one in speakers
        },
        **said,
        "bars": {
            "adapter_memory_15_percent_under_prompt": saved >= SAVED,
            "who_said_it_0.8_of_real": said["who_said_it_generated"] >= SAID * said["who_said_it_real"],
        },
        "fidelity": {one.person.name: found_of(one).as_json() for one in speakers},
    }


def _rounded(bounds: Sequence[float]) -> list[float]:
    return [round(bound, 4) for bound in bounds]


def who_said_it(speakers: Sequence[Speaker]) -> dict[str, Any]:
    """Of everybody's real replies, and of those that their persona writes in their place."""
    judge = WhoSaidIt.learn({one.person.name: one.material.earlier[one.person.name] for one in speakers})
    real = {one.person.name: _texts([e.lines for e in found_of(one).exchanges]) for one in speakers}
    made = {one.person.name: _texts(spoken_by(one)) for one in speakers}
    return {
        "who_said_it_real": round(judge.accuracy(real), 4),
        "who_said_it_generated": round(judge.accuracy(made), 4),
    }


def spoken_by(speaker: Speaker) -> Sequence[Sequence[str]]:
    """The replies of weights and memory; of the prompt where somebody has no weights."""
    (judged,) = found_of(speaker).made.values()
    return judged.replies


def _texts(replies: Sequence[Sequence[str]]) -> list[str]:
    return ["\n".join(lines) for lines in replies]


def controls(model: LanguageModel, speakers: Sequence[Speaker], seed: int) -> dict[str, Any]:
    """Bits per character with weights and memory, of some of the replies: as they are, under somebody else's weights, and
    after another conversation."""
    found: dict[str, dict[str, Likelihood]] = {}
    for place, one in enumerate(speakers):
        other = speakers[(place + 1) % len(speakers)]
        some = found_of(one).exchanges[:CONTROLS]  # which are in random order
        own = likelihood_of(one, BOTH)
        found[one.person.name] = {
            "own": Likelihood(own.bits_N[:CONTROLS], own.characters_N[:CONTROLS]),
            "other_persons_weights": _under(model, one.material, other.worn, some),
            "shuffled_contexts": _under(model, one.material, one.worn, shuffled(some, seed)),
        }
    together = {
        name: pooled([by_name[name] for by_name in found.values()])
        for name in ("own", "other_persons_weights", "shuffled_contexts")
    }
    return {
        **{name: round(likelihood.per_character, 4) for name, likelihood in together.items()},
        "replies": len(together["own"].bits_N),
        "by_person": {
            name: {what: round(one.per_character, 4) for what, one in by_name.items()}
            for name, by_name in found.items()
        },
    }


def _under(model: LanguageModel, material: Material, worn: Worn, replies: Sequence[Exchange]) -> Likelihood:
    prompts = [full_prompt(one, material.principles, material.known(one)) for one in replies]
    model.apply(worn)
    try:
        return measure(model, replies, prompts)
    finally:
        model.reset()


def show(speakers: Sequence[Speaker]) -> None:
    for one in speakers:
        found = found_of(one)
        for place, exchange in enumerate(found.exchanges[:12]):
            print(f"\n{[turn.text for turn in exchange.before[-2:]]}", file=sys.stderr)
            print(f"  really  {exchange.lines}", file=sys.stderr)
            print(f"  persona {spoken_by(one)[place]}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
