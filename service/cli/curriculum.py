"""`curriculum`: what a night trained on as rows for other programs, and rows of others for the nights to come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from service.cli.exchange import FILE, whole_file
from service.cli.output import Bars, State, print_json, print_table

_FINDINGS = {
    "sound": "would be trained: the graph holds all that they say",
    "contradicts": "refused: the graph holds another value",
    "unknown": "refused: the graph knows nothing of it, or less than they say",
    "partial": "refused: they give some of several values",
    "held_out": "refused: too near to a question of the exam",
}


@click.group()
def curriculum() -> None:
    """Training rows in and out, as questions with answers or as conversations in ChatML."""


@curriculum.command("export")
@click.argument("run", required=False)
@click.option("--format", "format_", type=click.Choice(["qa", "turns"]), default="qa", show_default=True)
@click.option("--out", type=FILE, required=True, help="The file to write (- for standard output).")
@click.pass_obj
def export(state: State, run: str | None, format_: str, out: Path) -> None:
    """Write what a RUN trained on (default: the newest night) as JSON lines."""
    from service.entrances.curriculum import export_rows

    with state.services() as services, whole_file(out) as output:
        run_id, n_written, n_left_out = export_rows(services, run, format_, output)
    if str(out) != "-":
        left = f", {n_left_out} left out because they quote marks of ChatML" if n_left_out else ""
        click.echo(f"{n_written} rows of night {run_id} written to {out}{left}")


@curriculum.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def import_(state: State, file: Path, as_json: bool) -> None:
    """Keep the training rows of FILE for the nights to come; each night trains those that the graph bears out."""
    from service.entrances.curriculum import import_rows

    with state.services() as services, Bars() as bars:
        report = import_rows(services, file, bars.step("rows"))
        bars.finish("rows")
    if as_json:
        print_json(report)
        return
    more = f", {report['over']} beyond what can wait" if report["over"] else ""
    click.echo(f"{report['rows']} rows read: {report['new']} new, {report['known']} known{more}")
    for count in report["skipped"]:
        click.echo(f"  not read, {', '.join(count['places'])}: {count['reason']} ({count['n']} times)")
    _print_waiting(report["waiting"])


@curriculum.command("waiting")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def waiting(state: State, as_json: bool) -> None:
    """Show how many imported rows wait, and what the graph says of their texts today."""
    from service.entrances.curriculum import waiting_rows

    with state.services() as services:
        found = waiting_rows(services)
    if as_json:
        print_json(found)
    else:
        _print_waiting(found)


@curriculum.command("clear")
@click.pass_obj
def clear(state: State) -> None:
    """Forget the imported rows that wait; what nights have trained stays trained."""
    from service.entrances.curriculum import clear_rows

    with state.services() as services:
        n = clear_rows(services)
    click.echo(f"{n} rows forgotten")


def _print_waiting(found: dict[str, Any]) -> None:
    rows = [[n, _FINDINGS[name]] for name, n in found["texts"].items() if n]
    click.echo(f"{found['rows']} rows wait")
    if rows:
        print_table(["texts", "as the graph is now"], rows)


COMMANDS = (curriculum,)
