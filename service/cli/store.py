"""`backup`, `restore`, `verify` and `clean`: a home in one file and back, proved, and tidied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.output import Bars, State, print_json, print_table

if TYPE_CHECKING:
    from memory.backup import BackupReport
    from service.daemon.lasting import Restored


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--list", "list_them", is_flag=True, help="List the backups that were made of this home.")
@click.option("--due", is_flag=True, help="Make the one that the settings `[backup]` want, if it is time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def backup(state: State, file: Path | None, list_them: bool, due: bool, as_json: bool) -> None:
    """Write everything to one FILE, while others go on reading and writing, and prove it."""
    from service.daemon import lasting

    if sum((file is not None, list_them, due)) != 1:
        raise click.UsageError("give one of: the FILE to write, --list, --due")
    if list_them:
        _list_backups(state, as_json=as_json)
        return
    with state.services() as services, Bars() as bars:
        progress = bars.step("backup")
        report = (
            lasting.back_up_if_due(
                services.database, services.settings, clock=services.clock, progress=progress
            )
            if file is None
            else lasting.back_up(services, file, progress=progress)
        )
        if report is not None:
            bars.finish("backup")
    if as_json:
        print_json(None if report is None else _backup_json(report))
    elif report is None:
        click.echo("no backup is due")
    else:
        made = report.record
        click.echo(f"{made.path}: {report.n_rows} rows, {report.n_files} files, {report.size_bytes:,} bytes")
        for name in report.missing:
            click.echo(f"  not there, and so not in the backup: {name}")


def _backup_json(report: BackupReport) -> dict[str, Any]:
    return {
        "path": str(report.record.path),
        "made_at": report.record.made_at.isoformat(),
        "sha256": report.record.sha256,
        "size_bytes": report.size_bytes,
        "rows": report.n_rows,
        "files": report.n_files,
        "missing": list(report.missing),
    }


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
@click.option("--into", "--home", "into", metavar="HOME", help="The home to restore into (default: --home).")
@click.option("--force", is_flag=True, help="Replace what the home holds.")
@click.option("--bring-back", is_flag=True, help="Also what was erased after that day; for good.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def restore(state: State, file: Path, into: str | None, force: bool, bring_back: bool, as_json: bool) -> None:
    """Make a home what it was when the backup FILE was made; all of it or nothing.

    Consents that were withdrawn since stay withdrawn, and what was erased since is erased again, as far as it is known.
    """
    from service.daemon import lasting
    from service.encryption import to_restore
    from service.settings import load_settings

    settings = load_settings(into) if into else state.plain_settings
    with to_restore(settings, file) as home, Bars() as bars:
        done = lasting.restore(
            home,
            file,
            force=force,
            brings_back=bring_back,
            progress=bars.step("restore"),
            watch=bars.step,
        )
        bars.finish("restore")
    if as_json:
        print_json(
            {
                "home": str(settings.home),
                "made_at": done.report.made_at.isoformat(),
                "rows": done.report.n_rows,
                "files": done.report.n_files,
                "missing": list(done.report.missing),
                "withdrawn": done.report.n_withdrawn,
                "erased": [outcome.as_json() for outcome in done.erased],
                "not_erased": dict(done.left),
                "to_set": list(done.to_set),
                "remade": list(done.remade),
            }
        )
    else:
        _print_restored(settings.home, done)


def _print_restored(home: Path, done: Restored) -> None:
    report = done.report
    click.echo(
        f"{home}: {report.n_rows} rows and {report.n_files} files "
        f"as they were on {report.made_at:%Y-%m-%d %H:%M} UTC"
    )
    for name in report.missing:
        click.echo(f"  was not in the backup: {name}")
    click.echo(f"made again when first needed: {', '.join(done.remade)}")
    for line in done.to_set:
        click.echo(f"to do: {line}")
    click.echo("to do: tokens are all revoked; `slowwave token add` makes new ones")
    if report.n_withdrawn:
        click.echo(f"withdrawn again: {report.n_withdrawn} consents that stood on that day")
    if done.erased:
        seqs = ", ".join(str(outcome.certificate.seq) for outcome in done.erased)
        click.echo(f"erased again: {len(done.erased)}; the certificates are {seqs}")
    for space, n in done.left.items():
        click.echo(f"to do: {n} erasures of {space} are undone; run `slowwave --space {space} forget resume`")
    click.echo(
        "what was erased or withdrawn after that day in another home is not known here and is back: erase and withdraw "
        "it again; `slowwave verify` proves the rest"
    )


@click.command()
@click.option("--quick", is_flag=True, help="Rows, references and which files are there; nothing is hashed.")
@click.option("--json", "as_json", is_flag=True, help="Print the problems as JSON.")
@click.pass_obj
def verify(state: State, quick: bool, as_json: bool) -> None:
    """Prove that tables, indexes, ledger and files agree, in every space; exit 1 with a line for each problem."""
    from service.entrances.proving import verify_home

    with state.services() as services, Bars() as bars:
        report = verify_home(services, only=state.named_space, is_quick=quick, watch=bars.step)
        if report.problems:
            bars.erase()
    if as_json:
        print_json(report.as_json())
    else:
        for space, problem in report.problems:
            click.echo(f"{space}: {problem.check}: {problem.what}; {problem.remedy}")
        if not report.problems:
            click.echo(f"sound: {', '.join(f'{n} {what}' for what, n in report.counts.items())}")
        if left := report.leftovers:
            size = sum(item.size_bytes for item in left)
            click.echo(f"{len(left)} leftovers of work that was cut off, {size:,} bytes: `slowwave clean`")
    if report.problems:
        raise click.ClickException(f"{len(report.problems)} problems; each line above says what to do")


@click.command()
@click.option("--yes", is_flag=True, help="Remove them; without it they are only shown.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def clean(state: State, yes: bool, as_json: bool) -> None:
    """Show, or remove, what work that was cut off left on the disk; nothing of it is in use."""
    from memory.verify.leftovers import clean as remove
    from memory.verify.leftovers import leftovers

    with state.services() as services:
        found = leftovers(services.database, services.settings.home)
    if yes:
        remove(found)
    if as_json:
        print_json([{**item.as_json(), "removed": yes} for item in found])
        return
    if found:
        print_table(["what", "bytes", "path"], [[item.what, item.size_bytes, item.path] for item in found])
    said = "were removed" if yes else "would be removed; to do it, add --yes"
    click.echo(f"{len(found)} leftovers {said}" if found else "nothing is left over")


COMMANDS = (backup, restore, verify, clean)
