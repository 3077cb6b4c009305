"""`pending`, `budget`: what waits for a model, and what models have cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from service.cli.output import Bars, State, print_json, print_table

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.option("--drain", is_flag=True, help="Try again now to read what waits.")
@_json
@click.pass_obj
def pending(state: State, drain: bool, as_json: bool) -> None:
    """List messages that could not be read and facts that nobody could judge, with the reason; or work them off."""
    from service.entrances import pending as pending_entrance

    with state.services() as services:
        if drain:
            with Bars() as bars:
                found = pending_entrance.drain(services, bars.step("read"))
        else:
            found = pending_entrance.waiting(services)
    if as_json:
        print_json(found)
        return
    if drain:
        click.echo(
            f"read: {found['read']} messages, {found['candidates']} candidate facts, "
            f"{found['emotion_tags']} emotion tags"
        )
    if found["n"]:
        rows = [_row(item) for item in found["waiting"]]
        print_table(["waiting", "n", "reason", "since", "what it means"], rows)
    else:
        click.echo("nothing waits")


def _row(item: Mapping[str, Any]) -> list[Any]:
    since = (item["since"] or "")[:16].replace("T", " ")
    return [item["kind"], item["n"], item["reason"].replace("_", " "), since, item["meaning"]]


@click.command()
@_json
@click.pass_obj
def budget(state: State, as_json: bool) -> None:
    """Show what the language model has cost, by day, and the limits that are set."""
    from service.entrances import pending as pending_entrance

    with state.services() as services:
        found = pending_entrance.budget(services)
    if as_json:
        print_json(found)
        return
    if found["days"]:
        columns = ["day", "backend", "requests", "tokens_in", "tokens_out", "cost"]
        headings = ["day", "back-end", "requests", "tokens in", "tokens out", "cost"]
        print_table(headings, [[day[name] for name in columns] for day in found["days"]])
    else:
        click.echo("nothing was spent")
    if kept := found["remembered"]["answers"]:
        click.echo(f"{kept} answers are remembered and cost nothing more")
    set_limits = {name: limit for name, limit in found["limits"].items() if limit is not None}
    for name, limit in set_limits.items():
        click.echo(f"backend.{name} = {limit:g}")
    if not set_limits and found["backend"] in ("openai", "gemini"):
        click.echo("no limit is set; backend.max_tokens_per_day and backend.max_cost_per_day set one")


COMMANDS = (pending, budget)
