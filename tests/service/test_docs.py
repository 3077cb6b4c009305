from __future__ import annotations

from pathlib import Path

import click
import pytest

from service.cli import cli

ROOT = Path(__file__).parents[2]


def commands() -> list[tuple[str, click.Command]]:
    found = []
    for name, command in cli.commands.items():
        if isinstance(command, click.Group):
            found += [(f"{name} {inner}", child) for inner, child in command.commands.items()]
        else:
            found.append((name, command))
    return found


@pytest.mark.parametrize(
    ("name", "command"), commands(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_is_documented_and_says_what_it_does(name: str, command: click.Command) -> None:
    assert f"`slowwave {name}" in (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert command.help
