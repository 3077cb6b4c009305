"""`why-said`: which messages of the history made a persona say something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from service.cli.output import Bars, State, print_json, print_table

if TYPE_CHECKING:
    from simulator.attribution import Method

METHODS = ("activation", "gradient", "bm25", "dense")
_EXCERPT = 60  # characters
_LISTED = 10  # turns


@click.command("why-said")
@click.argument("turn", required=False)
@click.option("--text", metavar="TEXT", help="Explain this reply instead of a turn of a talk.")
@click.option(
    "--context",
    "context",
    multiple=True,
    metavar="TEXT",
    help="With --text: what was said before; repeatable.",
)
@click.option("--known-to", metavar="NAME", help="With --text: only messages that person can know.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="activation",
    show_default=True,
    help="How messages are compared; docs/readouts.md says how well each finds the cause.",
)
@click.option("-k", "k", type=click.IntRange(1, 100), default=5, show_default=True, help="How many messages.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def why_said(
    state: State,
    turn: str | None,
    text: str | None,
    context: tuple[str, ...],
    known_to: str | None,
    method: Method,
    k: int,
    as_json: bool,
) -> None:
    """Which messages made a persona say this TURN: its id, the beginning of one, or `last`.

    Without a TURN or --text, list the newest turns. Only messages that the persona could know by then are shown.
    """
    from service.entrances.why import Question, Watch, turns
    from service.entrances.why import why_said as explain

    if turn is not None and text is not None:
        raise click.UsageError("give a TURN or --text, not both")
    if text is None and (context or known_to):
        raise click.UsageError("--context and --known-to go with --text")
    if text is not None and not text.strip():
        raise click.UsageError("--text is empty; give the reply to explain")
    with state.services() as services:
        if turn is None and text is None:
            _list(turns(services, _LISTED), as_json=as_json)
            return
        with Bars() as bars:
            watch = Watch(bars.step("index"), bars.step(method))
            found = explain(services, Question(turn, text, context, known_to, method, k), watch)
    if as_json:
        print_json(found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    if not found["messages"]:
        click.echo("no message of the history could be compared with it")
        return
    rows = [
        (item["time"][:10], item["speaker"], f"{item['score']:.3f}", _excerpt(item["text"]))
        for item in found["messages"]
    ]
    print_table(("date", "speaker", found["method"], "message"), rows, title=_excerpt(found["said"]))


def _list(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("no persona has said anything yet; `slowwave chat` begins a talk")
        return
    rows = [(item["time"][:16], item["id"], item["speaker"], _excerpt(item["text"])) for item in found]
    print_table(("time", "turn", "speaker", "said"), rows)


def _excerpt(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _EXCERPT else one_line[: _EXCERPT - 1] + "…"


COMMANDS = (why_said,)
