"""`recipe export`: the weights of a recipe for vLLM, transformers and llama.cpp; `recipe exports`: those on record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from service.cli.output import Bars, State, print_json


@click.command()
@click.argument("name", metavar="[RECIPE]", default="serving")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The folder to write.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(("peft", "checkpoint", "gguf")),
    default="peft",
    show_default=True,
    help="An adapter for peft and vLLM, a model by itself, or an adapter for llama.cpp.",
)
@click.option("--each", "per_vector", is_flag=True, help="One adapter for each task vector.")
@click.option(
    "--person", metavar="NAME", help="With the style of NAME, who must have agreed (default: nobody's)."
)
@click.option("--max-rank", type=click.IntRange(min=1), help="Cut adapters to this rank; says what it cost.")
@click.option(
    "--dtype",
    type=click.Choice(("keep", "float32", "bfloat16", "float16")),
    default="keep",
    show_default=True,
    help="Of a checkpoint's weights.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def export(
    state: State,
    name: str,
    out: Path,
    format_: str,
    per_vector: bool,
    person: str | None,
    max_rank: int | None,
    dtype: str,
    as_json: bool,
) -> None:
    """Write a recipe's weights for other programs. They hold what people said: keep the folder to yourself."""
    from consolidation.export import Wish
    from service.entrances.export import export as export_weights

    if format_ == "checkpoint" and (per_vector or max_rank is not None):
        raise click.UsageError("--each and --max-rank are for adapters, --format peft or gguf")
    if format_ != "checkpoint" and dtype != "keep":
        raise click.UsageError("--dtype is for --format checkpoint; adapters are written in float32")
    wish = Wish(format_, per_vector, max_rank, dtype)
    with state.services() as services, Bars() as bars:
        found = export_weights(services, name, out, wish, bars.step("export"), person=person)
        bars.finish("export")
    if as_json:
        print_json(found)
        return
    _print(found)


def _print(found: dict[str, Any]) -> None:
    what = f"recipe {found['recipe'][:12]}" if found["recipe"] else "the plain base"
    kind = f"rank {found['rank']}" if found["rank"] else found["dtype"]
    click.echo(f"{found['folder']}: {what} as {found['format']}, {kind}, {found['bytes']:,} bytes")
    if found["residual"] > 1e-6:
        lost = "cut off" if found["rank"] else "lost to rounding"
        click.echo(f"  {found['residual']:.2g} of the change to the weights was {lost}")
    if found["vectors"]:
        click.echo("  it holds what people said, and an erasure can only name it; keep it to yourself")
    click.echo("  README.md tells how to load it")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def exports(state: State, as_json: bool) -> None:
    """Every export of weights on record: where it was written, when, and whether it holds what was erased since."""
    from service.entrances.export import list_all

    with state.services() as services:
        found = list_all(services)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("no weights were exported")
        return
    for one in found:
        what = f"recipe {one['recipe'][:12]}" if one["recipe"] else "the plain base"
        place = one["folder"] or "a folder whose path held an erased name"
        click.echo(f"{one['made_at'][:10]} {what} as {one['format']}: {'; '.join([place, *_marks(one)])}")


def _marks(one: dict[str, Any]) -> list[str]:
    erased = "held what was erased" if one["there"] is False else "holds what was erased, delete it"
    return [erased] * one["holds_erased"] + ["not there any more"] * (one["there"] is False)
