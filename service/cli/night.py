"""`runs`, `decisions`, `undo`, `roll-back`: the nights, what they decided, and which of them serves."""

from __future__ import annotations

from typing import Any

import click

from service.cli.output import State, print_json, print_table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def runs(state: State, as_json: bool) -> None:
    """List the nights, the newest first."""
    from service.entrances import run as run_entrance

    with state.services() as services:
        found = run_entrance.runs(services)
    if as_json:
        print_json(found)
        return
    rows = [
        [
            run["run"],
            run["started"][:16].replace("T", " "),
            run["status"],
            "yes" if run["published"] else "",
            run["error"],
        ]
        for run in found
    ]
    print_table(["run", "started", "status", "published", "why"], rows)


@click.command()
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def decisions(state: State, run: str | None, as_json: bool) -> None:
    """List what a RUN decided (default: every decision), with reasons."""
    from consolidation.runs import find_run
    from memory.facts import get_fact, list_decisions, sentence

    with state.services() as services:
        if run is not None:
            run = find_run(services.database, services.space_id, run).id
        found: list[dict[str, Any]] = [
            {
                "id": row.id,
                "run": row.run_id,
                "decision": row.kind,
                "fact": row.fact_id,
                "statement": sentence(get_fact(services.database, services.space_id, row.fact_id)),
                "reasons": [str(reason) for reason in row.reasons],
                "undone": row.undone_at is not None,
            }
            for row in list_decisions(services.database, services.space_id, run_id=run)
        ]
    if as_json:
        print_json(found)
        return
    rows = [
        [
            row["id"],
            row["decision"],
            row["statement"],
            "; ".join(row["reasons"]),
            "undone" if row["undone"] else "",
        ]
        for row in found
    ]
    print_table(["id", "decision", "fact", "reasons", ""], rows)


@click.command()
@click.argument("decision")
@click.pass_obj
def undo(state: State, decision: str) -> None:
    """Undo a DECISION by its id; what it superseded comes back with its interval."""
    from memory.facts import undo as undo_decision

    with state.services() as services:
        undo_decision(services.database, services.space_id, decision, services.registry, clock=services.clock)
    click.echo(f"undone: {decision}")


@click.command("roll-back")
@click.option("--to", "to_run", metavar="RUN", help="The night to go back to (default: the one before).")
@click.pass_obj
def roll_back(state: State, to_run: str | None) -> None:
    """Let an earlier night's artifacts serve again."""
    from service.entrances import run as run_entrance

    with state.services() as services:
        night = run_entrance.roll_back(services, to_run)["run"]
    click.echo(f"serving night {night}" if night else "serving the base model; no night is published")


COMMANDS = (runs, decisions, undo, roll_back)
