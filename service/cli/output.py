"""What commands share: the opened services, tables for people, JSON for programs, progress bars on stderr."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import TaskID

    from consolidation.stage import Progress as StepProgress
    from service.settings import Settings
    from service.wiring import Services


class State:
    """Carried through click: opens settings and services once, and only when a command needs them."""

    def __init__(self, home: str | None, space: str | None) -> None:
        self._home = home
        self._space = space
        self.ids: dict[str, str] = {}  # of what the command did, for the audit log
        self._began, self._command = 0.0, click.get_current_context(silent=True)
        self._is_guarded = False

    @property
    def home(self) -> Path:
        """The home folder, whether or not its settings can be used."""
        from service.settings import find_home

        return find_home(self._home)

    @cached_property
    def plain_settings(self) -> Settings:
        """The settings with nothing opened."""
        from service.settings import load_settings

        settings = load_settings(self._home)
        return replace(settings, space=self._space) if self._space else settings

    @cached_property
    def settings(self) -> Settings:
        """The settings; an encrypted home is open from here on, and its files are in the folder that they name."""
        from db.sealing import MARKER

        if not (self.plain_settings.home / MARKER).exists():
            return self.plain_settings
        from service.encryption import open_home

        self._began, self._command = time.time(), click.get_current_context(silent=True)
        opened = open_home(self.plain_settings)
        if threading.current_thread() is threading.main_thread() and _is_default(signal.SIGTERM):
            signal.signal(signal.SIGTERM, self._end)  # what lies open in memory is sealed first
            self._is_guarded = True
        return opened

    def close(self) -> None:
        """Seal an encrypted home that was opened."""
        if "settings" in self.__dict__ and self.settings != self.plain_settings:
            from service.encryption import close_home

            for file in self._written_in_the_clear():
                click.echo(f"{file} is plain: the home is encrypted, this is not", err=True)
            if self._is_guarded:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            close_home(self.settings)
            if self._is_guarded:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        """Close and be gone: no thread that waits for its input holds this up."""
        self.close()
        os._exit(128 + number)

    def _written_in_the_clear(self) -> Iterator[Path]:
        """Files and folders that the command was told to write, and that are no sealed backup."""
        from memory.sealed.pieces import is_sealed

        for given in self._command.params.values() if self._command is not None else ():
            path = given if isinstance(given, Path) else None
            if path is None or not path.exists() or path.stat().st_mtime < self._began:
                continue
            if path.is_dir() or not is_sealed(path):
                yield path

    @property
    def named_space(self) -> str | None:
        """The space that --space names; None where every space may be meant."""
        return self._space

    @contextmanager
    def services(self, space: str | None = None) -> Iterator[Services]:
        """The opened services, in this space where a command names one of its own; what it changes goes on record."""
        from service.cli.acts import on_record
        from service.wiring import Services

        settings = replace(self.settings, space=space) if space else self.settings
        with (
            Services(settings) as services,
            on_record(services.database, services.space_id, self.ids, services.clock),
        ):
            yield services


def _is_default(kind: signal.Signals) -> bool:
    return signal.getsignal(kind) is signal.SIG_DFL


def page_shown(page: Path) -> str:
    """Where to look at a page: one of an encrypted home is gone from memory when the command ends."""
    if any(map(is_in_memory, page.parents)):
        return "sealed in the home; `slowwave serve` shows it"
    return str(page)


def is_in_memory(home: Path) -> bool:
    """Whether the folder is that of an encrypted home, which is open only as long as the command runs."""
    from memory.sealed.homes import opened_at

    return opened_at(home) is not None


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None) -> None:
    """A table as wide as the terminal; plain characters when the output is a file."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 110, highlight=False)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table)


def day(moment: datetime | None) -> str:
    return "" if moment is None else moment.date().isoformat()


class Date(click.ParamType[datetime]):
    """A date (2025-04-01) or date and time, taken as UTC where it names no zone."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> datetime:
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no date; write it as 2025-04-01", param, context)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Bars:
    """One progress bar for each named step, on stderr, so that stdout stays for results."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description:<13}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True, highlight=False),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.erase()
        elif self._progress.live.is_started:
            self._progress.stop()

    def erase(self) -> None:
        """Leave no bars behind when they end: what went wrong is said in one line."""
        self._progress.live.transient = True
        self._progress.live.stop()

    def finish(self, step: str) -> None:
        """The step has ended: its bar is full, also where it had nothing to count."""
        if step in self._tasks:
            total = self._progress.tasks[self._tasks[step]].total or 1
            self._progress.update(self._tasks[step], completed=total, total=total)
            self._progress.stop_task(self._tasks[step])

    def update(self, step: str, done: int, total: int, note: str = "") -> None:
        if not self._tasks:  # where there is nothing to show, nothing is printed
            self._progress.start()
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total or None, note=note)
        self._progress.update(self._tasks[step], completed=done, total=total or None, note=note)

    def step(self, name: str) -> StepProgress:
        """A progress function for one named step."""

        def progress(done: int, total: int, note: str = "") -> None:
            self.update(name, done, total, note)

        return progress
