"""The commands of `slowwave`, loaded."""

from __future__ import annotations

import click

from service.cli import cli


def every_command() -> list[tuple[str, click.Command]]:
    """The name of each command of the top level, and the command."""
    context = click.Context(cli)
    return [(name, found) for name in cli.list_commands(context) if (found := cli.get_command(context, name))]
