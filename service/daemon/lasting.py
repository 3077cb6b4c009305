"""Backups as a home's owner asks for them, by hand or by the settings `[backup]`, and restores with what is to be set again.

Settings go along without what belongs to one machine or holds a secret: the address of the store, and addresses that
carry a password. Secrets themselves are in the environment and never in a backup.
"""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from db.engine import Database
from memory.audit import Act, record
from memory.backup import BackupRecord, BackupReport, KeptSettings, known_backups
from memory.backup import back_up as back_up_home
from memory.backup_parts import CONFIG, Progress, silent
from memory.erasure import Outcome
from memory.erasure.run import Watch, unwatched
from memory.ports import Clock, utc_now
from memory.restore import RestoreReport
from memory.restore import restore as restore_home
from memory.sealed.homes import place_of
from memory.sealed.pieces import is_sealed
from service.encryption import key_at_hand
from service.errors import BadSettings
from service.opening import open_store
from service.settings import Settings, load_settings

if TYPE_CHECKING:
    from service.wiring import Services

NAMED = "slowwave-"  # how scheduled backups begin; others in the folder are never removed
REMADE = ("search index", "vectors of messages", "converted base model", "remembered answers of back-ends")
_ADDRESS = "database_url"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Restored:
    report: RestoreReport
    erased: tuple[Outcome, ...]  # what was erased since the backup was made, and is again
    left: Mapping[str, int]  # by space, how many erasures could not be done again
    to_set: tuple[str, ...]  # one line each: what this machine lacks
    remade: tuple[str, ...] = REMADE  # caches, when they are next needed


def back_up(services: Services, target: Path, *, progress: Progress = silent) -> BackupReport:
    """The whole home, every space of it, in one file. Raises what `memory.backup.back_up` does."""
    home = services.settings.home
    return back_up_home(services.database, home, target, _kept(home), clock=services.clock, progress=progress)


def is_due(settings: Settings, now: datetime) -> bool:
    """Whether `[backup]` wants one now."""
    if not settings.backup.folder:
        return False
    made = [record.made_at for record in _scheduled(settings)]
    return not made or now - max(made) >= timedelta(hours=settings.backup.every_hours)


def back_up_if_due(
    database: Database, settings: Settings, *, clock: Clock = utc_now, progress: Progress = silent
) -> BackupReport | None:
    """The scheduled backup, where one is due; then older ones beyond the number to keep go. For a timer to call.

    Raises BadSettings for a folder in the home, or that is not there: a disk that is not plugged in is not made up for.
    """
    now = clock()
    if not is_due(settings, now):
        return None
    folder = Path(settings.backup.folder).expanduser()
    if folder.resolve().is_relative_to(place_of(settings.home).resolve()):
        raise BadSettings("backup.folder lies in the home; give a folder outside of it, best on another disk")
    if not folder.is_dir():
        raise BadSettings("backup.folder is not there; make it, or plug its disk in")
    target = folder / f"{NAMED}{now:%Y%m%d-%H%M%S}.zip"
    report = back_up_home(
        database, settings.home, target, _kept(settings.home), clock=clock, progress=progress
    )
    kept = max(1, settings.backup.keep)
    for old in _scheduled(settings)[:-kept]:
        old.path.unlink(missing_ok=True)
    log.info("backup done: %s rows, %s files, %s bytes", report.n_rows, report.n_files, report.size_bytes)
    return report


def _scheduled(settings: Settings) -> list[BackupRecord]:
    """Scheduled backups that are there, oldest first."""
    folder = Path(settings.backup.folder).expanduser().absolute()
    return [
        record
        for record in known_backups(settings.home)
        if record.path.parent == folder and record.path.name.startswith(NAMED) and record.path.exists()
    ]


def restore(
    settings: Settings,
    file: Path,
    *,
    force: bool = False,
    brings_back: bool = False,
    progress: Progress = silent,
    watch: Watch = unwatched,
) -> Restored:
    """Restore, and erase again what is known to have been erased since, unless it shall be brought back.

    What cannot be erased now, `verify` names, and the next daemon or `slowwave forget resume` does. Raises what
    `memory.restore.restore` does.
    """
    report = restore_home(
        file,
        settings.home,
        settings.url,
        key=key_at_hand(settings) if is_sealed(file) else None,
        force=force,
        brings_back=brings_back,
        progress=progress,
    )
    restored = replace(load_settings(settings.home), database_url=settings.database_url)
    erased, left = _erase_again(restored, watch)
    return Restored(report, tuple(erased), left, tuple(_to_set(restored, report.left_out)))


def _erase_again(settings: Settings, watch: Watch) -> tuple[list[Outcome], dict[str, int]]:
    from service.entrances import forgetting
    from service.wiring import Services

    outcomes: list[Outcome] = []
    with closing(open_store(settings)) as database:
        record(database, Act("command", "restore", "done"))
        waiting = forgetting.waiting(database, settings.home)
    for name in waiting:
        with Services(replace(settings, space=name)) as services:
            try:
                outcomes += forgetting.finish(services, watch=watch)
            except Exception as error:  # the restore stands; `verify` names what is left
                log.warning("what was erased is not erased again yet: %s", type(error).__name__)
    with closing(open_store(settings)) as database:
        return outcomes, forgetting.waiting(database, settings.home)


def _kept(home: Path) -> KeptSettings:
    try:
        table = tomllib.loads((home / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return KeptSettings()
    left_out: list[str] = []
    lines = "\n".join(_toml(_without_secrets(table, left_out)))
    told = f"# of a backup; left out: {', '.join(left_out) or 'nothing'}\n"
    return KeptSettings({CONFIG: f"{told}{lines}\n".encode()}, tuple(left_out))


def _without_secrets(table: Mapping[str, Any], left_out: list[str], parent: str = "") -> dict[str, Any]:
    """The table; names of keys that stay behind are added to `left_out`."""
    kept: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{parent}{key}"
        if isinstance(value, Mapping):
            kept[key] = _without_secrets(value, left_out, f"{name}.")
        elif name == _ADDRESS or _has_password(value):
            left_out.append(name)
        else:
            kept[key] = value
    return kept


def _has_password(value: Any) -> bool:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        return parts is not None and bool(parts.password or parts.username)
    except ValueError:
        return True


def _toml(table: Mapping[str, Any], parent: str = "") -> Iterator[str]:
    """Lines of a table of plain values and tables, which is what settings are."""
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    if plain and parent:
        yield f"[{parent}]"
    for key, value in plain.items():
        yield f"{key} = {json.dumps(value, ensure_ascii=True)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _toml(value, f"{parent}.{key}" if parent else key)


def _to_set(settings: Settings, left_out: tuple[str, ...]) -> Iterator[str]:
    for key in left_out:
        yield f"{key} was left out of the backup: set it in {CONFIG}, or in the environment"
    for where, variable in (
        ("backend", settings.backend.api_key_env),
        ("persona", settings.persona.api_key_env),
    ):
        if variable:
            yield f"{where}.api_key_env: set {variable} in the environment"
    named = {
        "predicates": settings.predicates,
        "persona.script": settings.persona.script,
        "backup.folder": settings.backup.folder,
    }
    if "/" in settings.night.base_model:
        named["night.base_model"] = settings.night.base_model
    for key, place in named.items():
        if place and Path(place).is_absolute() and not Path(place).exists():
            yield f"{key} names {place}, which this machine does not have: copy it there, or change the setting"
