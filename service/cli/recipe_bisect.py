"""`recipe bisect`: the step of a recipe's history after which the weights no longer answer a question."""

from __future__ import annotations

from typing import Any

import click

from service.cli.output import Bars, State, print_json, print_table

_SHORT = 12


@click.command()
@click.argument("example", metavar="[EXAMPLE]", required=False)
@click.option("--question", metavar="TEXT", help="A question of an exam, or one of your own with --expect.")
@click.option("--expect", metavar="VALUE", multiple=True, help="A right answer; as often as there are.")
@click.option(
    "--of", "name", metavar="RECIPE", default="serving", help="Whose history (default: what serves)."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def bisect(
    state: State, example: str | None, question: str | None, expect: tuple[str, ...], name: str, as_json: bool
) -> None:
    """Find the step after which the weights no longer answer a question: an exam's EXAMPLE by its id, or --question."""
    from service.entrances import recipe

    if (example is None) == (question is None):
        raise click.UsageError("give either the id of an exam's EXAMPLE, or --question")
    if expect and question is None:
        raise click.UsageError("--expect goes with --question")
    with state.services() as services, Bars() as bars:
        options: dict[str, Any] = {"example": example, "question": question, "expect": expect, "recipe": name}
        found = recipe.bisect(services, progress=bars.step("bisect"), **options)
        bars.finish("bisect")
    if as_json:
        print_json(found)
        return
    _print_bisect(found)


def _print_bisect(found: dict[str, Any]) -> None:
    from service.entrances.recipe_json import says

    rows = [[_name(one), "right" if one["right"] else "wrong", one["answer"]] for one in found["asked"]]
    print_table(["asked", "", "answer"], rows)
    if found["skipped"]:
        click.echo(
            f"{len(found['skipped'])} recipes were passed over: their vectors are gone or may not be used"
        )
    if not found["broken"]:
        click.echo("nothing is broken: the newest recipe answers it")
    elif found["bad"] is None:
        click.echo("no recipe of the history answers it")
    else:
        click.echo(f"lost with {_name(found['bad'])}, after {_name(found['good'])}:")
        for change in found["changes"]:
            click.echo(f"    {says(change)}")


def _name(one: dict[str, Any]) -> str:
    if one["recipe"] is None:
        return "the plain base"
    return f"{one['recipe'][:_SHORT]} of {one['at'][:10]}"
