"""`encrypt` and `decrypt`: a home that nobody reads without its key, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.output import Bars, State, print_json

if TYPE_CHECKING:
    from memory.sealed.keys import HomeKey
    from service.encryption import Moved
    from service.settings import Settings

_TO = click.Path(path_type=Path, file_okay=False)
_LOST = "keep a copy of the key elsewhere: whoever loses it has lost the memory, and nobody can help"


@click.command()
@click.option("--to", type=_TO, help="A new folder, for a home that holds something.")
@click.option("--new-key", type=click.Path(path_type=Path, dir_okay=False), help="Write a new key to FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def encrypt(state: State, to: Path | None, new_key: Path | None, as_json: bool) -> None:
    """Make an encrypted home: an empty one, or --to a new folder with all that the plain one holds.

    The key is what encryption.key_env or encryption.key_file names, or a new one. The plain home stays as it is.
    """
    from service import encryption

    settings = state.plain_settings
    encryption.refuse_encrypted(settings)
    with _key(settings, new_key) as key:
        _encrypt(settings, to, key, new_key, as_json=as_json)


def _encrypt(
    settings: Settings, to: Path | None, key: HomeKey, new_key: Path | None, *, as_json: bool
) -> None:
    from service import encryption

    if to is None:
        encryption.make_encrypted(settings, key)
        _say_made(settings.home, new_key, as_json=as_json)
        return
    with Bars() as bars:
        moved = encryption.encrypt(settings, to.expanduser().absolute(), key, progress=bars.step("encrypt"))
        bars.finish("encrypt")
    _say_moved(moved, as_json=as_json)
    if not as_json:
        _say_key(new_key)
        click.echo(
            f"to do: {moved.old} is as it was and everybody can read it: once {moved.new} does what you expect, destroy it and "
            "its backups; what an SSD has kept of it, only the disk's own encryption covers"
        )


@click.command()
@click.option("--to", type=_TO, required=True, help="A new folder for the plain home.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def decrypt(state: State, to: Path, as_json: bool) -> None:
    """Make a plain home of an encrypted one, in a new folder; the encrypted one stays as it is."""
    from service import encryption

    with Bars() as bars:
        moved = encryption.decrypt(state.settings, to.expanduser().absolute(), progress=bars.step("decrypt"))
        bars.finish("decrypt")
    _say_moved(moved, as_json=as_json)
    if not as_json:
        click.echo(
            f"{moved.new} is plain: whoever reads the folder reads everything; {moved.old} is as it was"
        )


@contextmanager
def _key(settings: Settings, new_key: Path | None) -> Iterator[HomeKey]:
    """The key that the settings name, or a new one, which goes again where nothing is made with it."""
    from memory.sealed.keys import make_key_file
    from service.encryption import key_of

    if new_key is None:
        yield key_of(settings)
        return
    made = make_key_file(new_key, settings.home)
    try:
        yield made
    except BaseException:
        new_key.expanduser().unlink()
        raise


def _say_made(home: Path, new_key: Path | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"home": str(home), "rows": 0, "files": 0, "old": None})
        return
    click.echo(f"{home}: an empty encrypted home")
    _say_key(new_key)


def _say_key(new_key: Path | None) -> None:
    if new_key is not None:
        click.echo(f"to do: set encryption.key_file to {new_key.expanduser().absolute()}")
    click.echo(f"to do: {_LOST}")


def _say_moved(moved: Moved, *, as_json: bool) -> None:
    report = moved.report
    if as_json:
        told = {"home": str(moved.new), "rows": report.n_rows, "files": report.n_files, "old": str(moved.old)}
        print_json(told)
        return
    click.echo(f"{moved.new}: {report.n_rows} rows and {report.n_files} files")
    click.echo("to do: tokens are all revoked; `slowwave token add` makes new ones")


COMMANDS = (encrypt, decrypt)
