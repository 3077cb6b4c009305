"""`readout picture` and `readout export`: readouts for eyes, and for other engines."""

from __future__ import annotations

from pathlib import Path

import click

from service.cli.output import Bars, State, print_json

_name = click.option(
    "--readout", "name", metavar="NAME", help="A readout by its hash, or a folder (default: what serves)."
)
_concepts = click.option(
    "--concept", "concepts", metavar="NAME", multiple=True, help="Only this one; repeat it."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.argument("kind", type=click.Choice(("cross-talk", "layers", "timeline", "speakers")))
@click.argument("people", metavar="[PERSON...]", nargs=-1)
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="An .svg or .html file."
)
@_name
@_concepts
@click.option(
    "--per-week",
    type=click.IntRange(min=3),
    default=30,
    show_default=True,
    help="Messages read of each person and week.",
)
@click.option("--no-readings", is_flag=True, help="Of a timeline: draw the tags alone, without a model.")
@click.option(
    "--no-weights", is_flag=True, help="Read with the plain base instead of the weights that serve."
)
@_json
@click.pass_obj
def picture(
    state: State,
    kind: str,
    people: tuple[str, ...],
    out: Path,
    name: str | None,
    concepts: tuple[str, ...],
    per_week: int,
    no_readings: bool,
    no_weights: bool,
    as_json: bool,
) -> None:
    """Draw a readout: cross-talk, layers, the timeline of two people, or speakers beside each other."""
    from service.entrances.picture import Wish, draw

    if people and kind in ("cross-talk", "layers"):
        raise click.UsageError(f"{kind} is of a readout, not of people")
    if no_readings and kind != "timeline":
        raise click.UsageError("--no-readings is for a timeline")
    wish = Wish(
        kind, people, concepts, name, per_week, with_readings=not no_readings, use_weights=not no_weights
    )
    with state.services() as services, Bars() as bars:
        found = draw(services, wish, out, bars.step("reading"))
        bars.finish("reading")
    if as_json:
        print_json(found)
        return
    for one in found["pictures"]:
        click.echo(one["title"])
    click.echo(f"{found['file']}: {len(found['pictures'])} drawings, {found['bytes']:,} bytes")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_",
    type=click.Choice(("vllm", "gguf")),
    required=True,
    help="To read and steer in vLLM, or control vectors for llama.cpp.",
)
@_name
@_concepts
@_json
@click.pass_obj
def export(
    state: State, folder: Path, format_: str, name: str | None, concepts: tuple[str, ...], as_json: bool
) -> None:
    """Write a readout's directions into FOLDER. They were made of what people said: keep it to yourself."""
    from service.entrances.reading import export_directions

    with state.services() as services:
        found = export_directions(services, folder, format_, name, concepts)
    if as_json:
        print_json(found)
        return
    layers = ", ".join(map(str, found["layers"]))
    click.echo(f"{found['folder']}: {len(found['files'])} concepts for {format_}, layers {layers}")
    if found["left_out"]:
        click.echo(f"  layer {', '.join(map(str, found['left_out']))} has no place in that format")
    click.echo("  README.md tells how to load it; an erasure does not reach it")
