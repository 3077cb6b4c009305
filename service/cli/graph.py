"""`import`: chats and other memories come in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memory.types import ImportReport, Message, SkipCount
from service.cli.output import Bars, State, day, print_json

if TYPE_CHECKING:
    from memory.exchange.notes import Notebook
    from memory.importers.detect import Export

N_PREVIEWED = 80  # characters of a message that a preview shows
N_NAMED = 12  # people of an export that are named; the others are counted


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--preview", is_flag=True, help="Show what was understood; write nothing.")
@click.option("--me", default="Me", metavar="NAME", help="Your name, for exports that call you Me.")
@click.option("--bot", "bots", multiple=True, metavar="NAME", help="Somebody whose messages a program wrote.")
@click.option(
    "--bot-pattern",
    "patterns",
    multiple=True,
    metavar="REGEX",
    help="Words by which a program's message is known, whoever sent it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def import_(
    state: State,
    file: Path,
    preview: bool,
    me: str,
    bots: tuple[str, ...],
    patterns: tuple[str, ...],
    as_json: bool,
) -> None:
    """Import chats (a file, folder or zip of an export) or another memory (mem0, MCP memory) and read them."""
    from memory.exchange.detect import find_notebook
    from memory.importers.bots import Bots
    from memory.importing import ImportOptions, open_export

    # a bad file is refused before a home is made
    options = ImportOptions(state.settings.timezone, me, Bots.of(bots, patterns))
    with Bars() as bars:
        opened = find_notebook(file) or open_export(file, options, progress=bars.step("look"))
        if preview:
            would = _would(state, opened, bars) if _is_chat(opened) else None
        else:
            with state.services() as services:
                report, read = services.bring_in(
                    opened, file, import_step=bars.step("import"), read_step=bars.step("read")
                )
    if preview:
        _preview(_looks_json(opened, would), as_json=as_json)
        return
    if as_json:
        print_json(
            {
                "source": report.source_id,
                "kind": report.kind,
                "messages": report.n_messages,
                "new": report.n_new,
                "edited": report.n_edited,
                "deleted": report.n_deleted,
                "people": list(report.people),
                "candidates": read.n_candidates,
                "emotion_tags": read.n_tags,
                "pending": read.n_pending,
                "skipped": _skipped_json(report.skipped),
            }
        )
        return
    _show(report, "messages by" if _is_chat(opened) else "notes about")
    if read.n_episodes:  # also those that an earlier import stored but could not read
        click.echo(f"read: {read.n_candidates} candidate facts, {read.n_tags} emotion tags")
    if read.n_pending:
        click.echo(
            f"{read.n_pending} messages could not be read and wait: `slowwave pending` says why, "
            "`slowwave pending --drain` tries again"
        )
    for note in (*(report.notes if _is_news(report) else ()), *report.skipped):
        click.echo(f"  {note}")


def _is_news(report: ImportReport) -> bool:
    return bool(report.n_new or report.n_edited or report.n_deleted)


def _show(report: ImportReport, what: str) -> None:
    if not _is_news(report):
        click.echo(f"nothing new: all {report.n_messages} messages were here already")
        return
    click.echo(
        f"{report.kind}: {report.n_new} new of {report.n_messages} {what} {_named(report.people)}, "
        f"{day(report.first)} to {day(report.last)}"
    )
    if report.n_edited or report.n_deleted:
        click.echo(f"  of those known before, {report.n_edited} were edited and {report.n_deleted} deleted")


def _named(people: Sequence[str]) -> str:
    """The first of the people, and how many others there are."""
    n_others = len(people) - N_NAMED
    shown = ", ".join(people[:N_NAMED]) or "nobody"
    return f"{shown} and {n_others} others" if n_others > 0 else shown


def _is_chat(opened: Export | Notebook) -> bool:
    from memory.importers.detect import Export

    return isinstance(opened, Export)


def _would(state: State, opened: Any, bars: Bars) -> dict[str, int] | None:
    """What the import would do to the messages of the store; None where there is no store yet."""
    store = state.settings.url
    if store.startswith("sqlite:///") and not Path(store.removeprefix("sqlite:///")).exists():
        return None
    with state.services() as services:
        report = services.preview(opened, import_step=bars.step("compare"))
    return {"new": report.n_new, "edited": report.n_edited, "deleted": report.n_deleted}


def _looks_json(opened: Export | Notebook, would: dict[str, int] | None) -> list[dict[str, Any]]:
    from memory.importers.detect import Export

    return _chats_json(opened, would) if isinstance(opened, Export) else [_notes_json(opened)]


def _notes_json(notebook: Notebook) -> dict[str, Any]:
    times = [note.time for note in notebook.notes if note.time]
    return {
        "kind": notebook.kind,
        "conversation": f"notes on {len(notebook.things)} things",
        "messages": notebook.n_notes,
        "people": sorted(notebook.people),
        "first": day(min(times, default=None)),
        "last": day(max(times, default=None)),
        "notes": list(notebook.remarks),
    }


def _chats_json(export: Export, would: dict[str, int] | None) -> list[dict[str, Any]]:
    from memory.importers.tally import Tally

    tally = Tally()
    for row in export.rows():
        tally.add(row)
    counts = would or {"new": tally.n_messages, "edited": 0, "deleted": 0}
    return [
        {
            "kind": export.kind,
            "conversation": conversation,
            "messages": chat.n_messages,
            "simulated": chat.n_simulated,
            "people": sorted(chat.people),
            "first": day(chat.first),
            "last": day(chat.last),
            "notes": list(export.notes),
            "skipped": _skipped_json(tally.skipped),
            "would": counts,
            "rows": [_row_json(message) for message in chat.shown],
        }
        for conversation, chat in tally.chats.items()
    ]


def _row_json(message: Message) -> dict[str, Any]:
    return {"time": message.time.isoformat(), "speaker": message.speaker, "text": message.text}


def _skipped_json(skipped: Sequence[SkipCount]) -> list[dict[str, Any]]:
    return [{"reason": count.reason, "n": count.n, "places": list(count.places)} for count in skipped]


def _preview(chats: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(chats)
        return
    for chat in chats:
        click.echo(
            f"{chat['kind']}: {chat['messages']} messages by {_named(chat['people'])}, "
            f"{chat['first']} to {chat['last']}"
        )
        click.echo(f"  conversation: {chat['conversation']}")
        for row in chat.get("rows", ()):
            click.echo(f"  {row['time']} {row['speaker']}: {_short(row['text'])}")
    if chats and (would := chats[0].get("would")):
        click.echo(
            f"  importing would add {would['new']}, change {would['edited']} that were edited "
            f"and mark {would['deleted']} that were deleted"
        )
    for note in chats[0]["notes"] if chats else ():
        click.echo(f"  {note}")
    for count in chats[0].get("skipped", ()) if chats else ():
        click.echo(f"  {SkipCount(count['reason'], count['n'], tuple(count['places']))}")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= N_PREVIEWED else f"{line[: N_PREVIEWED - 1]}…"


COMMANDS = (import_,)
