"""`constitution`: who somebody is in lines with evidence; what a night changed; a person's own hand in it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from service.cli.output import Date, State, print_json, print_table

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_known_to = click.option("--known-to", metavar="NAME", help="Only what that person can know.")


class VersionOrDate(click.ParamType[int | datetime]):
    """A version's number, or a day: what held at its end."""

    name = "version"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> int | datetime:
        text = str(value)
        return int(text) if text.lstrip("-").isdigit() else Date().convert(text, param, context)


@click.group()
def constitution() -> None:
    """Who somebody is: values, principles, habits, speech, limits, and how they see others. The night writes it."""


@constitution.command()
@click.argument("person")
@click.option("--evidence", "with_quotes", is_flag=True, help="Quote the messages that each line rests on.")
@click.option(
    "--as-of", type=VersionOrDate(), metavar="VERSION", help="An earlier version, by its number or a day."
)
@click.option("--versions", "with_versions", is_flag=True, help="List the versions instead.")
@_known_to
@_json
@click.pass_obj
def show(
    state: State,
    person: str,
    with_quotes: bool,
    as_of: int | datetime | None,
    with_versions: bool,
    known_to: str | None,
    as_json: bool,
) -> None:
    """The lines about PERSON, and how they write, in numbers."""
    from service.entrances import constitution as entrance

    with state.services() as services:
        if with_versions:
            _print_versions(entrance.versions(services, person), as_json=as_json)
            return
        found = entrance.show(services, person, as_of=as_of, known_to=known_to, with_quotes=with_quotes)
    if as_json:
        print_json(found)
    else:
        _print_lines(found)
        if found["habits"] and found["habits"]["messages"]:
            click.echo()
            print_table(["habit", "", ""], _habit_rows(found["habits"]), title="In numbers")


@constitution.command()
@click.argument("person")
@click.argument("old", type=int, required=False)
@click.argument("new", type=int, required=False)
@_known_to
@_json
@click.pass_obj
def diff(
    state: State, person: str, old: int | None, new: int | None, known_to: str | None, as_json: bool
) -> None:
    """What changed about PERSON from version OLD to NEW; without them, what the newest changed."""
    from service.entrances import constitution as entrance

    with state.services() as services:
        found = entrance.diff(services, person, old, new, known_to=known_to)
    if as_json:
        print_json(found)
        return
    click.secho(f"{found['person']}: version {found['from'] or 'none'} to {found['to']}", bold=True)
    for change in found["lines"]:
        _print_change(change)
    if not found["lines"]:
        click.echo("no line differs")


@constitution.command()
@click.argument("person")
@click.option("--add", "added", nargs=2, multiple=True, metavar="KIND TEXT", help="Write a line.")
@click.option("--drop", "dropped", multiple=True, metavar="LINE", help="Take the line with that id out.")
@click.option(
    "--change", "changed", nargs=2, multiple=True, metavar="LINE TEXT", help="Give a line other words."
)
@click.option("--about", metavar="NAME", help="Of whom an added view is.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    help="Take the whole constitution from a file as the editor shows it; - is stdin.",
)
@_json
@click.pass_obj
def edit(
    state: State,
    person: str,
    added: Sequence[tuple[str, str]],
    dropped: Sequence[str],
    changed: Sequence[tuple[str, str]],
    about: str | None,
    path: Path | None,
    as_json: bool,
) -> None:
    """Edit the lines about PERSON by options, from a file, or in $EDITOR. The nights leave what you wrote as it is."""
    from memory.constitutions import Edit
    from memory.types import Principle
    from service.entrances import constitution as entrance

    with state.services() as services:
        shown = entrance.show(services, person, with_habits=False)
        if path is not None or not (added or dropped or changed):
            wanted = entrance.read_text(_text(entrance.as_text(shown), path), shown)
        else:
            of = services.person(about).name if about else None
            kinds = {one["line"]: one["kind"] for one in shown["lines"]}
            wanted = Edit(
                [Principle(kind, text, (), of if kind == "view" else None) for kind, text in added],
                dropped,
                {
                    line: Principle(
                        next((k for i, k in kinds.items() if i.startswith(line)), "value"), text, ()
                    )
                    for line, text in changed
                },
            )
        found = entrance.edit(services, person, wanted)
    if as_json:
        print_json(found)
    elif found["version"] == shown["version"]:
        click.echo("nothing was changed")
    else:
        _print_lines(found)


def _text(shown: str, path: Path | None) -> str:
    if path is None:
        edited = click.edit(shown, extension=".txt")
        return shown if edited is None else edited
    with click.open_file(str(path), encoding="utf-8") as file:
        return str(file.read())


def _print_lines(found: dict[str, Any]) -> None:
    if not found["version"]:
        click.echo(f"nothing is written of {found['person']} yet; `slowwave sleep` does")
        return
    click.secho(f"{found['person']}, version {found['version']}, {(found['at'] or '')[:10]}", bold=True)
    rows = [
        [one["line"], one["kind"], one["text"], len(one["messages"]), _standing(one)]
        for one in found["lines"]
    ]
    print_table(["id", "kind", "line", "messages", ""], rows)
    for one in found["lines"]:
        for said in one.get("evidence", ()):
            text = " ".join(said["text"].split())
            click.echo(f"  {one['line']}  {said['time'][:16].replace('T', ' ')} {said['speaker']}: {text}")


def _standing(line: dict[str, Any]) -> str:
    if line["author"] == "person":
        return "by hand"
    return "not shown lately" if line["weak"] else ""


def _print_versions(found: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    rows = [
        [
            one["version"],
            (one["at"] or "")[:10],
            "by hand" if one["author"] == "person" else one["run"],
            one["lines"],
            ", ".join(f"{n} {change}" for change, n in one["changes"].items()),
        ]
        for one in found
    ]
    print_table(["version", "day", "made by", "lines", "changes"], rows)


def _print_change(change: dict[str, Any]) -> None:
    """As git shows it: what went in red, what came in green."""
    old, new = change["old"], change["new"]
    reason = f"  ({change['reasons'][0]})" if change["reasons"] else ""
    if old and new and change["change"] in ("confirmed", "weakened"):
        click.secho(f"  {new['kind']}: {new['text']}{reason}", dim=True)
        return
    if old:
        click.secho(f"- {old['kind']}: {old['text']}{reason if not new else ''}", fg="red")
    if new:
        click.secho(f"+ {new['kind']}: {new['text']}{reason}", fg="green")


def _habit_rows(habits: dict[str, Any]) -> list[list[Any]]:
    """Name, number and what is behind it; what is not known is left out."""

    def percent(share: float) -> str:
        return f"{100 * share:.0f} %"

    def words(counts: Sequence[dict[str, Any]]) -> str:
        return ", ".join(f"{one['text']} {one['messages']}" for one in counts)

    def shares(found: dict[str, float]) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {percent(share)}" for name, share in found.items())

    reply, active = habits["reply_minutes"], habits["active_hours"]
    parts = ", ".join(f"{name} {wait:.0f}" for name, wait in reply["by_part_of_day"].items())
    rows: list[list[Any]] = [
        ["messages", habits["messages"], ""],
        ["words in a message", f"{habits['words']['median']:g}", f"{habits['words']['mean']} on the mean"],
        ["characters in a message", f"{habits['characters']['median']:g}", ""],
        ["with emoji", percent(habits["emoji"]["share"]), words(habits["emoji"]["favourites"])],
        ["with laughter", percent(habits["laughter"]["share"]), words(habits["laughter"]["words"])],
        ["ends with", "", shares(habits["endings"])],
        ["opens with", "", words(habits["openings"])],
        ["closes with", "", words(habits["closings"])],
        [
            "right after their own",
            percent(habits["in_a_row_share"]),
            f"{habits['messages_per_turn']} in a turn",
        ],
        ["scripts", "", shares(habits["scripts"])],
    ]
    if habits["lowercase_share"] is not None:
        rows.insert(5, ["in lowercase only", percent(habits["lowercase_share"]), ""])
    if habits["sessions_opened_share"] is not None:
        rows.append(["begins the talk", percent(habits["sessions_opened_share"]), ""])
    if reply["median"] is not None:
        rows.append(["minutes to an answer", f"{reply['median']:.0f}", parts])
    if active["from"] is not None:
        rows.append(["writes between", f"{active['from']:02}:00 and {active['to']:02}:00", ""])
    return [row for row in rows if row[1] != "" or row[2]]


COMMANDS = (constitution,)
