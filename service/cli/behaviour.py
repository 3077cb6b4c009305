"""`behaviour`: ways of replying, trained from examples, each a task vector that a recipe can wear, weigh and turn round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from consolidation.behaviour_measures import MEASURES
from service.cli.options import SEED
from service.cli.output import Bars, State, print_json, print_table

_SHORT = 12  # digits of a hash that a table shows
_SURE = 0.05  # of the sign test
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def behaviour() -> None:
    """Ways of replying, trained from examples and measured on prompts that are held out."""


@behaviour.command(name="list")
@_json
@click.pass_obj
def list_(state: State, as_json: bool) -> None:
    """Those that come with slowwave, and those that were trained."""
    from service.entrances import behaviour as behaviour_entrance

    with state.services() as services:
        found = behaviour_entrance.list_all(services)
    if as_json:
        print_json(found)
        return
    rows = [
        [
            one["behaviour"],
            "shipped" if one["shipped"] else "own",
            one["vectors"] or "",
            "" if one["coefficient"] is None else f"{one['coefficient']:g}",
            behaviour_entrance.change_of(one["effect"]) if one["effect"] else "not trained yet",
        ]
        for one in found
    ]
    print_table(["behaviour", "", "vectors", "serves at", "effect of the newest"], rows)


@behaviour.command()
@click.argument("name")
@_json
@click.pass_obj
def show(state: State, name: str, as_json: bool) -> None:
    """What a behaviour is, how it is measured, and its vectors."""
    from service.entrances import behaviour as behaviour_entrance

    with state.services() as services:
        found = behaviour_entrance.show(services, name)
    if as_json:
        print_json(found)
        return
    click.echo(f"{name}: {found['description'] or 'of your own'}")
    click.echo(f"measure: {found['says']} ({found['measure']}), {found['wanted']} is wanted")
    click.echo(f"{found['examples']} examples, {found['held_out']} held-out prompts")
    rows = [
        [
            one["vector"][:_SHORT],
            one["at"][:10],
            "" if one["coefficient"] is None else f"{one['coefficient']:g}",
            behaviour_entrance.change_of(one["effect"]),
            _cost(one["effect"]),
        ]
        for one in found["vectors"]
    ]
    if rows:
        print_table(["vector", "date", "serves at", "effect", "side effects"], rows)
    else:
        click.echo(f"it has no vector yet; run `slowwave behaviour train {name}`")


@behaviour.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.option(
    "--examples",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file with examples (docs/behaviours.md); a behaviour that comes with slowwave needs none.",
)
@click.option(
    "--pattern", metavar="ID", help="Instead, the messages of a pattern (`slowwave person patterns`)."
)
@click.option("--measure", type=click.Choice(list(MEASURES)), help="Of a pattern: how a reply is measured.")
@click.option("--wanted", type=click.Choice(("less", "more")), help="Of a pattern: which way it should go.")
@click.option(
    "--about",
    metavar="PERSON",
    multiple=True,
    help="Whom the examples are about; erasing them takes the vector. Those whom they name are found.",
)
@click.option(
    "--steps", type=click.IntRange(min=1), help="Training steps (default: by the number of examples)."
)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Cap on the training, in minutes."
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--add", "is_added", is_flag=True, help="Add the vector to the recipe that serves.")
@click.option("--coefficient", type=float, default=1.0, show_default=True, help="Its weight there.")
@_json
@click.pass_obj
def train(
    state: State,
    name: str,
    examples: Path | None,
    pattern: str | None,
    measure: str | None,
    wanted: str | None,
    about: tuple[str, ...],
    steps: int | None,
    minutes: float | None,
    seed: int,
    is_added: bool,
    coefficient: float,
    as_json: bool,
) -> None:
    """Train the vector of the behaviour NAME on the plain base, and measure it before and after."""
    from service.entrances import behaviour as behaviour_entrance

    if examples is not None and pattern is not None:
        raise click.UsageError("give either --examples or --pattern")
    if pattern is None and (measure or wanted):
        raise click.UsageError("--measure and --wanted go with --pattern; a file names its own")
    at = coefficient if is_added else None
    wish = behaviour_entrance.Wish(examples, pattern, measure, wanted, about, steps, minutes, seed, at)
    with state.services() as services, Bars() as bars:
        found = behaviour_entrance.train(
            services, name, wish, train_step=bars.step("training"), exam_step=bars.step("measuring")
        )
        for step in ("training", "measuring"):
            bars.finish(step)
        home = services.settings.home
    if as_json:
        print_json(found)
        return
    _print_effect(name, found["effect"])
    click.echo(f"side effects: {_cost(found['effect'])}")
    where = home / found["path"]
    if found["recipe"] is None:
        click.echo(
            f"vector {found['vector'][:_SHORT]}; `slowwave recipe add {where} --label {name}` puts it on"
        )
    else:
        click.echo(
            f"vector {found['vector'][:_SHORT]} serves at {coefficient:g}; `slowwave recipe revert {name}` takes it off"
        )


@behaviour.command()
@click.argument("name")
@click.option(
    "--of",
    "recipe",
    metavar="RECIPE",
    default="serving",
    help="The recipe to measure (default: what serves).",
)
@_json
@click.pass_obj
def measure(state: State, name: str, recipe: str, as_json: bool) -> None:
    """How much of a behaviour a recipe shows, against the plain base."""
    from service.entrances import behaviour as behaviour_entrance

    with state.services() as services:
        found = behaviour_entrance.measure(services, name, recipe)
    if as_json:
        print_json(found)
        return
    _print_effect(name, found)


def _print_effect(name: str, effect: dict[str, Any]) -> None:
    from service.entrances.behaviour import change_of

    click.echo(f"{name}: {change_of(effect)}, on {effect['n']} held-out prompts")
    moved = f"{effect['n_toward']} moved the way that is wanted and {effect['n_away']} the other way"
    is_shown = effect["p"] < _SURE
    click.echo(f"{moved} (p = {effect['p']:.2g}){'' if is_shown else ': that is not told from chance'}")


def _cost(effect: dict[str, Any]) -> str:
    divergence = effect["kl_to_base"]
    apart = "" if divergence is None else f", {divergence:.3f} nats from the base on general prompts"
    return f"perplexity {100 * effect['ppl_change']:+.1f} %{apart}"


COMMANDS = (behaviour,)
