"""How a persona's words are drawn: by default, as set for the person, and as asked for one conversation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.errors import BadSampling

if TYPE_CHECKING:
    from agents.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Knob:
    """A field of `agents.runtime.sampling.Sampling` with its default here and its bounds, both included."""

    default: float
    least: float
    most: float
    is_whole: bool = False


KNOBS = {
    "temperature": Knob(0.7, 0, 4),
    "top_k": Knob(0, 0, 10**6, is_whole=True),
    "top_p": Knob(1.0, 0.01, 1),
    "min_p": Knob(0.05, 0, 1),
    "repetition_penalty": Knob(1.1, 0.5, 2),
    "dry_multiplier": Knob(0.8, 0, 5),
    "max_new_tokens": Knob(4000, 1, 4000, is_whole=True),  # replies are as long as the person's anyway
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedSampling:
    """The KNOBS as one conversation asks for them; what is None is as it was set for the person, else as by default."""

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    dry_multiplier: float | None = None
    max_new_tokens: int | None = None

    def knobs(self) -> dict[str, Any]:
        """Each by its name; whoever also asks for other things asks for these of them."""
        return {name: getattr(self, name) for name in KNOBS}


def parse_sampling(text: str) -> tuple[str, float]:
    """One NAME=VALUE. Raises BadSampling."""
    name, _, number = text.partition("=")
    try:
        return name.strip(), checked(name.strip(), float(number))
    except ValueError as error:
        raise error if isinstance(error, BadSampling) else BadSampling(text, tuple(KNOBS)) from None


def checked(name: str, value: float) -> float:
    """The value, if the field takes it; raises BadSampling."""
    knob = KNOBS.get(name)
    if knob is None:
        raise BadSampling(name, tuple(KNOBS))
    is_fitting = math.isfinite(value) and knob.least <= value <= knob.most and value == round(value, 6)
    if not is_fitting or (knob.is_whole and value != int(value)):
        raise BadSampling(f"{name}={value:g}", (f"{name} from {knob.least:g} to {knob.most:g}",))
    return int(value) if knob.is_whole else value


def sampling_with(stored: Mapping[str, float], asked: Mapping[str, float | None]) -> Sampling:
    """What is asked for before what is stored before the defaults. Raises BadSampling for what is asked and does not fit."""
    from agents.sampling import Sampling

    chosen = {name: knob.default for name, knob in KNOBS.items()}
    chosen |= {name: value for name, value in stored.items() if name in KNOBS}
    chosen |= {name: checked(name, value) for name, value in asked.items() if value is not None}
    whole = {name: int(value) if KNOBS[name].is_whole else float(value) for name, value in chosen.items()}
    return Sampling(**whole)  # type: ignore[arg-type]
