"""`persona`: how those who agreed to be simulated are learnt to write, and how like them they are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from service.cli.options import SEED
from service.cli.output import Bars, Date, State, print_json, print_table
from service.cli.persona_report import judge, report
from service.cli.persona_set import set_

_SHORT = 12  # digits of a hash that a line shows
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def persona() -> None:
    """Personas: train how somebody writes, and measure how like them it is."""


@persona.command()
@click.argument("name")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Cap on the training, in minutes."
)
@click.option(
    "--until", type=Date(), metavar="DATE", help="Train on what was said before; the rest stays unseen."
)
@click.option("--seed", type=SEED, help="Of this training (default: the night's).")
@click.option("--no-apply", is_flag=True, help="Only put the vector on record; what serves goes on serving.")
@_json
@click.pass_obj
def train(
    state: State,
    name: str,
    minutes: float | None,
    until: datetime | None,
    seed: int | None,
    no_apply: bool,
    as_json: bool,
) -> None:
    """Train how NAME writes, as a night does; it serves while NAME's persona speaks, if its gate lets it."""
    from service.entrances import style

    wish = style.Wish(minutes, until, seed, is_applied=not no_apply)
    with state.services() as services, Bars() as bars:
        found = style.train(
            services, name, wish, train_step=bars.step("training"), exam_step=bars.step("measuring")
        )
        for step in ("training", "measuring"):
            bars.finish(step)
    if as_json:
        print_json(found)
        return
    _print_trained(found)


def _print_trained(found: dict[str, Any]) -> None:
    effect = found["effect"]
    before, after = effect["before"], effect["after"]
    rows = [
        ["nats per token", f"{before['nats_per_token']:.3f}", f"{after['nats_per_token']:.3f}"],
        ["bits per character", f"{before['bits_per_char']:.3f}", f"{after['bits_per_char']:.3f}"],
    ]
    print_table([f"{effect['n']} later replies", "without", "with the style"], rows)
    for one in found["samples"]:
        click.echo()
        click.echo(f"  said:     {' / '.join(one['said'])}")
        click.echo(f"  without:  {one['without'].replace(chr(10), ' / ')}")
        click.echo(f"  with it:  {one['styled'].replace(chr(10), ' / ')}")
    click.echo()
    (change,) = (check["value"] for check in effect["checks"] if check["number"] == "ppl_change")
    click.echo(
        f"{found['n_windows']} windows of {found['n_messages']} messages, {found['steps']} steps; perplexity {100 * change:+.1f} %"
    )
    if (again := found["refit"]) is not None:
        click.echo(_again(again))
    vector = f"style of {found['person']}, vector {found['vector'][:_SHORT]}"
    if not effect["passed"]:
        click.echo(f"{vector}, is left out: {found['why']}")
    elif found["recipe"] is None:
        click.echo(f"{vector}, is on record; nothing else has changed")
    else:
        click.echo(
            f'{vector}, serves at {effect["coefficient"]:g}; `slowwave recipe revert "style of {found["person"]}"` takes it off'
        )


def _again(refit: dict[str, Any]) -> str:
    if refit["passed"]:
        return f"then once more on all {refit['n_windows']} windows, {refit['steps']} steps"
    return "once more on everything it came out worse, and is left as it was measured"


for command in (report, judge, set_):
    persona.add_command(command)

COMMANDS = (persona,)
