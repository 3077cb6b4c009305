"""`persona report` and `persona judge`: how much a persona is like the person, in numbers and by people's choice."""

from __future__ import annotations

import math
from pathlib import Path

import click

from service.cli.options import SEED
from service.cli.output import Bars, State, print_json, print_table

_CONDITIONS = ("base", "prompt", "adapter", "adapter_memory")


@click.command()
@click.argument("name")
@click.option(
    "--minutes", type=click.FloatRange(min=0), help="End measuring after so long (default: at the end)."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write report.html, report.json, and a sheet for judges with its key into this folder.",
)
@click.option(
    "--against",
    type=click.Choice(_CONDITIONS),
    help="What stands beside the real replies on the sheet (default: the weights with memory).",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def report(
    state: State,
    name: str,
    minutes: float | None,
    out: Path | None,
    against: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Hold NAME's persona against what they really said next, which its weights have not seen."""
    from service.entrances.fidelity import Asked
    from service.entrances.fidelity import report as make

    asked = Asked(name, math.inf if minutes is None else minutes, seed, against)
    with state.services() as services, Bars() as bars:
        found = make(services, asked, out, progress=bars.step("replies"))
        bars.finish("replies")
    if as_json:
        print_json(found.document)
        return
    replies = found.document["replies"]
    print_table(
        ("", "bits/char", "said by them", "constitution", "style", "facts"),
        found.rows,
        title=f"{found.document['person']}: {replies['measured']} of {replies['held_out']} held-out replies",
    )
    click.echo("style: 0 is as near as two halves of their own replies, 1 as far as their partner")
    for name_, text in found.document["made_of"].items():
        click.echo(f"{name_}: {text}")
    for path in found.files:
        click.echo(str(path))
    if found.files:
        click.echo(
            "they quote people: keep them to whoever may read the chat; an erasure does not reach them"
        )


@click.command()
@click.argument("key", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument(
    "choices", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def judge(key: Path, choices: tuple[Path, ...], as_json: bool) -> None:
    """Count what judges chose on a sheet: its KEY, and the CHOICES files that they saved."""
    from service.entrances.fidelity import judged

    rates = judged(key, choices)
    if as_json:
        print_json(rates)
        return
    rows = [
        (
            f"{one['condition']} over {one['other']}",
            one["wins"],
            one["losses"],
            one["ties"],
            "" if one["rate"] is None else f"{one['rate']:.2f}",
            " to ".join(f"{bound:.2f}" for bound in one["interval"]),
            f"{one['p']:.3f}",
        )
        for one in rates
    ]
    print_table(("chosen", "wins", "losses", "ties", "rate", "95 %", "p"), rows)
