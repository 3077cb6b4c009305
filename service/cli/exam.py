"""`exam`: what a night's exam found, and the same questions asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from consolidation.stage import EXAM_NUMBERS
from service.cli.output import Bars, State, print_json, print_table

if TYPE_CHECKING:
    from consolidation.again import SecondExam


@click.command()
@click.argument("run", required=False)
@click.option("--again", is_flag=True, help="Ask its questions again of the weights that serve now.")
@click.option("--as-published", is_flag=True, help="With --again: of the night's own weights.")
@click.option("--failed", is_flag=True, help="With --again: list the questions whose mark has changed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def exam(state: State, run: str | None, again: bool, as_published: bool, failed: bool, as_json: bool) -> None:
    """Show the exam of a RUN (default: the newest that has one); a beginning of its id will do."""
    if (as_published or failed) and not again:
        raise click.UsageError("--as-published and --failed need --again")
    if again:
        _exam_again(state, run, as_published=as_published, failed=failed, as_json=as_json)
        return
    from consolidation.runs import examined

    with state.services() as services:
        _, numbers = examined(services.database, services.space_id, run)
    if as_json:
        print_json(numbers)
    else:
        print_exam(numbers)


def _exam_again(state: State, run: str | None, *, as_published: bool, failed: bool, as_json: bool) -> None:
    with state.services() as services, Bars() as bars:
        found = services.exam_again(run, as_published=as_published, progress=bars.step("exam"))
        bars.finish("exam")
    if as_json:
        print_json(found.as_json())
        return
    print_second_exam(found, whose="its own weights" if as_published else "the weights that serve")
    if failed:
        _print_changed(found)


def print_second_exam(found: SecondExam, whose: str) -> None:
    rows = [
        [
            name.replace("_", " "),
            exam_cell(name, found.then),
            exam_cell(name, found.now),
            _change(name, found.then.get(name), found.now.get(name)),
        ]
        for name in EXAM_NUMBERS
        if found.then.get(name) is not None or found.now.get(name) is not None
    ]
    print_table(["exam", "then", "now", "change"], rows, title=f"night {found.run_id}, asked of {whose}")
    lost = sum(not item.is_right for item in found.changed)
    served = f"recipe {found.recipe[:12]}" if found.recipe else "the base model, without any night's weights"
    click.echo(f"{served}: {lost} answers lost, {len(found.changed) - lost} gained")


def _change(name: str, then: float | None, now: float | None) -> str:
    if then is None or now is None:
        return ""
    return f"{now - then:+.3f}" if name == "kl_to_base" else f"{100 * (now - then):+.1f}"


def _print_changed(found: SecondExam) -> None:
    if not found.changed:
        click.echo("no mark has changed")
        return
    rows = [
        ["gained" if item.is_right else "lost", item.kind, item.question, item.then, item.now]
        for item in found.changed
    ]
    print_table(["", "number", "question", "then", "now"], rows)


def print_exam(exam: dict[str, Any]) -> None:
    """The exam's numbers, one column per condition; shares in per cent with the count they were taken over."""
    if not exam:
        return
    rows = [
        [name.replace("_", " ")] + [exam_cell(name, numbers) for numbers in exam.values()]
        for name in EXAM_NUMBERS
    ]
    print_table(["exam", *exam], [row for row in rows if any(row[1:])])


def exam_cell(name: str, numbers: dict[str, Any]) -> str:
    """One number for people, with its unit and count."""
    value, count = numbers.get(name), numbers.get("n", {}).get(name)
    if value is None:
        return ""
    if name == "kl_to_base":
        return f"{value:.3f} nats"
    if name == "ppl_change":
        return f"{100 * value:+.1f} %"
    return f"{100 * value:.0f} %" + (f" of {count}" if count else "")


COMMANDS = (exam,)
