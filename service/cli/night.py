"""`sleep`, `runs`, `exam`, `decisions`, `undo`, `recipe`, `roll-back`: the night and what it decided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from consolidation.stage import EXAM_NUMBERS
from service.cli.output import Bars, State, print_json, print_table

if TYPE_CHECKING:
    from consolidation.night import NightReport


@click.command()
@click.option("--seed", type=int, help="Seed of the night (default: the settings').")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Cap on the training, in minutes."
)
@click.option("--model", metavar="MODEL", help="Base model: embedded, a folder, a .gguf file or a hub id.")
@click.option("--fresh", is_flag=True, help="Begin a new night even where one was interrupted.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def sleep(
    state: State, seed: int | None, minutes: float | None, model: str | None, fresh: bool, as_json: bool
) -> None:
    """Run a night: score, check, decide, train, examine, publish behind a gate. Resumes an interrupted one."""
    night = state.settings.night
    if seed is not None:
        night = replace(night, seed=seed)
    if minutes is not None:
        night = replace(night, train=replace(night.train, max_minutes=minutes))
    if model is not None:
        night = replace(night, base_model=model)
    with state.services() as services, Bars() as bars:
        report = services.sleep(
            settings=night, watch=bars.step, resume=not fresh, on_stage=lambda stage: bars.finish(stage.name)
        )
        if report.status != "done":
            bars.erase()
    if as_json:
        print_json(report.as_json())
    else:
        _print_night(report)
    if report.status != "done":
        raise click.ClickException(_line(report))


def _line(report: NightReport) -> str:
    """Why the night was not published, for stderr."""
    reason = report.reason or "its report says why"
    if report.status == "interrupted":
        return reason
    return f"the night failed: {reason}" if report.status == "failed" else f"nothing was published: {reason}"


def _print_night(report: NightReport) -> None:
    rows = [
        [
            stage.name,
            f"{stage.seconds:.1f}",
            ", ".join(f"{value:g} {key.replace('_', ' ')}" for key, value in stage.counts.items()),
        ]
        for stage in report.stages
    ]
    print_table(["stage", "seconds", "counts"], rows, title=f"night {report.run_id}")
    print_exam(report.exam)
    outcome = "published" if report.is_published else "nothing published"
    click.echo(f"{report.status}, {outcome}" + (f": {report.reason}" if report.reason else ""))
    if report.report_path:
        click.echo(f"report: {report.report_path}")


def print_exam(exam: dict[str, Any]) -> None:
    """The exam's numbers, one column per condition; shares in per cent with the count they were taken over."""
    if not exam:
        return
    rows = [
        [name.replace("_", " ")] + [_cell(name, numbers) for numbers in exam.values()]
        for name in EXAM_NUMBERS
    ]
    print_table(["exam", *exam], [row for row in rows if any(row[1:])])


def _cell(name: str, numbers: dict[str, Any]) -> str:
    value, count = numbers.get(name), numbers.get("n", {}).get(name)
    if value is None:
        return ""
    if name == "kl_to_base":
        return f"{value:.3f} nats"
    if name == "ppl_change":
        return f"{100 * value:+.1f} %"
    return f"{100 * value:.0f} %" + (f" of {count}" if count else "")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def runs(state: State, as_json: bool) -> None:
    """List the nights, the newest first."""
    from consolidation.runs import list_runs, reap

    with state.services() as services:
        reap(services.database, services.space_id)
        found = list_runs(services.database, services.space_id)
    if as_json:
        print_json(
            [
                {
                    "run": run.id,
                    "status": run.status,
                    "started": run.started_at.isoformat(),
                    "published": run.is_published,
                    "error": run.error,
                }
                for run in found
            ]
        )
        return
    rows = [
        [run.id, f"{run.started_at:%Y-%m-%d %H:%M}", run.status, "yes" if run.is_published else "", run.error]
        for run in found
    ]
    print_table(["run", "started", "status", "published", "why"], rows)


@click.command()
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def exam(state: State, run: str | None, as_json: bool) -> None:
    """Show the exam of a RUN (default: the newest that has one)."""
    from consolidation.runs import get_run, list_runs, stage_records

    with state.services() as services:
        nights = [get_run(services.database, run)] if run else list_runs(services.database, services.space_id)
        for run_id in (night.id for night in nights):
            records = stage_records(services.database, run_id)
            if "exam" in records and records["exam"].output.get("exam"):
                numbers = records["exam"].output["exam"]
                break
        else:
            which = f"night {run} was not examined" if run else "no night has been examined yet"
            raise click.ClickException(f"{which}; run `slowwave sleep`")
    if as_json:
        print_json(numbers)
    else:
        print_exam(numbers)


@click.command()
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def decisions(state: State, run: str | None, as_json: bool) -> None:
    """List what a RUN decided (default: every decision), with reasons."""
    from consolidation.runs import get_run
    from memory.facts import get_fact, list_decisions, sentence

    with state.services() as services:
        if run is not None:
            get_run(services.database, run)
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


@click.group()
def recipe() -> None:
    """The version of the persona: which nights' weights it is made of."""


@recipe.command("log")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def recipe_log(state: State, as_json: bool) -> None:
    """The entries of the recipe that serves now, the newest first."""
    from consolidation.recipe import current_recipe

    with state.services() as services:
        found = current_recipe(services.database, services.space_id, services.settings.home)
    if as_json:
        print_json(None if found is None else found.as_json())
        return
    if found is None:
        click.echo("no recipe yet; run `slowwave sleep`")
        return
    click.echo(f"recipe {found.sha256[:12]} on base {found.base_hash[:12]}")
    rows = [
        [entry.adapter_sha256[:12], f"{entry.coefficient:g}", entry.run_id, entry.label]
        for entry in reversed(found.entries)
    ]
    print_table(["vector", "coefficient", "night", "what"], rows)


@click.command("roll-back")
@click.option("--to", "to_run", metavar="RUN", help="The night to go back to (default: the one before).")
@click.pass_obj
def roll_back(state: State, to_run: str | None) -> None:
    """Let an earlier night's artifacts serve again."""
    from consolidation.publish import roll_back as move_back

    with state.services() as services:
        pointer = move_back(services.database, services.space_id, to_run=to_run, clock=services.clock)
    click.echo(
        f"serving night {pointer.run_id}"
        if pointer.run_id
        else "serving the base model; no night is published"
    )


COMMANDS = (sleep, runs, exam, decisions, undo, recipe, roll_back)
