"""`token` and `audit`: who may ask the daemon, and what was done through it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from service.access.callers import SCOPES
from service.cli.output import State, print_json, print_table

if TYPE_CHECKING:
    from db.engine import Database


@click.group()
def token() -> None:
    """Secrets that open the daemon to a program, a phone or a person."""


@token.command("add")
@click.argument("name")
@click.option("--space", metavar="NAME", help="The only space that it opens (default: every one).")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What it may do, once or several times (default: read).",
)
@click.option(
    "--days", type=click.FloatRange(min=0, min_open=True), help="For how long (default: until revoked)."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def add(
    state: State,
    name: str,
    space: str | None,
    scopes: tuple[str, ...],
    days: float | None,
    as_json: bool,
) -> None:
    """Make a token called NAME and show its secret, once."""
    from memory.audit import Act, record
    from service.access import tokens

    lasts = None if days is None else timedelta(days=days)
    with _database(state) as database:
        made, secret = tokens.add(database, tokens.Wanted(name, space, scopes or ("read",), lasts))
        record(database, Act("command", "token add", "done", ids={"token_id": made.id}))
    if as_json:
        print_json({**made.as_json(), "secret": secret})
        return
    click.echo(secret)
    click.echo("Keep it: it is not shown again. Send it as `Authorization: Bearer TOKEN`.", err=True)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(state: State, as_json: bool) -> None:
    """Every token, those that open nothing any more too."""
    from memory.ports import utc_now
    from service.access import tokens

    with _database(state) as database:
        found = tokens.list_tokens(database)
    if as_json:
        print_json([one.as_json() for one in found])
        return
    now = utc_now()
    print_table(
        ["id", "name", "space", "scopes", "created", "expires", "used", "opens"],
        [
            [
                one.id,
                one.name,
                one.space or "every one",
                " ".join(one.scopes),
                f"{one.created_at:%Y-%m-%d}",
                f"{one.expires_at:%Y-%m-%d}" if one.expires_at else "never",
                f"{one.used_at:%Y-%m-%d %H:%M}" if one.used_at else "never",
                "yes" if one.is_valid(now) else "no",
            ]
            for one in found
        ],
    )


@token.command("revoke")
@click.argument("token")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def revoke(state: State, token: str, as_json: bool) -> None:
    """Take TOKEN back, by its id or its name; it opens nothing from now on."""
    from memory.audit import Act, record
    from service.access import tokens

    with _database(state) as database:
        gone = tokens.revoke(database, token)
        record(database, Act("command", "token revoke", "done", ids={"token_id": gone.id}))
    if as_json:
        print_json(gone.as_json())
    else:
        click.echo(f"{gone.name} ({gone.id}) opens nothing any more")


@click.command()
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--verify", is_flag=True, help="Recompute the chain; exit 1 where it is broken.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def audit(state: State, limit: int, verify: bool, as_json: bool) -> None:
    """Who did what through HTTP, MCP and every command that changes something or lets words leave; the newest first."""
    from memory import audit as log
    from memory.spaces import list_spaces
    from service.access import tokens
    from service.entrances.audit import page_of

    with _database(state) as database:
        broken = log.breaks(database) if verify else []
        spaces = {space.id: space.name for space in list_spaces(database)}
        page = page_of(log.entries(database, limit), limit, spaces, tokens.list_tokens(database))
    if as_json:
        print_json({**page, "breaks": broken} if verify else page)
    else:
        print_table(
            ["seq", "at", "by", "space", "what", "ids", "outcome"],
            [
                [
                    entry["seq"],
                    entry["at"][:19].replace("T", " "),
                    entry["token_name"] or entry["token"] or entry["via"],
                    entry["space"],
                    entry["what"],
                    " ".join(entry["ids"].values()),
                    entry["outcome"],
                ]
                for entry in page["entries"]
            ],
        )
    if broken:
        raise click.ClickException(f"{broken[0]}; restore the database from a backup")


@contextmanager
def _database(state: State) -> Iterator[Database]:
    """The store without any space of it opened."""
    from service.components import Shared

    with closing(Shared(state.settings)) as shared:
        yield shared.database


COMMANDS = (token, audit)
