"""`why`, `review`, `pin`, `unpin`: what a person sees of the night's first half, and settles."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from memory.errors import GraphError
from service.cli.facts import print_story
from service.cli.output import State, print_json, print_table
from service.errors import one_line

if TYPE_CHECKING:
    from service.wiring import Services

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_by = click.option("--by", metavar="NAME", help="Who decides (default: the keeper of the settings).")
_fact = click.argument("fact_id", metavar="FACT")
_BAR = 24  # characters of the longest share


@click.command()
@_fact
@_json
@click.pass_obj
def why(state: State, fact_id: str, as_json: bool) -> None:
    """Say why FACT matters as much as it does: its salience in terms, its check, its decisions, how to undo them."""
    from service.entrances import review as review_entrance

    with state.services() as services:
        told = review_entrance.why(services, fact_id)
    if as_json:
        print_json(told)
        return
    print_story(told)
    _print_terms(told)
    _print_check(told)
    _print_undo(told["decisions"])


def _print_undo(decisions: Sequence[Mapping[str, Any]]) -> None:
    """How to take back what stands, in the order in which it can be."""
    standing = [row for row in decisions if not row["undone"]]
    for row in reversed(standing):
        click.echo(f"  undo {row['decision']} with `slowwave fact undo {row['id']}`")
    if len(standing) > 1:
        click.echo("  the newest first: a decision that another rests on cannot be undone before it")


def _print_terms(told: Mapping[str, Any]) -> None:
    if told["salience"] is None:
        click.echo("no night has scored it yet; run `slowwave sleep`")
        return
    longest = max((term["share"] for term in told["terms"].values()), default=0.0) or 1.0
    rows = [
        [
            name,
            f"{term['value']:.2f}",
            f"{term['weight']:.2f}",
            f"{term['share']:.3f}",
            "#" * round(_BAR * term["share"] / longest),
        ]
        for name, term in told["terms"].items()
    ]
    title = f"salience {told['salience']:.2f}, {told['retention']:.0%} left by time"
    print_table(["term", "value", "weight", "share", ""], rows, title=title)


def _print_check(told: Mapping[str, Any]) -> None:
    for name, found in (told["check"] or {}).items():
        if name != "evidence_hash" and found not in (None, {}, []):
            click.echo(f"  {name.replace('_', ' '):<14} {_in_words(found)}")
    for message in told["quoted"]:
        _print_message(message)


def _in_words(found: Any) -> str:
    """A finding as one line: `label 0.90: reason (the rest)`; `no verdict` where whoever judges was away."""
    if isinstance(found, list):
        return "; ".join(_in_words(item) for item in found)
    if not isinstance(found, Mapping):
        return str(found)
    known = ("label", "confidence", "reason")
    rest = ", ".join(
        f"{key.replace('_', ' ')} {_in_words(value)}"
        for key, value in found.items()
        if key not in known and value
    )
    if "label" not in found:
        return rest or "nothing"
    sure = f" {found['confidence']:.2f}" if found.get("confidence") else ""
    said = f": {found['reason']}" if found.get("reason") else ""
    return f"{found['label'] or 'no verdict'}{sure}{said}" + (f" ({rest})" if rest else "")


def _print_message(message: Mapping[str, Any], heading: str = "message") -> None:
    time, text = message["time"][:16].replace("T", " "), " ".join(message["text"].split())
    click.echo(f"  {heading:<14} {time} {message['speaker']}: {text[:110]}")


@click.command()
@click.argument("fact_id", metavar="[FACT]", required=False)
@click.option("--accept", "verdict", flag_value="accept", help="FACT is true: store it.")
@click.option("--reject", "verdict", flag_value="reject", help="FACT is not true.")
@click.option("--correct", "value", metavar="VALUE", help="FACT is not true: VALUE is.")
@_by
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many to list."
)
@click.option("--after", metavar="ID", help="List those behind that fact.")
@_json
@click.pass_obj
def review(
    state: State,
    fact_id: str | None,
    verdict: str | None,
    value: str | None,
    by: str | None,
    limit: int,
    after: str | None,
    as_json: bool,
) -> None:
    """Settle what the night could not: quarantined and contested facts, the most salient first.

    On a terminal it asks about one after another: y stores it, n rejects it, c VALUE corrects it, s skips it, q ends.
    """
    from service.entrances import review as review_entrance

    if value is not None and verdict is not None:
        raise click.UsageError("give one of --accept, --reject and --correct")
    wanted = "correct" if value is not None else verdict
    if (fact_id is None) != (wanted is None):
        raise click.UsageError("give a FACT with one of --accept, --reject, --correct VALUE; or neither")
    with state.services() as services:
        if fact_id is not None:
            _print_settled(_settled(services, fact_id, wanted, value, by), as_json=as_json)
        elif as_json or after is not None or not (sys.stdin.isatty() and sys.stdout.isatty()):
            page = review_entrance.waiting(services, limit=limit, after=after)
            _print_page(page, as_json=as_json)
        else:
            _ask_about_all(services, by)


def _settled(
    services: Services, fact_id: str, verdict: Any, value: str | None, by: str | None
) -> dict[str, Any]:
    from service.entrances import review as review_entrance

    return review_entrance.settle(services, fact_id, verdict, value, by)


def _print_settled(done: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(done)
        return
    fact = done["fact"]
    said = f"{fact['subject']} {fact['predicate'].replace('_', ' ')} {fact['object']}"
    click.echo(f"  {done['kind']} by {done['by']}: {said} ({fact['status']}, {fact['id']})")
    for decision in done["decisions"]:
        click.echo(f"  take it back with `slowwave fact undo {decision}`")


def _print_page(page: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(page)
        return
    if not page["items"]:
        click.echo("nothing waits for you")
        return
    for item in page["items"]:
        _print_item(item)
    if page["next"]:
        click.echo(f"{page['waiting']} wait; for more: --after {page['next']}")


def _ask_about_all(services: Services, by: str | None) -> None:
    """One item after another until q or the end; what was settled stays settled whenever one stops."""
    from service.entrances import review as review_entrance

    n_settled = 0
    for item in review_entrance.one_by_one(services):
        _print_item(item)
        verdict = _ask_about(services, item["id"], by)
        if verdict == "quit":
            break
        n_settled += verdict != "skip"
    click.echo(f"{n_settled} settled" if n_settled else "nothing was settled")


def _ask_about(services: Services, fact_id: str, by: str | None) -> str:
    """What the person did; asks again where it could not be done."""
    while True:
        verdict, value = _answer()
        if verdict in ("skip", "quit"):
            return verdict
        try:
            done = _settled(services, fact_id, verdict, value, by)
        except GraphError as error:
            click.echo(f"  {one_line(error)}")
        else:
            _print_settled(done, as_json=False)
            return verdict


def _print_item(item: Mapping[str, Any]) -> None:
    weight = "" if item["salience"] is None else f", salience {item['salience']:.2f}"
    click.echo(f"\n{item['statement']}  ({item['status']}{weight}, {item['id']})")
    click.echo(f"  {'said by':<14} {item['said_by'] or 'somebody'}")
    for reason in item["reasons"]:
        click.echo(f"  {'why it waits':<14} {reason}")
    for message in item["before"]:
        _print_message(message, "just before")
    for message in item["messages"]:
        _print_message(message)


_KEYS = {"y": "accept", "n": "reject", "s": "skip", "q": "quit"}


def _answer() -> tuple[str, str | None]:
    """What the person wants done; asks again until it is understood."""
    while True:
        said = str(click.prompt("y store, n reject, c VALUE correct, s skip, q quit", default="s")).strip()
        key, _, value = said.partition(" ")
        if key.lower() in _KEYS and not value:
            return _KEYS[key.lower()], None
        if key.lower() == "c" and value.strip():
            return "correct", value.strip()
        click.echo("  say y, n, s, q, or c and the right value")


@click.command()
@_fact
@_by
@_json
@click.pass_obj
def pin(state: State, fact_id: str, by: str | None, as_json: bool) -> None:
    """Pin FACT: it never fades in ranking, and every night that can train it does."""
    _pin(state, fact_id, by, is_pinned=True, as_json=as_json)


@click.command()
@_fact
@_by
@_json
@click.pass_obj
def unpin(state: State, fact_id: str, by: str | None, as_json: bool) -> None:
    """Take the pin of FACT back."""
    _pin(state, fact_id, by, is_pinned=False, as_json=as_json)


def _pin(state: State, fact_id: str, by: str | None, *, is_pinned: bool, as_json: bool) -> None:
    from service.entrances import review as review_entrance

    with state.services() as services:
        done = review_entrance.pin(services, fact_id, by, is_pinned=is_pinned)
    if as_json:
        print_json(done)
        return
    word = "pinned" if is_pinned else "not pinned"
    click.echo(f"{done['fact']} is {word}" + ("" if done["changed"] else ", as it was before"))


@click.command()
@click.option(
    "--learn", is_flag=True, help="Suggest weights from what was asked for and pinned; nothing is set."
)
@_json
@click.pass_obj
def salience(state: State, learn: bool, as_json: bool) -> None:
    """Show the weights of salience as lines for config.toml."""
    from dataclasses import asdict

    from consolidation import salience as weighing

    weights = state.settings.night.salience
    if not learn:
        print_json(asdict(weights)) if as_json else click.echo(weighing.as_toml(weights))
        return
    with state.services() as services:
        found = weighing.learn(services.database, services.space_id, weights)
    if as_json:
        print_json(asdict(found))
        return
    click.echo(
        f"# AUROC of {found.n_wanted} wanted facts against {found.n_others} others: {found.auroc_before:.3f} now, "
        f"{found.auroc_after:.3f} learned (on facts left out)"
    )
    click.echo(weighing.as_toml(found.weights))


COMMANDS = (why, review, pin, unpin, salience)
