"""`status`, `doctor`: how it is running, and what a machine lacks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from service.cli.output import State, print_json, print_table


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def status(state: State, as_json: bool) -> None:
    """What runs, waits and failed in every space, the next night of each, and what the machine has left."""
    from memory.spaces import list_spaces
    from service.entrances import status as status_entrance

    with state.services() as services:
        found = status_entrance.status(services, list_spaces(services.database))
    if as_json:
        print_json(found)
        return
    daemon = found["daemon"]
    click.echo(
        "no daemon runs; `slowwave serve` starts one"
        if daemon is None
        else f"the daemon runs at {daemon['url']} since {_moment(daemon['started'])}, process {daemon['pid']}"
    )
    print_table(
        ["space", "now", "next night", "last night", "unread", "jobs"],
        [
            [
                space["space"],
                _now(space),
                _moment(space["next"]),
                _last(space),
                sum(space["pending"].values()) or "",
                _jobs(space["jobs"]),
            ]
            for space in found["spaces"]
        ],
    )
    for space in found["spaces"]:
        for line in _troubles(space):
            click.echo(f"{space['space']}: {line}")
    click.echo(
        f"store {_size(found['store']['bytes'])} ({found['store']['kind']}, revision {found['store']['revision']}), "
        f"disk {_size(found['disk_free_bytes'])} free, memory {_size(found['memory_available_bytes'])} free, "
        f"slowwave {found['versions'].get('slowwave', '?')}"
    )


def _now(space: dict[str, Any]) -> str:
    running, waits = space["running"], space["waits"]
    if running is not None:
        stage = running.get("stage", "begins")
        share = f" {running['done']} of {running['total']}" if running.get("total") else ""
        left = f", {_length(running['eta_s'])} left" if running.get("eta_s") is not None else ""
        return f"night {running['run'][:8]} since {_moment(running['started'])}: {stage}{share}{left}"
    return f"night waits since {_moment(waits['since'])} ({waits['asked_by']})" if waits else ""


def _last(space: dict[str, Any]) -> str:
    last = space["last"]
    if last is None:
        return ""
    outcome = ", published" if last["published"] else ""
    return f"{last['status']}{outcome} {_moment(last['finished'] or last['started'])}"


def _jobs(jobs: list[dict[str, Any]]) -> str:
    states = [job["state"] for job in jobs]
    return ", ".join(f"{states.count(name)} {name}" for name in dict.fromkeys(states))


def _troubles(space: dict[str, Any]) -> list[str]:
    lines = []
    last, tried = space["last"], space["tried"]
    if last is not None and last["stage"]:
        why = f" ({last['error']})" if last["error"] else ""
        lines.append(
            f"night {last['run'][:8]} {last['status']} in {last['stage']}{why}; "
            f"`slowwave sleep report {last['run'][:8]}` says more"
        )
    if tried is not None and tried["outcome"] == "failed":
        lines.append(
            f"the {tried['asked_by']} night of {_moment(tried['at'])} could not begin: {tried['error']}"
        )
    lines += [
        f"job {job['job']} ({job['kind']}) failed: {job['why']}"
        for job in space["jobs"]
        if job["state"] == "failed"
    ]
    return lines


def _moment(said: str | None) -> str:
    return "" if said is None else f"{datetime.fromisoformat(said).astimezone():%Y-%m-%d %H:%M}"


def _length(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 5400
        else f"{seconds / 60:.0f} min"
        if seconds >= 90
        else f"{seconds:.0f} s"
    )


def _size(size_bytes: float | None) -> str:
    if size_bytes is None:
        return "?"
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def doctor(state: State, as_json: bool) -> None:
    """What is missing on this machine, each with the fix; exit 1 where something cannot work without it."""
    from service.doctor import examine

    found = examine(state.home, lambda: state.settings)
    if as_json:
        print_json([finding.as_json() for finding in found])
    else:
        rows = [[finding.check, finding.severity, finding.says, finding.fix] for finding in found]
        print_table(["check", "", "says", "fix"], rows)
    n = sum(finding.severity == "missing" for finding in found)
    if n:
        raise click.ClickException(
            f"{n} {'check fails' if n == 1 else 'checks fail'}; the fixes are listed above"
        )


COMMANDS = (status, doctor)
