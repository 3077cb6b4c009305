"""`recipe about`: whom and what a vector was trained from, shown and said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from service.cli.output import State, print_json

_SHOWN = 3  # of many
about_option = click.option(
    "--about",
    metavar="PERSON|PATTERN|NIGHT",
    multiple=True,
    help="What it was trained from: erasing that takes the vector. Patterns by their id in `slowwave person patterns`.",
)
constitution_option = click.option(
    "--constitution",
    "constitutions",
    metavar="PERSON",
    multiple=True,
    help="Whose constitution it was trained from.",
)


@click.command()
@click.argument("entry")
@click.argument("about", metavar="[PERSON|PATTERN|NIGHT]...", nargs=-1)
@constitution_option
@click.option("--of", "name", metavar="RECIPE", default="serving", help="Whose entry (default: what serves).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def about(
    state: State,
    entry: str,
    about: tuple[str, ...],
    constitutions: tuple[str, ...],
    name: str,
    as_json: bool,
) -> None:
    """What the vector ENTRY was trained from; what is given is added to it, and erasing that takes the vector."""
    from service.entrances import vector

    with state.services() as services:
        wanted = vector.About(about, constitutions)
        found = vector.about(services, entry, wanted, recipe=name)
    if as_json:
        print_json(found)
    elif found["about"]:
        click.echo(f"{found['label']} (vector {found['vector'][:12]}) was trained from:")
        for one in found["about"]:
            click.echo(f"    {_said(one)}")
    else:
        print_unmapped(found["about"])


def print_unmapped(about: Sequence[dict[str, Any]]) -> None:
    """Where nothing is known, say so and what to do."""
    if not about:
        click.echo(
            "nothing says what it was trained from, so that no erasure takes it; "
            "`slowwave recipe about ENTRY PERSON` does"
        )


def sources(about: Sequence[dict[str, Any]]) -> str:
    """The first of them in one cell; its night has a column of its own."""
    said = [_said(one) for one in about if one["kind"] != "night"]
    return ", ".join(said[:_SHOWN]) + (f" and {len(said) - _SHOWN} more" if len(said) > _SHOWN else "")


def _said(one: dict[str, Any]) -> str:
    return one["name"] if one["kind"] == "person" else f"{one['kind']} {one['name']}"
