"""What a dose of steering does: a model goes on with openings of messages, steered and not, and the texts are measured.

Five numbers of each dose: how strongly the direction reads in the texts (unsteered model), how strongly a judge that has
never seen it finds what it stands for, their perplexity under the unsteered model, how much they repeat themselves, and
KL(steered || unsteered) per token where they were written. Beside each stand random directions of the same length: what
they do too is no effect of the direction. A dose is never chosen by its effect, only by whether the texts stay fluent.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from consolidation.charts import line_chart, svg_file
from consolidation.stage import Progress, no_progress
from memory.ports import FloatMatrix
from simulator.steering import Direction, Steering

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from agents.runtime.steering import Positions, Written

MAX_PPL_RATIO = 1.3  # of steered over unsteered text, both under the unsteered model
MAX_REPETITION_RISE = 0.1
DOSES = (0.1, 0.2, 0.3, 0.45, 0.6, 0.8)
HALVINGS = 3  # between the last dose that keeps fluency and the first that breaks it
N_QUICK = 16  # openings on which a session tries a dose before it wears it
_N_GRAM = 3
_OPENINGS = Path(__file__).parent / "openings.toml"

Added = Mapping[int, FloatMatrix]  # layer -> (D,)
Measure = Callable[[Sequence[str]], Sequence[float]]  # a number for each text


@cache
def openings(path: Path = _OPENINGS) -> tuple[str, ...]:
    return tuple(tomllib.loads(path.read_text(encoding="utf-8"))["openings"])


@dataclass(frozen=True, slots=True)
class Plan:
    """How texts are written. The same plan gives the same texts."""

    openings: tuple[str, ...]
    per_opening: int = 2
    max_new_tokens: int = 24
    temperature: float = 0.7
    seed: int = 0
    n_random: int = 3
    batch_size: int = 24
    positions: Positions = "reply"


@dataclass(frozen=True, slots=True)
class Measured:
    """Means over the texts of one dose. `readout` in standard deviations of neutral text; None: nobody measures it."""

    dose: float
    readout: float | None
    judged: float | None
    ppl: float
    ppl_ratio: float
    repetition: float  # share of a reply's trigrams that it has had before
    kl: float
    is_fluent: bool

    def as_json(self) -> dict[str, Any]:
        return {name: _shown(value) for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Dosing:
    """`random` runs like `steered`, each the mean over the control directions. `strongest` keeps fluency, None: none did."""

    direction: Direction
    plan: Plan
    plain: Measured
    steered: tuple[Measured, ...]
    random: tuple[Measured, ...]
    strongest: float | None

    def as_json(self) -> dict[str, Any]:
        return {
            "direction": self.direction.name,
            "kind": self.direction.kind,
            "base": self.direction.base_hash,
            "layers": list(self.direction.layers),
            "positions": self.plan.positions,
            "texts": len(self.plan.openings) * self.plan.per_opening,
            "plain": self.plain.as_json(),
            "steered": [one.as_json() for one in self.steered],
            "random": [one.as_json() for one in self.random],
            "random_directions": self.plan.n_random,
            "strongest": self.strongest,
        }


@dataclass(frozen=True, slots=True)
class Bed:
    """A model with what measures its texts: message (opening and reply) -> readout, and -> judged."""

    model: LanguageModel
    plan: Plan
    readout: Measure | None = None
    judge: Measure | None = None

    def write(self, added: Added) -> list[Written]:
        """Every opening continued `per_opening` times with those vectors; none where a reply would be empty."""
        from agents.runtime.steering import Written, steered

        plan, model = self.plan, self.model
        header = model.template.user_header()
        rows = [
            header + model.template.encode(text) for text in plan.openings for _ in range(plan.per_opening)
        ]
        with steered(model, added, plan.positions):
            made = model.continue_ids(
                rows,
                plan.max_new_tokens,
                temperature=plan.temperature,
                seed=plan.seed,
                batch_size=plan.batch_size,
            )
        return [Written(tuple(row), tuple(ids)) for row, ids in zip(rows, made, strict=True) if ids]

    def texts(self, written: Sequence[Written]) -> list[str]:
        """The messages, opening and reply."""
        skip = len(self.model.template.user_header())
        return [self.model.decode([*one.prompt[skip:], *one.reply]).strip() for one in written]

    def measure(self, dose: float, added: Added, plain: Measured | None) -> Measured:
        """`plain` is what the dose is held against, None for the plain texts themselves."""
        from agents.runtime.steering import costs

        written = self.write(added)
        if not written:  # every reply ended before its first word
            return Measured(dose, None, None, np.inf, np.inf, 0.0, 0.0, False)
        found = costs(self.model, written, added, self.plan.positions, self.plan.batch_size)
        ppl = float(np.exp(-np.concatenate([one.logprobs for one in found]).mean(dtype=np.float64)))
        texts = self.texts(written)
        repetition = fmean(repeated(self.model.decode(one.reply)) for one in written)
        ratio = ppl / plain.ppl if plain else 1.0
        return Measured(
            dose=dose,
            readout=fmean(self.readout(texts)) if self.readout else None,
            judged=fmean(self.judge(texts)) if self.judge else None,
            ppl=ppl,
            ppl_ratio=ratio,
            repetition=repetition,
            kl=float(np.concatenate([one.kl for one in found]).mean(dtype=np.float64)),
            is_fluent=plain is None or _is_fluent(ratio, repetition - plain.repetition),
        )

    def control(self, direction: Direction, dose: float, plain: Measured) -> Measured:
        """The mean of `n_random` random directions of the same length."""
        seeds = range(self.plan.seed + 1, self.plan.seed + 1 + self.plan.n_random)
        return _mean([self.measure(dose, direction.random(seed).added(dose), plain) for seed in seeds])


def repeated(text: str) -> float:
    """Share of a text's word trigrams that stood in it before; 0 for a short one."""
    words = text.casefold().split()
    grams = list(zip(*(words[i:] for i in range(_N_GRAM)), strict=False))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _shown(value: float | bool | None) -> float | bool | None:
    """For JSON, which has no infinity."""
    if value is None or isinstance(value, bool):
        return value
    return round(value, 4) if np.isfinite(value) else None


def _is_fluent(ratio: float, rise: float) -> bool:
    return bool(ratio <= MAX_PPL_RATIO and rise <= MAX_REPETITION_RISE)


def _mean(rows: Sequence[Measured]) -> Measured:
    def of(name: str) -> Any:
        values = [getattr(row, name) for row in rows]
        return None if None in values else fmean(values)

    names = ("readout", "judged", "ppl", "ppl_ratio", "repetition", "kl")
    means = {name: of(name) for name in names}
    return Measured(dose=rows[0].dose, is_fluent=all(row.is_fluent for row in rows), **means)


def dose_response(
    bed: Bed, direction: Direction, doses: Sequence[float] = DOSES, progress: Progress = no_progress
) -> Dosing:
    """All doses, smallest first, then a few between the last that keeps fluency and the first that breaks it."""
    n_steps, done = len(doses) * (1 + bed.plan.n_random) + 1 + HALVINGS, 1
    plain = bed.measure(0.0, {}, None)
    progress(done, n_steps, "unsteered")
    steered, random = [], []
    for dose in sorted(doses, key=abs):
        steered.append(bed.measure(dose, direction.added(dose), plain))
        if bed.plan.n_random:
            random.append(bed.control(direction, dose, plain))
        done += 1 + bed.plan.n_random
        progress(done, n_steps, f"dose {dose:g}")
    strongest, between = _narrowed(bed, direction, plain, steered)
    progress(n_steps, n_steps)
    return Dosing(direction, bed.plan, plain, (*steered, *between), tuple(random), strongest)


def _narrowed(
    bed: Bed, direction: Direction, plain: Measured, steered: Sequence[Measured]
) -> tuple[float | None, list[Measured]]:
    """The strongest dose before the first that breaks fluency, and what was measured to find it."""
    broken = next((row.dose for row in steered if not row.is_fluent), None)
    if broken is None:
        return steered[-1].dose, []
    kept, between = next((row.dose for row in reversed(steered) if abs(row.dose) < abs(broken)), 0.0), []
    for _ in range(HALVINGS):
        dose = round((kept + broken) / 2, 3)
        between.append(bed.measure(dose, direction.added(dose), plain))
        kept, broken = (dose, broken) if between[-1].is_fluent else (kept, dose)
    return kept or None, between


def fluent_share(bed: Bed, steering: Steering) -> float:
    """The largest share of the doses, of 1 and what halving finds, at which texts stay fluent; 0 where none does."""
    plain = bed.measure(0.0, {}, None)

    def keeps(share: float) -> bool:
        return bed.measure(share, steering.added(share), plain).is_fluent

    if keeps(1.0):
        return 1.0
    kept, broken = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (kept + broken) / 2
        kept, broken = (middle, broken) if keeps(middle) else (kept, middle)
    return kept


def clamped(model: LanguageModel, steering: Steering, folder: Path, weights: str | None) -> Steering:
    """The same at the share of its doses that keeps fluency, looked up in `folder` or measured once and kept there.

    `weights` names the recipe that the model wears. The files hold one number each and nothing of what it is about.
    """
    added = steering.added(1.0)
    named = [
        str(weights),
        steering.positions,
        *(f"{layer}:{added[layer].tobytes().hex()}" for layer in sorted(added)),
    ]
    path = folder / f"{hashlib.sha256('|'.join(named).encode()).hexdigest()[:24]}.json"
    try:
        share = float(json.loads(path.read_text(encoding="utf-8"))["share"])
    except (OSError, ValueError, KeyError, TypeError):
        plan = Plan(openings()[:N_QUICK], per_opening=1, positions=steering.positions)
        share = fluent_share(Bed(model, plan), steering)
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"share": share}), encoding="utf-8")
    return replace(steering, clamped_to=share)


def picture(dosing: Dosing) -> str:
    """Dose against effect and against what it costs, as an SVG that needs nothing beside it."""
    steered, random = sorted(dosing.steered, key=lambda row: row.dose), dosing.random
    name = dosing.direction.name

    def lines(number: str) -> dict[str, list[tuple[float, float]]]:
        found = {
            name: [(row.dose, getattr(row, number)) for row in (dosing.plain, *steered)],
            "random": [(row.dose, getattr(row, number)) for row in (dosing.plain, *random)],
        }
        return {key: points for key, points in found.items() if all(_finite(y) for _, y in points)}

    titles = {
        "readout": "Readout of the texts, standard deviations of neutral text",
        "judged": "Judged by what has not seen the direction",
        "ppl_ratio": f"Perplexity unsteered, over that of plain text; fluent up to {MAX_PPL_RATIO:g}",
        "repetition": "Share of trigrams that repeat",
        "kl": "KL to the unsteered model, nats per token",
    }
    drawn = []
    for number, title in titles.items():
        series = {key: sorted(points) for key, points in lines(number).items()}
        values = [y for points in series.values() for _, y in points]
        if values:
            low = min(0.0, *values)
            chart = line_chart(series, number, unit="dose", top=1.2 * max(*values, 1e-3), bottom=low)
            drawn.append((title, chart))
    return svg_file([(title, chart) for title, chart in drawn if chart])


def _finite(value: float | None) -> bool:
    return value is not None and bool(np.isfinite(value))
