"""`ask` and `search`: what the graph answers, and what the retrieval finds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from service.cli.output import Date, State, print_json, print_table

KINDS = ("episode", "fact", "session", "digest")


@click.command()
@click.argument("question")
@click.option("--as-of", type=Date(), help="As it was on that day.")
@click.option("--known-to", metavar="NAME", help="As that person could answer.")
@click.option("--asked-by", metavar="NAME", help='Who "I" is (default: the person of --known-to).')
@click.option("--explain", is_flag=True, help="Show what was understood and what the answer rests on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def ask(state: State, /, question: str, explain: bool, as_json: bool, **limits: Any) -> None:
    """Answer a QUESTION from the graph, with its facts and messages; abstain where it knows nothing."""
    from memory.ask import answer_json, explain_json

    with state.services() as services:
        answer = services.ask(question, **limits)
    if as_json:
        print_json(answer_json(answer) | ({"explain": explain_json(answer)} if explain else {}))
        return
    click.echo(answer.text)
    for fact in answer.facts:
        said = f"{fact.subject} · {fact.predicate.replace('_', ' ')} · {fact.object}"
        click.echo(f"  fact     {said}  ({fact.status}, {fact.id})")
    for episode in answer.evidence:
        text = " ".join(episode.text.split())
        click.echo(f"  message  {episode.time:%Y-%m-%d %H:%M} {episode.speaker}: {text[:110]}")
    if explain:
        print_json(explain_json(answer))


def _kinds(_context: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(kind.strip() for kind in value.split(",") if kind.strip()))
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise click.BadParameter(f"give one or more of {', '.join(KINDS)}, with commas between them")
    return kinds


@click.command()
@click.argument("query")
@click.option("-k", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many hits.")
@click.option(
    "--kinds", callback=_kinds, default="episode,fact", show_default=True, help=f"Of {', '.join(KINDS)}."
)
@click.option("--as-of", type=Date(), help="Nothing that was said later.")
@click.option("--known-to", metavar="NAME", help="Only what that person can know.")
@click.option("--explain", is_flag=True, help="Show the parts of each score.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def search(
    state: State,
    query: str,
    k: int,
    kinds: tuple[str, ...],
    as_of: datetime | None,
    known_to: str | None,
    explain: bool,
    as_json: bool,
) -> None:
    """List the messages, facts, sessions and digests nearest to a QUERY, best first."""
    with state.services() as services:
        hits = services.search(query, k, kinds=kinds, as_of=as_of, known_to=known_to)
    if as_json:
        print_json(hits)
        return
    if not hits:
        click.echo("nothing found")
        return
    rows = [
        [
            f"{hit['score']:.2f}",
            hit["kind"],
            (hit["time"] or "")[:10],
            hit["speaker"],
            _shown(hit, is_explained=explain),
        ]
        for hit in hits
    ]
    print_table(["score", "kind", "day", "by", "text"], rows)


def _shown(hit: dict[str, Any], *, is_explained: bool) -> str:
    text = " ".join(hit["text"].split())[:200]
    if not is_explained:
        return text
    parts = sorted(hit["parts"].items(), key=lambda part: -abs(part[1]))
    return f"{text}\n{', '.join(f'{name} {value:+.2f}' for name, value in parts)}"


COMMANDS = (ask, search)
