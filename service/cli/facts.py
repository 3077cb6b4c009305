"""`facts`, `fact` and `predicates`: what is known, stated by hand, and of which kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from service.cli.output import Date, State, print_json, print_table

_F = TypeVar("_F", bound=Callable[..., Any])

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_by = click.option("--by", metavar="NAME", help="Who says so (default: the keeper of the settings).")
_person = click.argument("person", required=False)


def _reading(command: _F) -> _F:
    """When, as recorded when, and known to whom."""
    for option in (
        click.option("--known-to", metavar="NAME", help="Only what that person can know."),
        click.option("--as-recorded", type=Date(), help="As the store had it on that day."),
        click.option("--as-of", type=Date(), help="What held on that day."),
    ):
        command = option(command)
    return command


@click.command()
@_person
@_reading
@click.option("--history", is_flag=True, help="Everything that ever held, and what was withdrawn.")
@click.option("--topic", help="Only facts under that topic; `slowwave predicates` lists them.")
@click.option("--predicate", help="Only facts with that predicate.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, help="Of everybody's, how many at a time."
)
@click.option("--after", metavar="ID", help="Of everybody's, those behind that fact.")
@_json
@click.pass_obj
def facts(
    state: State, /, person: str | None, limit: int, after: str | None, as_json: bool, **asked: Any
) -> None:
    """Facts about a PERSON or everybody, with when they held and how many messages support them."""
    from service.entrances import fact as fact_entrance

    if person is not None and after is not None:
        raise click.UsageError("--after pages everybody's facts; leave out PERSON")
    question = fact_entrance.FactQuestion(**asked)
    with state.services() as services:
        if person is None:
            page = fact_entrance.of_everybody(services, question, limit=limit, after=after)
            if as_json:
                print_json(page)
            else:
                _print_page(page)
            return
        found = fact_entrance.of_person(services, person, question)
        name = services.person(person).name
    if as_json:
        print_json(found)
    elif found:
        print_table(_HEADINGS, [_row(fact) for fact in found], title=name)
    else:
        click.echo(f"nothing is known about {name} yet")


_HEADINGS = ("predicate", "object", "from", "to", "status", "conf", "messages", "id")


def _row(fact: Mapping[str, Any]) -> list[Any]:
    status = ", ".join([fact["status"], *(["stale"] if fact["stale"] else []), *fact["sensitive"]])
    return [
        fact["predicate"].replace("_", " "),
        fact["object"],
        (fact["valid_from"] or "")[:10],
        (fact["valid_to"] or "")[:10],
        status,
        f"{fact['confidence']:.2f}",
        len(fact["evidence"]),
        fact["id"],
    ]


def _print_page(page: Mapping[str, Any]) -> None:
    if not page["facts"]:
        click.echo("no facts; `slowwave import FILE` reads a chat, `slowwave fact add` states one")
        return
    print_table(("person", *_HEADINGS), [[fact["subject"], *_row(fact)] for fact in page["facts"]])
    if page["next"]:
        click.echo(f"there is more: --after {page['next']}")


@click.group()
def fact() -> None:
    """One fact: its story, and what a person says about it by hand."""


@fact.command()
@click.argument("fact_id", metavar="ID")
@_reading
@_json
@click.pass_obj
def show(state: State, /, fact_id: str, as_json: bool, **asked: Any) -> None:
    """Show the fact ID: who said it, what it superseded and what superseded it, what was decided."""
    from service.entrances import fact as fact_entrance

    with state.services() as services:
        told = fact_entrance.story(services, fact_id, fact_entrance.FactQuestion(**asked))
    if as_json:
        print_json(told)
    else:
        print_story(told)


_KINDS = {"fixed": "cannot change", "slow": "changes slowly", "passing": "a passing state"}


def print_story(told: Mapping[str, Any]) -> None:
    """A fact with what it superseded, its messages and its decisions, from the story's JSON."""
    print_table(_HEADINGS, [_row(told)], title=told["subject"] + (" (pinned)" if told["pinned"] else ""))
    click.echo(f"  {'kind of truth':<14} {_KINDS[told['kind']]}")
    after = [told["superseded_by"]] if told["superseded_by"] else []
    for heading, others in (
        ("superseded by", after),
        ("supersedes", told["supersedes"]),
        ("contested with", told["contested_with"]),
    ):
        for other in others:
            click.echo(f"  {heading:<14} {other['object']}  ({other['status']}, {other['id']})")
    for message in told["messages"]:
        text = " ".join(message["text"].split())
        click.echo(
            f"  {'message':<14} {message['time'][:16].replace('T', ' ')} {message['speaker']}: {text[:110]}"
        )
    _print_decisions(told["decisions"])


@fact.command()
@click.argument("person")
@click.argument("predicate")
@click.argument("object")
@click.option("--from", "valid_from", type=Date(), help="Since when (default: today).")
@click.option("--to", "valid_to", type=Date(), help="Until when; the first day on which it no longer held.")
@_by
@click.option(
    "--object-kind",
    type=click.Choice(("person", "place", "organisation", "thing", "text")),
    help="What the object is (default: as the registry says).",
)
@click.option(
    "--strict", "is_strict", is_flag=True, help="Refuse a predicate that the registry does not know."
)
@click.option("--new", "is_new", is_flag=True, help="Make a new person although others have names like it.")
@_json
@click.pass_obj
def add(state: State, /, by: str | None, as_json: bool, **said: Any) -> None:
    """State that PERSON PREDICATE OBJECT, for example: fact add Ana lives_in Porto."""
    from memory.statements import Statement
    from service.entrances import fact as fact_entrance

    with state.services() as services:
        _print_stated(fact_entrance.state(services, Statement(**said), by), as_json=as_json)


@fact.command()
@click.argument("fact_id", metavar="ID")
@click.argument("object")
@_by
@_json
@click.pass_obj
def correct(state: State, fact_id: str, object: str, by: str | None, as_json: bool) -> None:
    """The fact ID was never true: OBJECT was, over the same time."""
    from service.entrances import fact as fact_entrance

    with state.services() as services:
        _print_stated(fact_entrance.correct(services, fact_id, object, by), as_json=as_json)


@fact.command()
@click.argument("fact_id", metavar="ID")
@click.option("--on", type=Date(), help="The first day on which it no longer held (default: today).")
@_by
@_json
@click.pass_obj
def end(state: State, fact_id: str, on: datetime | None, by: str | None, as_json: bool) -> None:
    """The fact ID held, and no longer does."""
    from service.entrances import fact as fact_entrance

    with state.services() as services:
        _print_stated(fact_entrance.end(services, fact_id, on, by), as_json=as_json)


@fact.command()
@click.argument("fact_id", metavar="ID")
@_by
@_json
@click.pass_obj
def retract(state: State, fact_id: str, by: str | None, as_json: bool) -> None:
    """The fact ID was never true, and nothing takes its place."""
    from service.entrances import fact as fact_entrance

    with state.services() as services:
        _print_stated(fact_entrance.retract(services, fact_id, by), as_json=as_json)


@fact.command()
@click.argument("decision")
@_json
@click.pass_obj
def undo(state: State, decision: str, as_json: bool) -> None:
    """Undo a DECISION by its id; what it superseded comes back with its interval."""
    from service.entrances import fact as fact_entrance

    with state.services() as services:
        done = fact_entrance.undo(services, decision)
    if as_json:
        print_json(done)
    else:
        click.echo(f"undone: {decision}")


@fact.command()
@click.option("--fact", "fact_id", metavar="ID", help="Only those about that fact.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=100, help="The newest, how many.")
@_json
@click.pass_obj
def decisions(state: State, fact_id: str | None, limit: int, as_json: bool) -> None:
    """List what was decided about facts, with reasons, the newest last."""
    from service.entrances import fact as fact_entrance

    with state.services() as services:
        found = fact_entrance.decisions(services, fact_id, limit)
    if as_json:
        print_json(found)
    elif found:
        _print_decisions(found)
    else:
        click.echo("nothing was decided yet")


def _print_decisions(found: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        [
            row["id"],
            row["decision"],
            row["fact"],
            row["decided_at"][:16].replace("T", " "),
            "; ".join(row["reasons"]),
            "undone" if row["undone"] else "",
        ]
        for row in found
    ]
    if rows:
        print_table(["decision", "kind", "fact", "decided", "reasons", ""], rows)


def _print_stated(stated: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(stated)
        return
    print_table(_HEADINGS, [_row(stated["fact"])], title=stated["fact"]["subject"])
    for other in stated["supersedes"]:
        click.echo(f"  supersedes {other['object']}  ({other['status']}, {other['id']})")
    click.echo(f"  {stated['kind']}; take it back with `slowwave fact undo {stated['decision']}`")


@click.command()
@_json
@click.pass_obj
def predicates(state: State, as_json: bool) -> None:
    """List the predicates: how many values each has at a time, and how fast they change."""
    from service.entrances import fact as fact_entrance

    with state.services() as services:
        found = fact_entrance.predicates(services.registry)
    if as_json:
        print_json(found)
        return
    keys = ("name", "cardinality", "volatility", "object", "topic", "inverse")
    print_table(keys, [[row[key] for key in keys] for row in found])


COMMANDS = (facts, fact, predicates)
