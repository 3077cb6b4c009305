"""The command line: `slowwave`. Commands live in their own modules; this one runs them and words their errors.

Exit codes: 0 done, 1 refused or failed (one line on stderr that says what to do), 2 usage.
"""

from __future__ import annotations

import errno
import sys

import click

from db.engine import is_disk_full
from service.cli import graph, night, system, talk
from service.cli.output import State
from service.errors import EXPECTED, one_line


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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


for module in (graph, night, talk, system):
    for command in module.COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Run the command line; an expected error becomes one line and exit code 1."""
    try:
        cli.main(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        _fail("interrupted; nothing that was finished is lost", code=130)
    except EXPECTED as error:
        _fail(one_line(error))
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        if is_disk_full(error):
            _fail("no space left on the disk; free some and run the command again")
        if error.errno in (errno.ENOENT, errno.EACCES, errno.EISDIR, errno.EROFS, errno.ENOTDIR):
            _fail(f"cannot use {error.filename}: {error.strerror}; check the path and its permissions")
        raise


def _fail(message: str, code: int = 1) -> None:
    click.echo(f"slowwave: {message}", err=True)
    sys.exit(code)
