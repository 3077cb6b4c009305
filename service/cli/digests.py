"""`digest list`, `digest show`: old talk by the messages that tell most of it."""

from __future__ import annotations

from datetime import datetime

import click

from service.cli.output import Date, State, print_json, print_table

_as_of = click.option("--as-of", type=Date(), help="Only what had ended by that day.")
_known_to = click.option("--known-to", metavar="NAME", help="Only of conversations that person took part in.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def digest() -> None:
    """Old months of talk, each by the messages that tell most of it. The night makes them."""


@digest.command("list")
@_as_of
@_known_to
@_json
@click.pass_obj
def list_all(state: State, as_of: datetime | None, known_to: str | None, as_json: bool) -> None:
    """List the digests by time."""
    from service.entrances import digest as digest_entrance

    with state.services() as services:
        found = digest_entrance.digests(services, known_to=known_to, as_of=as_of)
    if as_json:
        print_json(found)
    elif found:
        rows = [
            [
                row["id"],
                row["conversation"],
                row["from"][:10],
                row["to"][:10],
                row["messages"],
                len(row["lines"]),
            ]
            for row in found
        ]
        print_table(["id", "conversation", "from", "to", "messages", "lines"], rows)
    else:
        click.echo("no digest yet: `slowwave sleep` makes one of each month that is long past")


@digest.command()
@click.argument("digest_id", metavar="ID")
@_as_of
@_known_to
@_json
@click.pass_obj
def show(state: State, digest_id: str, as_of: datetime | None, known_to: str | None, as_json: bool) -> None:
    """Show the digest ID: who said what, and when."""
    from service.entrances import digest as digest_entrance

    with state.services() as services:
        found = digest_entrance.digest(services, digest_id, known_to=known_to, as_of=as_of)
    if as_json:
        print_json(found)
        return
    span = f"{found['from'][:10]} to {found['to'][:10]}"
    click.echo(f"{found['conversation']}, {span}: {len(found['lines'])} of {found['messages']} messages")
    for line in found["lines"]:
        time = line["time"][:16].replace("T", " ")
        click.echo(f"  {time} {line['speaker']}: {' '.join(line['text'].split())}")


COMMANDS = (digest,)
