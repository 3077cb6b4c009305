"""`steer`: what a persona can be steered by, and what a dose of it does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.options import SEED
from service.cli.output import Bars, State, print_json, print_table

if TYPE_CHECKING:
    from simulator.dosing import Measured

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_readout = click.option(
    "--readout",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with vectors and manifest (default: the readout that serves).",
)


class Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between them."""

    name = "numbers"

    def __init__(self, kind: type[int] | type[float]) -> None:
        self._kind = kind

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[float, ...]:
        try:
            return tuple(self._kind(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} are no numbers; write them as 1,2,3", param, context)


@click.group()
def steer() -> None:
    """Directions that a persona can be steered by, and what a dose of one does to what it says."""


@steer.command(name="list")
@_readout
@_json
@click.pass_obj
def list_(state: State, readout: Path | None, as_json: bool) -> None:
    """Concepts and probes at hand; topics and mentions are made on demand."""
    from service.entrances import steering

    with state.services() as services:
        found = steering.list_all(services, readout)
    if as_json:
        print_json(found)
        return
    rows = [
        [one["direction"], one["examples"], f"{one['auroc']:.2f}", one["nearest"], one["farthest"]]
        for one in found["concepts"]
    ]
    if rows:
        layers = ", ".join(map(str, found["layers"]))
        print_table(["direction", "messages", "AUROC", "nearest", "farthest"], rows, title=f"layers {layers}")
    else:
        click.echo("no readout serves; `slowwave sleep` makes one")
    for one in found["probes"]:
        click.echo(f"{one['direction']}{'' if one['usable'] else ' (not usable)'}")
    click.echo(
        "also ONE-OTHER for a pair, topic:WORDS and mentions:NAME; `slowwave steer try DIRECTION` measures"
    )


@steer.command(name="try")
@click.argument("direction")
@click.option("--as", "person", metavar="PERSON", help="Make topic: and mentions: of this person's messages.")
@_readout
@click.option(
    "--doses", type=Numbers(float), help="Doses to try, as 0.1,0.2,0.4; below zero is away from it."
)
@click.option("--layers", type=Numbers(int), help="Layers of topic: and mentions: (default: the readout's).")
@click.option("--everywhere", is_flag=True, help="Steer what is read as well, not only what is written.")
@click.option(
    "--texts",
    "per_opening",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Texts for each of the 24 openings.",
)
@click.option(
    "--controls",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Random directions of the same length to hold it against.",
)
@click.option("--no-weights", is_flag=True, help="Leave the nights' weights out: the plain base.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    "--picture", type=click.Path(dir_okay=False, path_type=Path), help="Draw it into this SVG file."
)
@_json
@click.pass_obj
def try_(
    state: State,
    direction: str,
    person: str | None,
    readout: Path | None,
    doses: tuple[float, ...] | None,
    layers: tuple[int, ...] | None,
    everywhere: bool,
    per_opening: int,
    controls: int,
    no_weights: bool,
    seed: int,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Dose against effect of a DIRECTION, beside random ones, and the strongest dose that keeps texts fluent."""
    from service.entrances import steering

    trial = steering.Trial(
        person=person,
        readout=readout,
        doses=doses or (),
        layers=layers or (),
        everywhere=everywhere,
        per_opening=per_opening,
        n_random=controls,
        use_weights=not no_weights,
        seed=seed,
    )
    with state.services() as services, Bars() as bars:
        dosing, found = steering.try_doses(services, direction, trial, progress=bars.step("steering"))
    if picture is not None:
        from simulator.dosing import picture as drawn

        picture.write_text(drawn(dosing), encoding="utf-8")
    if as_json:
        print_json(found)
        return
    _print(found, dosing.plain, dosing.steered, dosing.random)


def _print(
    found: dict[str, Any], plain: Measured, steered: Sequence[Measured], random: Sequence[Measured]
) -> None:
    control = {row.dose: row for row in random}
    rows = [_row("", plain, None)]
    rows += [_row(f"{row.dose:g}", row, control.get(row.dose)) for row in sorted(steered, key=_size)]
    heads = [
        "dose",
        "readout",
        "random",
        "judged",
        "random",
        "perplexity",
        "random",
        "repeats",
        "KL",
        "random",
        "",
    ]
    layers = ", ".join(map(str, found["layers"]))
    print_table(heads, rows, title=f"{found['direction']}, layers {layers}, {found['texts']} texts a dose")
    if found["judge"]:
        click.echo(f"judged by the {found['judge']}; random: mean of {found['random_directions']} directions")
    strongest = found["strongest"]
    click.echo(
        "no dose that was tried keeps the texts fluent; try smaller ones"
        if strongest is None
        else f"strongest dose that keeps the texts fluent: {strongest:g}; "
        f"`slowwave chat PERSON --as ME --steer '{found['direction']}={strongest:g}'` wears it"
    )


def _size(row: Measured) -> float:
    return abs(row.dose)


def _row(dose: str, row: Measured, control: Measured | None) -> list[str]:
    def two(name: str, form: str) -> list[str]:
        return [_shown(getattr(row, name), form), _shown(getattr(control, name, None), form)]

    return [
        dose or "0",
        *two("readout", "+.2f"),
        *two("judged", ".2f"),
        *two("ppl_ratio", ".2f"),
        f"{row.repetition:.2f}",
        *two("kl", ".2f"),
        "" if row.is_fluent else "breaks",
    ]


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


COMMANDS = (steer,)
