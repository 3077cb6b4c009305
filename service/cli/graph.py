"""`import`: chats and other memories come in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.output import Bars, State, day, print_json

if TYPE_CHECKING:
    from memory.exchange.notes import Notebook
    from memory.types import Export


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--preview", is_flag=True, help="Show what was understood; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_obj
def import_(state: State, file: Path, preview: bool, as_json: bool) -> None:
    """Import a chat (WhatsApp, Telegram, Discord, JSONL) or another memory (mem0, MCP memory) and read it."""
    from memory.exchange.detect import read_notebook
    from memory.importing import read_exports

    # a bad file is refused before a home is made
    notebook = read_notebook(file.read_bytes(), file.name)
    exports = [] if notebook else read_exports(file, timezone=state.settings.timezone)
    if preview:
        _preview([_notes_json(notebook)] if notebook else _chats_json(exports), as_json=as_json)
        return
    with state.services() as services, Bars() as bars:
        report, read = services.import_file(
            file, import_step=bars.step("import"), read_step=bars.step("read")
        )
    if as_json:
        print_json(
            {
                "source": report.source_id,
                "kind": report.kind,
                "messages": report.n_messages,
                "new": report.n_new,
                "people": list(report.people),
                "candidates": read.n_candidates,
                "emotion_tags": read.n_tags,
            }
        )
        return
    if report.n_new == 0:
        click.echo(f"nothing new: all {report.n_messages} messages were here already")
    else:
        click.echo(
            f"{report.kind}: {report.n_new} new of {report.n_messages} "
            f"{'notes about' if notebook else 'messages by'} {', '.join(report.people) or 'nobody'}, "
            f"{day(report.first)} to {day(report.last)}"
        )
    if read.n_episodes:  # also those that an earlier import stored but could not read
        click.echo(f"read: {read.n_candidates} candidate facts, {read.n_tags} emotion tags")
    if report.n_new == 0:
        return
    for note in report.notes:
        click.echo(f"  {note}")


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


def _chats_json(exports: Sequence[Export]) -> list[dict[str, Any]]:
    chats: list[dict[str, Any]] = []
    for export in exports:
        if not export.messages:
            continue
        times = [message.time for message in export.messages]
        chats.append(
            {
                "kind": export.kind,
                "conversation": export.conversation,
                "messages": len(export.messages),
                "people": sorted({message.speaker for message in export.messages if message.speaker}),
                "first": day(min(times)),
                "last": day(max(times)),
                "notes": list(export.notes),
            }
        )
    return chats


def _preview(chats: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(chats)
        return
    for chat in chats:
        names = ", ".join(chat["people"])
        click.echo(
            f"{chat['kind']}: {chat['messages']} messages by {names}, {chat['first']} to {chat['last']}"
        )
        for note in chat["notes"]:
            click.echo(f"  {note}")


COMMANDS = (import_,)
