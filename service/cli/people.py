"""`people` and `person`: who is known, by which names, what is known of them; merging two of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.output import Date, State, day, print_json, print_table

if TYPE_CHECKING:
    from memory.merging import MergeReport
    from memory.profile import Profile
    from memory.types import Fact

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_AS_OF = click.option("--as-of", type=Date(), help="As it was on that day.")
_KNOWN_TO = click.option("--known-to", metavar="NAME", help="Only what that person can know.")


@click.command()
@click.option(
    "--duplicates", is_flag=True, help="Pairs who may be one person, with the reasons; nothing is merged."
)
@_JSON
@click.pass_obj
def people(state: State, duplicates: bool, as_json: bool) -> None:
    """List the people that the graph knows."""
    from memory.people import list_people, person_json

    if duplicates:
        _duplicates(state, as_json=as_json)
        return
    with state.services() as services:
        found = list_people(services.database, services.space_id)
    if as_json:
        print_json([person_json(one) for one in found])
    else:
        print_table(
            ["name", "also called", "speaks"],
            [[p.name, ", ".join(p.aliases), "yes" if p.is_speaker else ""] for p in found],
        )


def _duplicates(state: State, *, as_json: bool) -> None:
    from memory.duplicates import duplicate_json, likely_duplicates

    with state.services() as services:
        found = likely_duplicates(services.database, services.space_id, services.registry)
    if as_json:
        print_json([duplicate_json(pair) for pair in found])
    elif not found:
        click.echo("nobody seems to be here twice")
    else:
        rows = [
            [pair.first.name, pair.second.name, f"{pair.likelihood:.2f}", "; ".join(pair.reasons)]
            for pair in found
        ]
        print_table(["keep", "other", "likely", "why"], rows)
        click.echo('`slowwave person merge "KEEP" "OTHER" --dry-run` shows what a merge would move')


@click.group()
def person() -> None:
    """One person: their card, names and relations; merging two who are one."""


@person.command()
@click.argument("person")
@_AS_OF
@_KNOWN_TO
@click.option(
    "--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write the card as a page."
)
@_JSON
@click.pass_obj
def show(
    state: State, person: str, as_of: datetime | None, known_to: str | None, page: Path | None, as_json: bool
) -> None:
    """The card of a PERSON: relations, facts by topic, emotions over time, constitution, messages."""
    from memory.profile import profile_json

    with state.services() as services:
        card = services.profile(person, as_of=as_of, known_to=known_to)
    if page is not None:
        from service.entrances.card_page import render

        page.write_text(render(card, as_of=as_of), encoding="utf-8")
        click.echo(f"written to {page}", err=as_json)
    if as_json:
        print_json(profile_json(card))
    elif page is None:
        _print_card(card)


def _print_card(card: Profile) -> None:
    from memory.profile import sparklines

    _print_head(card)
    for topic, facts in card.topics.items():
        _section(
            topic, ["what", "", "since", ""], [[*_what(f), day(f.valid_from), _status(f)] for f in facts]
        )
    contested = [[*_what(fact), fact.asserted_by or "", fact.id] for fact in card.contested]
    _section("contested", ["what", "", "said by", "id"], contested)
    if card.months:
        span = f"{card.months[0].month} to {card.months[-1].month}"
        lines = [[one.concept, one.line, one.n, f"{one.intensity:.1f}"] for one in sparklines(card.months)]
        _section("emotions", ["emotion", span, "messages", "mean"], lines)
    principles = [[item.kind, item.text, len(item.evidence)] for item in card.constitution]
    _section(
        f"constitution, version {card.constitution_version}", ["kind", "principle", "messages"], principles
    )


def _print_head(card: Profile) -> None:
    click.secho(card.person.name, bold=True)
    if card.person.aliases:
        click.echo(f"  also called {', '.join(card.person.aliases)}")
    said = card.messages
    if said.n:
        click.echo(f"  {said.n} messages, {day(said.first)} to {day(said.last)}")
    for name, n in said.conversations:
        click.echo(f"    {n:>6}  {name}")
    if card.has_consent is not None:
        click.echo(f"  consent to be simulated: {'yes' if card.has_consent else 'no'}")
    related = [
        [edge.predicate.replace("_", " "), edge.object.name, day(edge.valid_from)] for edge in card.relations
    ]
    _section("relations", ["relation", "who", "since"], related)


def _status(fact: Fact) -> str:
    from memory.sensitive import kinds_of_fact

    return ", ".join([fact.status, *kinds_of_fact(fact)])


def _what(fact: Fact) -> list[str]:
    return [fact.predicate.replace("_", " "), fact.object]


def _section(title: str, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    if rows:
        click.echo()
        print_table(headings, rows, title=title.capitalize())


@person.command()
@click.argument("person")
@_AS_OF
@_KNOWN_TO
@_JSON
@click.pass_obj
def relations(state: State, person: str, as_of: datetime | None, known_to: str | None, as_json: bool) -> None:
    """Who is what to a PERSON, by the facts of either side."""
    from memory.profile import relation_json

    with state.services() as services:
        name, found = services.relations(person, as_of=as_of, known_to=known_to)
    if as_json:
        print_json([relation_json(edge) for edge in found])
    elif not found:
        click.echo(f"no relation of {name} is known")
    else:
        rows = [
            [
                edge.predicate.replace("_", " "),
                edge.object.name,
                day(edge.valid_from),
                day(edge.valid_to),
                "inverse" if edge.is_inverse else "",
                edge.fact_id,
            ]
            for edge in found
        ]
        print_table(["relation", "who", "from", "to", "", "fact"], rows, title=name)


@person.command()
@click.argument("person")
@click.argument("name")
@click.pass_obj
def alias(state: State, person: str, name: str) -> None:
    """Let a PERSON go by one more NAME."""
    from memory.aliases import give_alias

    with state.services() as services:
        found = give_alias(services.database, services.space_id, services.person(person).id, name)
    click.echo(f"{found.name} is also called {', '.join(found.aliases)}")


@person.command()
@click.argument("person")
@click.argument("name")
@click.pass_obj
def unalias(state: State, person: str, name: str) -> None:
    """Take a NAME back that a PERSON goes by."""
    from memory.aliases import take_alias

    with state.services() as services:
        found = take_alias(services.database, services.space_id, services.person(person).id, name)
    click.echo(f"{found.name} is also called {', '.join(found.aliases) or 'nothing else'}")


@person.command()
@click.argument("person")
@click.argument("name")
@click.pass_obj
def rename(state: State, person: str, name: str) -> None:
    """Show a PERSON under another NAME; the old one still leads to them."""
    from memory.aliases import rename as give_name

    with state.services() as services:
        before = services.person(person)
        found = give_name(services.database, services.space_id, before.id, name)
    click.echo(f"{before.name} is now {found.name}")


@person.command()
@click.argument("kept")
@click.argument("other")
@click.option("--dry-run", is_flag=True, help="Show what would be moved; write nothing.")
@click.option("--force", is_flag=True, help="Also where both spoke in one conversation.")
@_JSON
@click.pass_obj
def merge(state: State, kept: str, other: str, dry_run: bool, force: bool, as_json: bool) -> None:
    """Make OTHER one with KEPT, who keeps the name. Undone by `person unmerge`."""
    from memory.merging import report_json

    with state.services() as services:
        report = services.merge(kept, other, force=force, dry_run=dry_run)
    if as_json:
        print_json(report_json(report))
    else:
        _print_merge(report)


_NOUNS = {
    "fact": "facts",
    "episode": "messages",
    "participant": "conversations",
    "alias": "names",
    "edge": "edges",
}


def _print_merge(report: MergeReport) -> None:
    moved = ", ".join(f"{n} {_NOUNS[table]}" for table, n in report.moved.items() if table in _NOUNS)
    verb = "would become" if report.merge_id is None else "is now"
    click.echo(f"{report.other.name} {verb} {report.kept.name}: {moved or 'nothing'} moved")
    if report.is_consent_left:
        click.echo(f"the consent of {report.other.name} does not carry over; {report.kept.name} has none")
    if report.disagreements:
        rows = [
            [clash.kept.predicate.replace("_", " "), clash.kept.object, clash.other.object]
            for clash in report.disagreements
        ]
        print_table(["these now disagree", report.kept.name, report.other.name], rows)
    if report.merge_id is not None:
        click.echo(f"undo it with `slowwave person unmerge {report.merge_id}`")


@person.command()
@click.argument("merge_id")
@click.pass_obj
def unmerge(state: State, merge_id: str) -> None:
    """Undo a merge by its id: both people are as they were, what came after stays with the kept one."""
    from memory.merging import unmerge as part

    with state.services() as services:
        kept, other = part(services.database, services.space_id, merge_id, clock=services.clock)
    click.echo(f"{kept.name} and {other.name} are two again")


@person.command()
@_JSON
@click.pass_obj
def merges(state: State, as_json: bool) -> None:
    """List the merges, the newest first."""
    from memory.merging import list_merges, merge_json

    with state.services() as services:
        found = list_merges(services.database, services.space_id)
    if as_json:
        print_json([merge_json(row) for row in found])
        return
    rows: list[list[Any]] = [
        [row.id, row.kept.name, row.merged, day(row.merged_at), "undone" if row.undone_at else ""]
        for row in found
    ]
    print_table(["id", "kept", "merged", "day", ""], rows)


@person.command()
@click.argument("person")
@_KNOWN_TO
@_JSON
@click.pass_obj
def patterns(state: State, person: str, known_to: str | None, as_json: bool) -> None:
    """What the person does again and again, as they say themselves or as the nights have counted."""
    from consolidation.patterns import list_patterns, pattern_json

    with state.services() as services:
        about = services.person(person)
        found = pattern_json(
            services.database,
            list_patterns(
                services.database,
                services.space_id,
                services.registry,
                person_id=about.id,
                known_to=services.person(known_to).id if known_to else None,
            ),
        )
    if as_json:
        print_json(found)
    elif not found:
        click.echo(f"no pattern of {about.name} is known; `slowwave sleep` looks for them")
    else:
        rows = [[one["pattern"], _seen(one), f"{one['confidence']:.2f}", one["id"]] for one in found]
        print_table(["pattern", "seen", "sure", "id"], rows, title=about.name)


def _seen(pattern: dict[str, Any]) -> str:
    counts, n = pattern["counts"], len(pattern["evidence"])
    if not counts:
        return f"said in {n} message{'s' * (n != 1)}"
    return (
        f"{counts['k_when']} of {counts['n_when']} sessions; {counts['k_else']} of {counts['n_else']} others"
    )


COMMANDS = (people, person)
