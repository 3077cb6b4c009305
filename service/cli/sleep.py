"""`sleep`: the night itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.exam import exam_cell, print_exam
from service.cli.options import SEED
from service.cli.output import Bars, State, is_in_memory, page_shown, print_json, print_table

if TYPE_CHECKING:
    from consolidation.night import NightReport

SWEPT_NUMBERS = (
    "recall_paraphrase",
    "recall_earlier_nights",
    "neighbour_intact",
    "unknown_refused",
    "ppl_change",
)


@click.group(invoke_without_command=True)
@click.option("--seed", type=SEED, help="Seed of the night (default: the settings').")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Cap on the training, in minutes."
)
@click.option("--model", metavar="MODEL", help="Base model: embedded, a folder, a .gguf file or a hub id.")
@click.option("--fresh", is_flag=True, help="Begin a new night even where one was interrupted.")
@click.option(
    "--sweep",
    "sweep_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Instead of a night, try the recipes of a TOML or JSON file on a copy of the space; nothing is published.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def sleep(
    context: click.Context,
    seed: int | None,
    minutes: float | None,
    model: str | None,
    fresh: bool,
    sweep_file: Path | None,
    as_json: bool,
) -> None:
    """Run a night: score, check, decide, train, examine, publish behind a gate. Resumes an interrupted one."""
    if context.invoked_subcommand is not None:
        return
    state: State = context.obj
    if sweep_file is not None:
        if (seed, minutes, model) != (None, None, None):
            raise click.UsageError("--seed, --minutes and --model belong into the sweep's file")
        _sweep(state, sweep_file, fresh=fresh, as_json=as_json)
        return
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


def _sweep(state: State, path: Path, *, fresh: bool, as_json: bool) -> None:
    with state.services() as services, Bars() as bars:
        report = services.sweep(path, progress=bars.step("recipes"), fresh=fresh)
        bars.finish("recipes")
    if as_json:
        print_json(report.as_json())
        return
    rows = [
        [
            cell.name,
            "" if cell.score is None else f"{100 * cell.score:.1f} %",
            *(exam_cell(name, cell.exam or {}) for name in SWEPT_NUMBERS),
            f"{cell.seconds:.0f} s",
            cell.error or ("passes" if cell.is_passed else "fails " + ", ".join(cell.failed_numbers)),
        ]
        for cell in report.cells
    ]
    headings = ["recipe", "score", *(name.replace("_", " ") for name in SWEPT_NUMBERS), "training", "gate"]
    print_table(headings, rows, title=f"sweep {report.sweep_id}")
    click.echo(f"order: {report.criterion}")
    click.echo(f"nothing was published; report: {page_shown(report.page)}")


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
    if report.before:
        said = exam_cell("recall_earlier_nights", report.before)
        click.echo(f"of the questions about earlier nights, what served before answered {said}")
    if report.backend is not None:
        why = f" ({report.backend_reason})" if report.backend_reason else ""
        click.echo(f"trained by: {report.backend}{why}")
    outcome = "published" if report.is_published else "nothing published"
    click.echo(f"{report.status}, {outcome}" + (f": {report.reason}" if report.reason else ""))
    if report.report_path:
        click.echo(f"report: {page_shown(report.report_path)}")


@sleep.command("report")
@click.argument("run", required=False)
@click.option("--open", "opens", is_flag=True, help="Open the page in a browser.")
@click.option("--path", "only_path", is_flag=True, help="Print nothing but the page's path.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def report(state: State, run: str | None, opens: bool, only_path: bool, as_json: bool) -> None:
    """Show what a RUN did (default: the newest) and where its page is; a beginning of its id will do.

    A page whose file is gone is made again.
    """
    from consolidation.errors import StageFailed
    from memory.errors import TaintedArtifact, WrongKindOfHome

    page: Path | None = None
    with state.services() as services:
        if (opens or only_path) and is_in_memory(services.settings.home):
            raise WrongKindOfHome(
                "the home is encrypted and its pages leave it by no path; `slowwave serve` shows them"
            )
        found = services.night(run)
        try:
            page = services.night_page(found.run_id)
        except (StageFailed, TaintedArtifact):  # it is not over, or its page held what was erased
            if opens or only_path:
                raise
    found = replace(found, report_path=page)
    if as_json:
        print_json(found.as_json())
    elif only_path:
        click.echo(page)
    else:
        _print_night(found)
    if opens and page is not None:
        click.launch(page.as_uri())


COMMANDS = (sleep,)
