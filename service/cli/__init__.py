"""The command line: `slowwave`. Commands live in their own modules; this one runs them and words their errors.

A module is loaded when a command of it is asked for, all of them for the help; so none loads at its top what only
running needs.

Exit codes: 0 done, 1 refused or failed (one line on stderr that says what to do), 2 usage.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from importlib import import_module

import click

from service.cli.output import State
from service.errors import EXPECTED, MissingExtra, one_line

EXTRAS = {  # a package that is loaded on use -> the extra that installs it
    **dict.fromkeys(("torch", "transformers", "peft", "gguf", "llguidance"), "train"),
    **dict.fromkeys(("fastapi", "uvicorn", "apscheduler", "sse_starlette", "mcp", "mcp_types"), "serve"),
    "openai": "openai",
    "google": "gemini",
}
MODULES = {  # the commands that each module holds
    "graph": ("import",),
    "ask": ("ask", "search"),
    "facts": ("facts", "fact", "predicates"),
    "exchange": ("export", "load", "graph"),
    "people": ("people", "person"),
    "constitution": ("constitution",),
    "sleep": ("sleep",),
    "night": ("runs", "decisions", "undo", "roll-back"),
    "recipe": ("recipe",),
    "readout": ("readout",),
    "probe": ("probe",),
    "behaviour": ("behaviour",),
    "persona": ("persona",),
    "curriculum": ("curriculum",),
    "exam": ("exam",),
    "review": ("why", "review", "pin", "unpin", "salience"),
    "pending": ("pending", "budget"),
    "digests": ("digest",),
    "talk": ("consent", "chat"),
    "tokens": ("token", "audit"),
    "chats": ("chats",),
    "converse": ("converse",),
    "steer": ("steer",),
    "why_said": ("why-said",),
    "forgetting": ("forget",),
    "store": ("backup", "restore", "verify", "clean"),
    "encryption": ("encrypt", "decrypt"),
    "status": ("status", "doctor"),
    "mcp": ("mcp",),
    "system": ("serve", "ledger", "index", "config", "path"),
}


class Commands(click.Group):
    """A group whose commands are in `MODULES`, each loaded on use."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(name for names in MODULES.values() for name in names)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        module = next((module for module, names in MODULES.items() if name in names), None)
        if module is None:
            return None
        held: tuple[click.Command, ...] = import_module(f"service.cli.{module}").COMMANDS
        return next(command for command in held if command.name == name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--home",
    metavar="DIR",
    help="Folder that holds everything (default: SLOWWAVE_HOME, or the user's data folder).",
)
@click.option("--space", metavar="NAME", help="Which space to work in (default: default).")
@click.version_option(package_name="slowwave")
@click.pass_context
def cli(context: click.Context, home: str | None, space: str | None) -> None:
    """A long-term memory for conversations that sleeps.

    Import a chat, ask about the people in it, let it sleep, talk with it.
    """
    context.obj = State(home, space)
    context.call_on_close(context.obj.close)


def main() -> None:
    """Run the command line; an expected error becomes one line and exit code 1."""
    try:
        cli.main(prog_name="slowwave", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted; nothing that was finished is lost", code=130)
    except EXPECTED as error:
        _fail(one_line(error))
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _fail(one_line(MissingExtra(extra, error.name or "")))
    except (OSError, sqlite3.OperationalError) as error:  # the indexes are SQLite files of their own
        _fail_of_the_system(error)


def _fail_of_the_system(error: OSError | sqlite3.OperationalError) -> None:
    if isinstance(error, BrokenPipeError):  # whoever read the output has enough
        _drop_output()
        sys.exit(0)
    from db.engine import is_disk_full

    if is_disk_full(error):
        try:
            sys.stdout.flush()
        except OSError:  # it is the output that found no room
            _drop_output()
        _fail("no space left on the disk; free some and run the command again")
    if isinstance(error, OSError) and error.filename is not None:
        _fail(f"cannot use {error.filename}: {error.strerror}; check the path and its permissions")
    raise error


def _drop_output() -> None:
    """Let what is still unwritten go nowhere, or Python complains about it once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int = 1) -> None:
    click.echo(f"slowwave: {message}", err=True)
    sys.exit(code)
