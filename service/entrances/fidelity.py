"""What every entrance does with the fidelity of a persona: measure it, write the report and a sheet for judges, count what
judges chose. The shapes are in docs/json.md."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation.recipe import current_recipe, recipe_adapters
from consolidation.stage import Progress, no_progress
from consolidation.style import Talk, read_talk
from consolidation.windows import Span, windows_of
from memory.types import Person
from memory.whole import write_text
from service.entrances.style import Wish, ground_of
from simulator.agreement import agreement
from simulator.blind_sheet import REAL, Pair, make_sheet, read_choices, read_key, win_rates
from simulator.errors import NothingHeldOut
from simulator.fidelity import BOTH, LEAST, PROMPT, Drawing, Fidelity, Material, measure_person
from simulator.fidelity_page import render, summary
from simulator.held_out import BOUNDS, Exchange, exchanges
from simulator.recall import Recall
from simulator.tools import check_consent
from simulator.unseen import Unseen, unseen

if TYPE_CHECKING:
    from service.wiring import Services

PAGE, NUMBERS, SHEET, KEY = "report.html", "report.json", "sheet.html", "sheet.key.json"
MAX_PAIRS = 40  # of a sheet: as many as a judge has patience for


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is to be made of. `minutes` bounds the measuring; `against`: what stands beside the real replies on
    the sheet, None for the best that there is."""

    person: str
    minutes: float = math.inf
    seed: int = 0
    against: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """`document` is what is printed as JSON; `rows` a table for people; `files` where something was written."""

    document: dict[str, Any]
    rows: Sequence[tuple[Any, ...]]
    files: Sequence[Path]


def report(
    services: Services, asked: Asked, out: Path | None = None, *, progress: Progress = no_progress
) -> Report:
    """Measure a persona, and write page, numbers, sheet and key into the folder `out`.

    Raises UnknownPerson, NoConsent, NothingHeldOut, and what loading a model or its weights raises.
    """
    from agents.runtime.lm import LanguageModel

    person = services.person(asked.person)
    check_consent(services, person)
    talk = _shared(read_talk(ground_of(services, Wish())), person)
    windows = windows_of(talk.episodes, person.id, BOUNDS, barred=talk.barred)
    recipe = current_recipe(services.database, services.space_id, services.settings.home)
    split = unseen(services.database, services.space_id, recipe, person.id, windows)
    n_unseen = sum(window.at >= split.since for window in windows) if split else 0
    if split is None or n_unseen < LEAST:
        raise NothingHeldOut(person.name, n_unseen, LEAST)
    services.index.refresh()
    recall = Recall(services.simulator_tools(), person)
    material = gather(person, talk, split.since, recall)
    worn = recipe_adapters(services.settings.home, split.worn) if split.worn else []
    model = LanguageModel.load(services.model_spec())
    found = measure_person(
        model,
        worn,
        material,
        Drawing(seed=asked.seed),
        minutes=asked.minutes,
        agree=lambda replies, lines: agreement(
            services.simulator_tools(), person, services.extractor, replies, lines
        ),
        progress=progress,
    )
    notes = _notes(split, str(model.dtype).removeprefix("torch."), model.base_hash)
    files = _write(found, notes, asked, out) if out else []
    return Report(
        {**found.as_json(), "made_of": notes, "files": list(map(str, files))}, summary(found), files
    )


def _shared(talk: Talk, person: Person) -> Talk:
    """Of the conversations in which the person speaks."""
    ids = {episode.conversation_id for episode in talk.episodes if episode.speaker_id == person.id}
    return replace(talk, episodes=[episode for episode in talk.episodes if episode.conversation_id in ids])


def gather(person: Person, talk: Talk, since: datetime, recall: Recall) -> Material:
    """What of the person is measured from `since` on, everything else made of what was said before.

    `talk`: of the conversations in which they speak, barred messages with the others, so that none is taken for the
    reply to an older one.
    """
    usable = [episode for episode in talk.episodes if episode.id not in talk.barred]
    speakers = {episode.speaker_id: episode.speaker for episode in usable}
    others = [speaker_id for speaker_id in speakers if speaker_id != person.id]
    before = [episode for episode in usable if episode.time < since]

    def replies(speaker_id: str, span: Span) -> list[Exchange]:
        return exchanges(talk.episodes, speaker_id, since=span.since, until=span.until, barred=talk.barred)

    return Material(
        name=person.name,
        replies=replies(person.id, Span(since=since)),
        partners=[one for other in others for one in replies(other, Span(since=since))],
        earlier={
            name: ["\n".join(one.lines) for one in replies(speaker_id, Span(until=since))]
            for speaker_id, name in speakers.items()
        },
        principles=recall.principles(usable, since),
        known=recall.known,
        own=[episode for episode in before if episode.speaker_id == person.id],
        others=[episode for episode in before if episode.speaker_id != person.id],
    )


def _notes(split: Unseen, dtype: str, base_hash: str) -> dict[str, str]:
    worn = split.worn.entries if split.worn else ()
    told = {
        "held out": f"what was said from {split.since:%Y-%m-%d %H:%M} UTC on",
        "weights": ", ".join(f"{one.label} × {one.coefficient:g}" for one in worn) or "none serve",
        "computed in": f"{dtype}, base {base_hash[:12]}",
        "constitution": "made of what was said before, by the writer that needs no model",
    }
    if any(one.person for one in worn):
        told["looked at"] = (
            "how long the style was trained and how much of it serves was decided on some of these replies"
        )
    if split.is_as_judged:
        told["the style"] = (
            "as its gate judged it; the one that serves was trained once more, on these replies as well"
        )
    if split.left_out:
        told["left out"] = ", ".join(split.left_out) + ": trained on what is held out here"
    return told


def _write(found: Fidelity, notes: dict[str, str], asked: Asked, out: Path) -> list[Path]:
    against = asked.against or (BOTH if BOTH in found.made else PROMPT)
    sheet = make_sheet(found.name, pairs_of(found, against), asked.seed)
    texts = {
        PAGE: render(found, notes),
        NUMBERS: json.dumps({**found.as_json(), "made_of": notes}, ensure_ascii=False, indent=1),
        SHEET: sheet.page,
        KEY: json.dumps(sheet.key, ensure_ascii=False, indent=1),
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]


def pairs_of(found: Fidelity, against: str) -> list[Pair]:
    """The real replies beside those of a condition; where that said nothing, there is no pair."""
    made = found.made[against].replies
    return [
        Pair(one.id, one.before, (REAL, one.lines), (against, lines))
        for one, lines in zip(found.exchanges, made, strict=True)
        if lines
    ][:MAX_PAIRS]


def judged(key: Path, choices: Sequence[Path]) -> list[dict[str, Any]]:
    """Win rates of the conditions on a sheet, over the files that judges saved. Raises BadChoices, OSError."""
    rates = win_rates(read_key(key), [read_choices(path) for path in choices])
    return [rate.as_json() for rate in rates]
