"""`exam`: what a night's exam found, the same questions asked again, and what it taught asked in conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from consolidation.stage import EXAM_NUMBERS
from service.cli.output import Bars, State, print_json, print_table

if TYPE_CHECKING:
    from consolidation.again import SecondExam

# the tests of consolidation.conversations, as people read them
CONVERSATIONS = {
    "single": "single question",
    "six_turns": "six turns",
    "correction": "correction",
    "extended": "a hundred turns",
}
KINDS_SAID = ("recall", "correction", "unknown")


class Conditions(click.ParamType[tuple[str, ...]]):
    """Names of the exam's conditions with commas between them."""

    name = "names"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, ...]:
        from consolidation.exam import CONDITIONS

        wanted = tuple(part.strip() for part in str(value).split(","))
        unknown = [name for name in wanted if name not in CONDITIONS]
        if unknown:
            known = ", ".join(CONDITIONS)
            self.fail(f"{unknown[0]!r} is no condition of the exam; it has {known}", param, context)
        return wanted


@click.command()
@click.argument("run", required=False)
@click.option("--again", is_flag=True, help="Ask its questions again of the weights that serve now.")
@click.option("--as-published", is_flag=True, help="With --again: of the night's own weights.")
@click.option(
    "--conditions",
    type=Conditions(),
    help="With --again or --judge: which of base, retrieval, weights, both, with commas (default: weights).",
)
@click.option("--failed", is_flag=True, help="With --again: list the questions whose mark has changed.")
@click.option(
    "--conversations",
    is_flag=True,
    help="Ask what it taught in four kinds of conversation, of the night's own weights.",
)
@click.option(
    "--judge",
    is_flag=False,
    flag_value="",
    metavar="[BACKEND]",
    help="Grade its recorded answers also by the settings' language model, or by `local`; nothing is stored.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def exam(
    state: State,
    run: str | None,
    again: bool,
    as_published: bool,
    conditions: tuple[str, ...] | None,
    failed: bool,
    conversations: bool,
    judge: str | None,
    as_json: bool,
) -> None:
    """Show the exam of a RUN (default: the newest that has one); a beginning of its id will do."""
    if (as_published or failed) and not again:
        raise click.UsageError("--as-published and --failed need --again")
    if conditions and not again and judge is None:
        raise click.UsageError("--conditions needs --again or --judge")
    if again + conversations + (judge is not None) > 1:
        raise click.UsageError("--again, --conversations and --judge are three things; ask for one of them")
    if judge is not None:
        _judge(state, run, judge, conditions or ("weights",), as_json=as_json)
        return
    if conversations:
        _converse(state, run, as_json=as_json)
        return
    if again:
        asked = {"as_published": as_published, "conditions": conditions or ("weights",)}
        _exam_again(state, run, asked, failed=failed, as_json=as_json)
        return
    from consolidation.runs import examined

    with state.services() as services:
        _, numbers = examined(services.database, services.space_id, run)
    if as_json:
        print_json(numbers)
    else:
        print_exam(numbers)


def _exam_again(state: State, run: str | None, asked: dict[str, Any], *, failed: bool, as_json: bool) -> None:
    """`asked`: of whom and under which conditions, as in `Services.exam_again`."""
    with state.services() as services, Bars() as bars:
        found = services.exam_again(run, **asked, progress=bars.step("exam"))
        bars.finish("exam")
    if as_json:
        print_json(found.as_json())
        return
    print_second_exam(found, whose="its own weights" if asked["as_published"] else "the weights that serve")
    if failed:
        _print_changed(found)


def print_second_exam(found: SecondExam, whose: str) -> None:
    """A table for each condition that was asked, and how many marks have changed under it."""
    click.echo(f"night {found.run_id}, asked of {whose}")
    for condition, compared in found.conditions.items():
        rows = [
            [
                name.replace("_", " "),
                exam_cell(name, compared.then),
                exam_cell(name, compared.now),
                _change(name, compared.then.get(name), compared.now.get(name)),
            ]
            for name in EXAM_NUMBERS
            if compared.then.get(name) is not None or compared.now.get(name) is not None
        ]
        print_table([condition, "then", "now", "change"], rows)
        lost = sum(not item.is_right for item in compared.changed)
        click.echo(f"{condition}: {lost} answers lost, {len(compared.changed) - lost} gained")
    served = f"recipe {found.recipe[:12]}" if found.recipe else "the base model, without any night's weights"
    click.echo(f"asked: {served}")


def _change(name: str, then: float | None, now: float | None) -> str:
    if then is None or now is None:
        return ""
    return f"{now - then:+.3f}" if name == "kl_to_base" else f"{100 * (now - then):+.1f}"


def _print_changed(found: SecondExam) -> None:
    changed = [item for compared in found.conditions.values() for item in compared.changed]
    if not changed:
        click.echo("no mark has changed")
        return
    rows = [
        [
            "gained" if item.is_right else "lost",
            item.condition,
            item.kind,
            item.question,
            item.then,
            item.now,
        ]
        for item in changed
    ]
    print_table(["", "condition", "number", "question", "then", "now"], rows)


def _judge(
    state: State, run: str | None, backend: str, conditions: tuple[str, ...], *, as_json: bool
) -> None:
    with state.services() as services, Bars() as bars:
        found = services.exam_judged(run, backend=backend, conditions=conditions, progress=bars.step("judge"))
        bars.finish("judge")
    if as_json:
        print_json(found)
        return
    click.echo(f"night {found['run']}, graded by {found['grader']}")
    for condition, by_kind in found["conditions"].items():
        rows = [
            [
                kind.replace("_", " "),
                f"{numbers['n']}"
                + (f" ({numbers['not_graded']} not graded)" if numbers["not_graded"] else ""),
                *(_share(numbers[name]) for name in ("matching", "judge", "agreement")),
                f"{numbers['only_matching']} / {numbers['only_judge']}",
            ]
            for kind, numbers in by_kind.items()
        ]
        print_table([condition, "answers", "matching", "judge", "agree", "only matching / only judge"], rows)


def _converse(state: State, run: str | None, *, as_json: bool) -> None:
    with state.services() as services, Bars() as bars:
        found = services.exam_conversations(run, progress=bars.step("conversations"))
        bars.finish("conversations")
    if as_json:
        print_json(found)
        return
    numbers = found["conversations"]
    rows = [[name, *_conversation_cells(test, numbers[test])] for test, name in CONVERSATIONS.items()]
    title = f"night {found['run']}, in conversation with its own weights"
    print_table(["test", "right", *KINDS_SAID, ""], rows, title=title)
    click.echo(f"recipe {found['recipe'][:12]}")


def _conversation_cells(test: str, numbers: dict[str, Any] | None) -> list[str]:
    """Right answers of one test, the same by what was said to the model, and what only this test has."""
    if numbers is None:
        return ["", *("" for _ in KINDS_SAID), "too few facts for it"]
    by_kind = numbers["by_kind"]
    return [
        _of(numbers),
        *(_of(by_kind[kind]) if kind in by_kind else "" for kind in KINDS_SAID),
        _of_its_own(test, numbers),
    ]


def _of_its_own(test: str, numbers: dict[str, Any]) -> str:
    if test == "six_turns":
        return "by turn: " + ", ".join(_share(part) for part in numbers["by_turn"] if part is not None)
    if test == "correction":
        return f"took the wrong value over: {_share(numbers['caved'])}"
    if test == "extended":
        return f"first half {_share(numbers['first_half'])}, second {_share(numbers['second_half'])}"
    return ""


def _of(part: dict[str, Any]) -> str:
    return f"{_share(part['right'])} of {part['n']}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


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
