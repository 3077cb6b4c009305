"""`converse`: personas among themselves."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from memory.importers.bots import SIMULATED
from service.cli.options import SEED, sampling
from service.cli.output import State, print_json

if TYPE_CHECKING:
    from simulator.company import Company, SaidTurn


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME NAME [NAME]")
@click.option("--turns", "n_turns", type=click.IntRange(1), default=20, show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Makes the sampling repeatable.")
@click.option("--about", default="", metavar="TOPIC", help="What they turn to first, where they know of it.")
@sampling
@click.option("--no-weights", is_flag=True, help="Leave tonight's weights out: base model with retrieval.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON at the end instead of turns as they come.")
@click.pass_obj
def converse(
    state: State,
    /,
    names: tuple[str, ...],
    n_turns: int,
    seed: int,
    about: str,
    no_weights: bool,
    as_json: bool,
    **knobs: Any,
) -> None:
    """Let two or three personas talk with each other. All need consent on record; Ctrl-C stops, and keeps what was said.

    A conversation of the same people goes on where it was left.
    """
    from service.entrances.company import company_json

    if not 2 <= len(names) <= 3:
        raise click.UsageError("name two or three people")
    with state.services() as services:
        company = services.open_company(names, seed=seed, about=about, use_weights=not no_weights, **knobs)
        for notice in company.notices:
            click.echo(notice, err=True)
        said = _talk(company, n_turns, is_shown=not as_json)
        if as_json:
            print_json(company_json(company, said))
        else:
            _tell(company)


def _talk(company: Company, n_turns: int, *, is_shown: bool) -> list[SaidTurn]:
    said: list[SaidTurn] = []
    try:
        for turn in company.turns(n_turns):
            said.append(turn)
            if is_shown:
                click.echo(f"{turn.speaker}{SIMULATED}: {turn.text}")
                sys.stdout.flush()
    except KeyboardInterrupt:
        company.ended = "interrupted"
    finally:
        company.record.end()
    return said


def _tell(company: Company) -> None:
    """What became of it, on stderr."""
    found = ", ".join(f"{n} by {detector}" for detector, n in sorted(company.found.items()))
    topics = list(dict.fromkeys(topic.name for member in company.members for topic in member.turned_to))
    click.echo(f"\n{company.record.n_turns} turns kept; {company.ended or 'stopped'}", err=True)
    click.echo(f"loops found: {found or 'none'}", err=True)
    click.echo(f"topics turned to: {', '.join(topics) or 'none'}", err=True)


COMMANDS = (converse,)
