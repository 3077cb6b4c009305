"""`readout score`: what any text reads as, per concept."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from service.cli.output import Bars, State, print_json, print_table

_HALF = 12  # characters of a bar on either side of zero
_REACH = 3.0  # standard deviations that a bar reaches at least
_STRONGEST = 3  # concepts named for each of many texts
_MAX_ROWS = 40


@click.command()
@click.argument("given", metavar="[TEXT|FILE|-]", required=False)
@click.option(
    "--readout", "name", metavar="NAME", help="A readout by its hash, or a folder (default: what serves)."
)
@click.option(
    "--no-weights", is_flag=True, help="Read with the plain base instead of the weights that serve."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def score(state: State, given: str | None, name: str | None, no_weights: bool, as_json: bool) -> None:
    """Read a text, or every line of a file, in standard deviations of neutral text.

    A line may be a JSON object with `text`. Without an argument, or with -, standard input is read.
    """
    from service.entrances.reading import lines_of, open_reader, text_or_file
    from service.entrances.reading import score as score_lines

    if given is None and sys.stdin.isatty():
        raise click.UsageError("give a text, a file, or - for standard input")
    source, called = (
        (sys.stdin.read(), "standard input") if given in (None, "-") else text_or_file(str(given))
    )
    lines = lines_of(source, called)
    with state.services() as services, Bars() as bars:
        reader = open_reader(services, name, use_weights=not no_weights)
        found = score_lines(reader, lines, bars.step("reading"))
        bars.finish("reading")
    if as_json:
        print_json(found)
        return
    if found["n"] > 1:
        _print_texts(found)
    _print_bars(found["mean"], "reading" if found["n"] == 1 else f"mean of {found['n']}")
    click.echo(
        f"standard deviations of neutral text, layers {', '.join(map(str, found['layers']))}; "
        f"held-out AUROC of the readout {found['mean_auroc']:.2f}"
    )
    if found["n_cut"]:
        click.echo(f"{found['n_cut']} texts were read only as far as their first 8,000 characters")


def _print_texts(found: Mapping[str, Any]) -> None:
    shown = found["texts"][:_MAX_ROWS]
    print_table(["line", "strongest"], [[one["line"], _strongest(one["readings"])] for one in shown])
    if found["n"] > len(shown):
        click.echo(f"and {found['n'] - len(shown)} more; --json has all of them")
    click.echo()


def _strongest(readings: Mapping[str, float]) -> str:
    ordered = sorted(readings.items(), key=lambda item: -abs(item[1]))[:_STRONGEST]
    return "  ".join(f"{concept} {value:+.1f}" for concept, value in ordered)


def _print_bars(readings: Mapping[str, float], heading: str) -> None:
    """Concepts from the highest reading to the lowest, each with a bar from zero to it."""
    reach = max(_REACH, *(abs(value) for value in readings.values()))
    ordered = sorted(readings.items(), key=lambda item: -item[1])
    rows = [[concept, f"{value:+.2f}", bar(value, reach)] for concept, value in ordered]
    print_table(["concept", heading, f"{-reach:.0f}".ljust(_HALF) + f"0{reach:>{_HALF}.0f}"], rows)


def bar(value: float, reach: float) -> str:
    """A bar of full and half blocks, to the left of the middle below zero."""
    halves = min(2 * _HALF, round(abs(value) / reach * 2 * _HALF))
    full, half = divmod(halves, 2)
    if value < 0:
        return ("▐" * half + "█" * full).rjust(_HALF) + "│"
    return " " * _HALF + "│" + "█" * full + "▌" * half
