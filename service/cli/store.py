"""`backup` and `restore`: a home in one file, and back."""

from __future__ import annotations

from pathlib import Path

import click

from service.cli.output import Bars, State, print_json, print_table
from service.settings import load_settings


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--list", "list_them", is_flag=True, help="List the backups that were made of this home.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def backup(state: State, file: Path | None, list_them: bool, as_json: bool) -> None:
    """Write everything to one FILE, while others go on reading and writing."""
    from memory.backup import back_up

    if (file is None) != list_them:
        raise click.UsageError("give either the FILE to write or --list")
    if file is None:
        _list_backups(state, as_json=as_json)
        return
    with state.services() as services, Bars() as bars:
        report = back_up(
            services.database,
            state.settings.home,
            file,
            clock=services.clock,
            progress=bars.step("backup"),
        )
        bars.finish("backup")
    if as_json:
        print_json(
            {
                "path": str(report.record.path),
                "made_at": report.record.made_at.isoformat(),
                "sha256": report.record.sha256,
                "size_bytes": report.size_bytes,
                "rows": report.n_rows,
                "files": report.n_files,
                "missing": list(report.missing),
            }
        )
        return
    click.echo(
        f"{report.record.path}: {report.n_rows} rows, {report.n_files} files, {report.size_bytes:,} bytes"
    )
    for name in report.missing:
        click.echo(f"  not there, and so not in the backup: {name}")


def _list_backups(state: State, *, as_json: bool) -> None:
    from memory.backup import known_backups

    found = known_backups(state.settings.home)
    if as_json:
        print_json(
            [
                {
                    "path": str(record.path),
                    "made_at": record.made_at.isoformat(),
                    "sha256": record.sha256,
                    "is_there": record.path.exists(),
                }
                for record in found
            ]
        )
        return
    print_table(
        ["made at", "there", "sha256", "path"],
        [
            [
                f"{record.made_at:%Y-%m-%d %H:%M}",
                "yes" if record.path.exists() else "no",
                record.sha256[:12],
                record.path,
            ]
            for record in found
        ],
    )


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--into", metavar="HOME", help="The home to restore into (default: --home).")
@click.option("--force", is_flag=True, help="Replace what the home holds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def restore(state: State, file: Path, into: str | None, force: bool, as_json: bool) -> None:
    """Make a home what it was when the backup FILE was made; all of it or nothing."""
    from memory.restore import restore as restore_home

    settings = load_settings(into) if into else state.settings
    with Bars() as bars:
        report = restore_home(file, settings.home, settings.url, force=force, progress=bars.step("restore"))
        bars.finish("restore")
    if as_json:
        print_json(
            {
                "home": str(settings.home),
                "made_at": report.made_at.isoformat(),
                "rows": report.n_rows,
                "files": report.n_files,
                "missing": list(report.missing),
            }
        )
        return
    click.echo(
        f"{settings.home}: {report.n_rows} rows and {report.n_files} files "
        f"as they were on {report.made_at:%Y-%m-%d %H:%M} UTC"
    )
    for name in report.missing:
        click.echo(f"  was not in the backup: {name}")


COMMANDS = (backup, restore)
