"""Encrypted homes as the entrances meet them: opened with the key that the settings name, made from a plain one, and back.

`open_home` is called once, by whoever starts a process's work; from there on everything below sees a home of plain files,
and a store that `db.sealing` knows the key of. A home is changed from one kind to the other by a sealed backup that is
restored into a new folder, so that the old one is whole until its owner destroys it.
"""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from db.engine import sqlite_url
from memory.backup import back_up, forget
from memory.backup_parts import Progress, silent
from memory.errors import HomeNotEmpty, WrongKindOfHome
from memory.restore import RestoreReport, restore
from memory.sealed import homes
from memory.sealed.keys import HomeKey, KeySource
from memory.sealed.pieces import is_sealed
from service.daemon.running import find_daemon
from service.errors import BadSettings
from service.opening import open_store
from service.settings import CONFIG_NAME, Settings, as_table, from_table

_MOVING = ".moving.sealed"  # the backup by which a home is changed; sealed in either direction
WAITING = "curriculum"  # rows that backups leave out, and that go along all the same
BOOKS = "spending.db"


def open_home(settings: Settings, key: HomeKey | None = None) -> Settings:
    """The settings of a plain home as they are; those of an encrypted one with its folder in memory and its store's address.

    Close it with `close_home`. Raises KeyMissing, BadKeyFile, WrongKey, BrokenSeal, NoMemoryFolder, MissingCipher and
    BadSettings, with nothing touched.
    """
    if not homes.is_encrypted(settings.home):
        return settings
    if settings.database_url:
        raise BadSettings("database_url names another store, and an encrypted home has its own; unset it")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no crash writes what is open to the disk
    folder = homes.memory_folder(settings.encryption.memory_folder)
    known = homes.open_in_this_process(settings.home)
    opened = homes.open_home(settings.home, key or (known.key if known else key_of(settings)), folder)
    opened.hide(settings.encryption.key_env)
    return replace(settings, home=opened.home, database_url=sqlite_url(opened.place / "graph.db"))


def close_home(settings: Settings) -> None:
    """Seal what changed, and give the memory back where nobody else has the home open."""
    if (opened := homes.opened_at(settings.home)) is not None:
        homes.close_home(opened)


def handed(settings: Settings) -> dict[str, Any]:
    """What a child process is told on its standard input, the key of an encrypted home with it; as `taken` reads it."""
    here = homes.opened_at(settings.home)
    if here is None:
        return {"home": str(settings.home), "settings": as_table(settings)}
    told = as_table(replace(settings, database_url=""))
    return {"home": str(here.place), "settings": told, "key": here.key.secret.hex()}


def taken(told: Mapping[str, Any]) -> Settings:
    """The settings that a parent has handed over, opened. Raises what `open_home` raises."""
    key = HomeKey(bytes.fromhex(told["key"])) if "key" in told else None
    return open_home(from_table(Path(told["home"]), told["settings"]), key)


@contextmanager
def to_restore(settings: Settings, file: Path) -> Iterator[Settings]:
    """The home that a backup is to be restored into, open. A sealed backup makes an encrypted one of a new folder.

    Raises WrongKindOfHome for a plain home and a sealed backup: nothing sealed becomes plain but by `slowwave decrypt`.
    """
    is_new = is_sealed(file) and not homes.is_encrypted(settings.home)
    if is_new:
        if settings.home.is_dir() and any(settings.home.iterdir()):
            raise WrongKindOfHome(
                f"{file.name} is sealed and {settings.home} is a plain home; restore it --into a new folder, "
                "and `slowwave decrypt` that where it is to be plain"
            )
        make_encrypted(settings, key_of(settings))
    try:
        with opened(settings) as here:
            yield here
    except BaseException:
        if is_new:
            shutil.rmtree(settings.home, ignore_errors=True)
        raise


@contextmanager
def opened(settings: Settings, key: HomeKey | None = None) -> Iterator[Settings]:
    here = open_home(settings, key)
    try:
        yield here
    finally:
        close_home(here)


def key_of(settings: Settings) -> HomeKey:
    """The key that the settings name. Raises KeyMissing, BadKeyFile."""
    named = settings.encryption
    return KeySource(named.key_env, named.key_file).read(settings.home)


def key_at_hand(settings: Settings) -> HomeKey | None:
    """The key of the home that is open, else the one that the settings name, if any."""
    if (here := homes.opened_at(settings.home)) is not None:
        return here.key
    named = settings.encryption
    source = KeySource(named.key_env, named.key_file)
    return source.read(settings.home) if named.key_file or source.is_set() else None


def refuse_encrypted(settings: Settings) -> None:
    """Raises WrongKindOfHome."""
    if homes.is_encrypted(settings.home):
        raise WrongKindOfHome(
            f"{settings.home} is encrypted already; `slowwave decrypt` makes a plain one of it"
        )


def make_encrypted(settings: Settings, key: HomeKey) -> None:
    """An empty encrypted home at `settings.home`. Raises HomeNotEmpty."""
    _refuse_unless_empty(settings.home)
    homes.memory_folder(settings.encryption.memory_folder)
    homes.make(settings.home, key)


@dataclass(frozen=True, slots=True)
class Moved:
    """A home that was made from another, which is as it was."""

    old: Path
    new: Path
    report: RestoreReport


def encrypt(settings: Settings, new: Path, key: HomeKey, *, progress: Progress = silent) -> Moved:
    """An encrypted home at `new` with all that the plain one holds but caches. Raises WrongKindOfHome, HomeNotEmpty."""
    refuse_encrypted(settings)
    _refuse_to_move(settings, new)
    if settings.database_url:
        raise WrongKindOfHome(
            "the store is on a server, which this does not cover: encrypt its disk, and unset database_url for a home of files"
        )
    homes.memory_folder(settings.encryption.memory_folder)
    homes.make(new, key)
    try:
        with opened(replace(settings, home=new), key) as there:
            report = _moved(settings, there, new, key, progress)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return Moved(settings.home, new, report)


def decrypt(settings: Settings, new: Path, *, progress: Progress = silent) -> Moved:
    """A plain home at `new` with all that the encrypted one at `settings.home`, which is open, holds but caches."""
    here = homes.opened_at(settings.home)
    if here is None:
        raise WrongKindOfHome(f"{settings.home} is not encrypted")
    _refuse_to_move(settings, new)
    new.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        there = replace(settings, home=new, database_url="")
        report = _moved(settings, there, new, here.key, progress)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return Moved(here.place, new, report)


def _refuse_to_move(settings: Settings, new: Path) -> None:
    if (daemon := find_daemon(settings.home)) is not None:
        raise WrongKindOfHome(f"a daemon serves this home (process {daemon.pid}); stop it first")
    if not (homes.place_of(settings.home) / "graph.db").exists():
        raise WrongKindOfHome(
            f"{homes.place_of(settings.home)} holds no store; give the home that is to be changed"
        )
    _refuse_unless_empty(new)


def _refuse_unless_empty(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()):
        raise HomeNotEmpty(str(folder))


def _moved(old: Settings, new: Settings, place: Path, key: HomeKey, progress: Progress) -> RestoreReport:
    file = place / _MOVING
    try:
        with closing(open_store(old)) as database:
            back_up(database, old.home, file, seal=key, progress=progress)
        report = restore(file, new.home, new.url, key=key, progress=progress)
    finally:
        file.unlink(missing_ok=True)
        for home in (old.home, new.home):
            forget(home, file)
    if (old.home / CONFIG_NAME).exists():
        shutil.copyfile(old.home / CONFIG_NAME, place / CONFIG_NAME)
    for name in (WAITING, BOOKS):
        _copy(old.home / name, new.home / name)
    return report


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.exists():
        shutil.copyfile(source, target)
