"""What options of several commands take."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import click

from service.settings import MAX_SEED
from simulator.drawing import KNOBS

SEED = click.IntRange(0, MAX_SEED)


def sampling(command: Callable[..., Any]) -> Callable[..., Any]:
    """An option for each knob of `simulator.drawing`, given to the command by the knob's name; None where it is not said."""
    options = [
        click.option(
            f"--{name.replace('_', '-')}",
            type=int if knob.is_whole else float,
            help=f"From {knob.least:g} to {knob.most:g}; default: as set for each person, else {knob.default:g}.",
        )
        for name, knob in KNOBS.items()
    ]
    return reduce(lambda made, option: option(made), reversed(options), command)
