"""`chats list`, `show`, `export`, `claims`, `withdraw`: conversations that were held with personas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from service.cli.output import State, print_json, print_table

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_session = click.argument("session_id", metavar="SESSION")


@click.group()
def chats() -> None:
    """Conversations with personas: what was said, what it rested on, what was made up."""


@chats.command("list")
@click.argument("person", metavar="[PERSON]", required=False)
@_json
@click.pass_obj
def list_all(state: State, person: str | None, as_json: bool) -> None:
    """List the sessions, the newest first; those of PERSON's persona."""
    from service.entrances import chat

    with state.services() as services:
        found = chat.chats(services, person=person)
    if as_json:
        print_json(found)
    elif found:
        rows = [
            [
                row["id"],
                row["person"],
                row["kind"],
                row["began_at"][:16].replace("T", " "),
                row["turns"],
                row["engine"],
            ]
            for row in found
        ]
        print_table(["session", "persona", "kind", "began", "turns", "engine"], rows)
    else:
        click.echo("nobody has talked with a persona yet: `slowwave chat PERSON --as NAME`")


@chats.command()
@_session
@click.option(
    "-v", "--verbose", is_flag=True, help="Also what the persona considered, and what guards objected to."
)
@_json
@click.pass_obj
def show(state: State, session_id: str, verbose: bool, as_json: bool) -> None:
    """Show SESSION turn by turn, with the facts, adapters and claims of each."""
    from service.entrances import chat

    with state.services() as services:
        found = chat.chat(services, session_id)
    if as_json:
        print_json(found)
        return
    click.echo(f"{found['conversation']}, {found['began_at'][:16].replace('T', ' ')} ({found['engine']})")
    for turn in found["turns"]:
        _show(turn)
        if verbose:
            _considered(turn)


def _considered(turn: dict[str, Any]) -> None:
    for line in turn["deliberation"].splitlines():
        click.echo(f"    considered {line}")
    for one in turn["objections"]:
        click.echo(f"    objected   {one['guard']}: {one['reason']}")


def _show(turn: dict[str, Any]) -> None:
    for said in (turn["heard"], turn["reply"]):
        if said:
            click.echo(f"{said['speaker']}: {said['text']}")
    if turn["status"] != "whole":
        click.echo(f"    {turn['status']:<10} after {turn['draws']} draws")
    for held in turn["facts"]:
        fact = held["fact"]
        told = " · ".join(str(fact.get(name, "")) for name in ("subject", "predicate", "object"))
        click.echo(f"    fact       {told.replace('_', ' ')} ({held['place']})")
    for claim in turn["claims"]:
        told = " · ".join((claim["subject"], claim["predicate"], claim["object"])).replace("_", " ")
        click.echo(f"    claim      {'not ' if claim['negated'] else ''}{told} ({claim['basis']})")
    for sha256 in turn["adapters"]:
        click.echo(f"    adapter    {sha256[:12]}")


@chats.command()
@_session
@click.option(
    "--format",
    "format_",
    type=click.Choice(["whatsapp", "jsonl"]),
    default="whatsapp",
    help="Lines as WhatsApp writes them (default), or JSON lines.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="A file instead.")
@click.pass_obj
def export(state: State, session_id: str, format_: str, output: Path | None) -> None:
    """Write what was said in SESSION, every message marked as simulated."""
    from service.entrances import chat

    with state.services() as services:
        lines = chat.export(services, session_id, format_)
    if output is None:
        click.echo("\n".join(lines))
        return
    output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    click.echo(f"{len(lines)} messages written to {output}")


@chats.command()
@click.argument("person", metavar="[PERSON]", required=False)
@click.option("--all", "everything", is_flag=True, help="Also what rests on facts, and what was withdrawn.")
@_json
@click.pass_obj
def claims(state: State, person: str | None, everything: bool, as_json: bool) -> None:
    """List what personas made up and stand by; what PERSON's persona did. None of it is a fact."""
    from service.entrances import chat

    with state.services() as services:
        found = chat.claims(services, person=person, everything=everything)
    if as_json:
        print_json(found)
    elif found:
        rows = [
            [
                row["id"],
                row["person"],
                f"{'not ' if row['negated'] else ''}{row['subject']} · {row['predicate'].replace('_', ' ')}",
                row["object"],
                row["basis"],
                row["state"],
                row["said_at"][:10],
            ]
            for row in found
        ]
        print_table(["claim", "persona", "of", "value", "basis", "state", "said"], rows)
    else:
        click.echo("no persona has made anything up")


@chats.command()
@click.argument("claim_id", metavar="CLAIM")
@_json
@click.pass_obj
def withdraw(state: State, claim_id: str, as_json: bool) -> None:
    """Let the persona no longer stand by CLAIM, nor by what repeated it."""
    from service.entrances import chat

    with state.services() as services:
        taken = chat.withdraw(services, claim_id)
    if as_json:
        print_json({"withdrawn": taken})
    else:
        click.echo(f"{len(taken)} claims withdrawn" if len(taken) != 1 else "1 claim withdrawn")


COMMANDS = (chats,)
