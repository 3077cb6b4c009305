"""Which commands change something, or let words leave the store: what each did goes on record in the audit log.

A command that is not in the table only looks; a test holds the table against the commands. The record has the
command's name, the space and ids: never an argument, which may be somebody's name or words.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import click

from db.engine import Database
from memory.audit import Act, record
from memory.ports import Clock

Given = Mapping[str, Any]  # the command's parameters

log = logging.getLogger(__name__)

_ALWAYS = """
    chat, chats export, chats withdraw, consent, constitution edit, converse, curriculum clear, curriculum export, curriculum import,
    export, fact add, fact correct, fact end, fact retract, fact undo, forget resume, graph export, graph show, load, person alias,
    person rename, person unalias, person unmerge, persona report, persona train, pin, undo, unpin, behaviour measure,
    behaviour train, probe label, probe train, readout export, readout pairs, readout train, recipe about, recipe add,
    recipe apply, recipe export, recipe mend, recipe negate, recipe rebuild, recipe revert, recipe rule, recipe scale, recipe verify, roll-back
"""
_SOMETIMES: dict[str, Callable[[Given], bool]] = {
    "backup": lambda given: not given["list_them"],
    "clean": lambda given: bool(given["yes"]),
    "forget episode": lambda given: bool(given["yes"]),
    "forget fact": lambda given: bool(given["yes"]),
    "forget person": lambda given: bool(given["yes"]),
    "forget source": lambda given: bool(given["yes"]),
    "import": lambda given: not given["preview"],
    "pending": lambda given: bool(given["drain"]),
    "person merge": lambda given: not given["dry_run"],
    "persona set": lambda given: bool(given["values"] or given["clear"]),
    "recipe tag": lambda given: given["tag_name"] is not None,
    "review": lambda given: given["fact_id"] is not None or sys.stdin.isatty(),
    "sleep": lambda given: given["sweep_file"] is None,
}
CHANGES: Mapping[str, Callable[[Given], bool]] = MappingProxyType(
    {" ".join(name.split()): lambda given: True for name in _ALWAYS.split(",")} | _SOMETIMES
)


def name_of(context: click.Context) -> str:
    """The command as it is called, without the program's name."""
    names = []
    while context.parent is not None:
        names.append(str(context.info_name))
        context = context.parent
    return " ".join(reversed(names))


@contextmanager
def on_record(database: Database, space_id: str, ids: Mapping[str, str], clock: Clock) -> Iterator[None]:
    """What the current command does in the block, if it changes anything, however it ends; `ids` as they are then."""
    context = click.get_current_context(silent=True)
    name = name_of(context) if context is not None else ""
    is_change = CHANGES.get(name)
    if context is None or is_change is None or not is_change(context.params):
        yield
        return

    def keep(outcome: str, level: int) -> None:
        told = {**context.params, **ids}  # of which a record keeps what is an id
        _record(database, Act("command", name, outcome, space_id=space_id, ids=told), clock, level)

    try:
        yield
    except BaseException:
        keep("failed", logging.DEBUG)
        raise
    keep("done", logging.ERROR)


def _record(database: Database, act: Act, clock: Clock, level: int) -> None:
    """What is done is done where this cannot be written down."""
    try:
        record(database, act, clock=clock)
    except Exception as error:
        log.log(level, "an act is not on record: %s", type(error).__name__)
