"""`serve`, `ledger`, `index`, `models`, `config`, `path`: keeping it running."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from service.cli.output import Bars, State, print_json, print_table


@click.command()
@click.option("--host", help="Address to listen on (default 127.0.0.1; any other needs SLOWWAVE_TOKEN).")
@click.option("--port", type=int, help="Port (default 7777).")
@click.pass_obj
def serve(state: State, host: str | None, port: int | None) -> None:
    """Run the daemon: HTTP, and the nightly job; one for a home."""
    from service.daemon.serve import run_daemon

    run_daemon(state.settings, host=host, port=port)


@click.group()
def ledger() -> None:
    """The hash-chained record of every decision and artifact."""


@ledger.command("show")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def ledger_show(state: State, limit: int, as_json: bool) -> None:
    """The newest entries; `slowwave fact undo` takes the decisions that they name."""
    from memory.ledger import entries, entry_json

    with state.services() as services:
        found = entries(services.database, services.space_id, limit)
    if as_json:
        print_json([entry_json(entry) for entry in found])
    else:
        print_table(
            ["seq", "at", "kind", "about", "hash"],
            [[e.seq, f"{e.at:%Y-%m-%d %H:%M:%S}", e.kind, _about(e.payload), e.hash[:12]] for e in found],
        )


def _about(payload: Mapping[str, Any]) -> str:
    """The names and ids of an entry, without its hashes and lists."""
    said = (f"{key} {value}" for key, value in payload.items() if isinstance(value, str) and len(value) < 64)
    return ", ".join(said)


@ledger.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def ledger_verify(state: State, as_json: bool) -> None:
    """Recompute every hash; exit 1 where one does not fit, with the first broken entry."""
    from memory.ledger import verification_json

    with state.services() as services:
        found = verification_json(services.database, services.space_id)
    if as_json:
        print_json(found)
    else:
        for problem in found["problems"]:
            click.echo(problem["what"])
    if not found["sound"]:
        n = len(found["problems"])
        places = "1 place" if n == 1 else f"{n} places"
        first = found["first_broken"]
        raise click.ClickException(
            f"the ledger is broken in {places}, first at entry {first}; restore the database from a backup"
        )
    if not as_json:
        click.echo("the ledger is sound")


@click.group()
def index() -> None:
    """The search indexes, which are caches of the tables."""


@index.command("rebuild")
@click.pass_obj
def index_rebuild(state: State) -> None:
    """Make the indexes again from the tables."""
    with state.services() as services, Bars() as bars:
        n_units = services.index.rebuild(lambda done, total, step: bars.update(step, done, total))
    click.echo(f"{n_units} units indexed")


@click.group(invoke_without_command=True)
@click.pass_context
def config(context: click.Context) -> None:
    """Print every setting with its value; config.toml in the home folder changes them."""
    if context.invoked_subcommand is not None:
        return
    from db.engine import without_password

    settings = context.obj.plain_settings
    shown = {"home": str(settings.home), "database_url": without_password(settings.database_url)}
    print_json({**asdict(settings), **shown})


@config.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def config_check(state: State, as_json: bool) -> None:
    """Whether the settings can be used: which key is wrong and what it takes; exit 1 where one is."""
    from service.config_check import check_config

    found = check_config(state.home)
    if as_json:
        print_json([finding.as_json() for finding in found])
    else:
        for finding in found:
            key = f"{finding.key}: " if finding.key else ""
            click.echo(f"{finding.severity}: {finding.where}: {key}{finding.say}")
    n_wrong = sum(finding.severity == "wrong" for finding in found)
    if n_wrong:
        raise click.ClickException(
            f"{n_wrong} {'key is' if n_wrong == 1 else 'keys are'} wrong; correct them as said above"
        )
    if not found and not as_json:
        click.echo("the settings can be used")


@click.command()
@click.pass_obj
def path(state: State) -> None:
    """Print the home folder."""
    click.echo(state.home)


COMMANDS = (serve, ledger, index, config, path)
