"""Whether a home's settings can be used: every key of the file and of the environment by itself, then what they point at.

Finds all that is wrong, not only the first; reads the file alone and writes nothing.
"""

from __future__ import annotations

import difflib
import os
import socket
import stat
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from agents.runtime.spec import locate
from db.engine import make_engine
from db.errors import DatabaseError
from memory.errors import GraphError, ModelMissing
from memory.sealed.homes import folder_in_memory, is_encrypted, memory_folder, prove_key
from memory.sealed.keys import KeySource
from memory.spaces import zone
from service import backend
from service.daemon.due import Plan
from service.daemon.logs import FORMATS
from service.daemon.running import find_daemon
from service.errors import ServiceError, one_line
from service.settings import CONFIG_NAME, Settings, find_home, from_environment, from_table

Severity = Literal["wrong", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`where` is the file or "the environment"; `key` as in `serve.port`, "" for the whole; `say` names the fix."""

    severity: Severity
    where: str
    key: str
    say: str

    def as_json(self) -> dict[str, str]:
        return {"severity": self.severity, "where": self.where, "key": self.key, "say": self.say}


def check_config(home: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """What is wrong first, then warnings."""
    folder = find_home(home, environ)
    path = folder / CONFIG_NAME
    table, found = _read(path)
    said = {str(path): table, "the environment": from_environment(environ)}
    usable: dict[str, Any] = {}
    for where, values in said.items():
        for keys, value in _leaves(values):
            problem = _refused(folder, keys, value)
            if problem is None:
                _put(usable, keys, value)
            else:
                found.append(Finding("wrong", where, ".".join(keys), problem))
    found += _meant(from_table(folder, usable), environ)
    if path.exists() and _is_readable_by_others(path) and "password" in _credentials(usable):
        say = f"it holds the database's password and others can read it; run `chmod 600 {path}`"
        found.append(Finding("warning", str(path), "database_url", say))
    return sorted(found, key=lambda finding: finding.severity != "wrong")


def _read(path: Path) -> tuple[dict[str, Any], list[Finding]]:
    if not path.exists():
        return {}, []
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, [Finding("wrong", str(path), "", f"it is no valid TOML: {one_line(error)}")]
    except OSError as error:
        return {}, [Finding("wrong", str(path), "", f"it cannot be read: {error.strerror}")]


def _leaves(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and _is_table((*above, key)):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _kind(keys: tuple[str, ...]) -> Any:
    """The default at that place, or None where there is no such place."""
    found: Any = Settings(home=Path())
    for key in keys:
        if not is_dataclass(found) or key not in {item.name for item in fields(found)}:
            return None
        found = getattr(found, key)
    return found


def _is_table(keys: tuple[str, ...]) -> bool:
    return is_dataclass(_kind(keys))


def _refused(home: Path, keys: tuple[str, ...], value: Any) -> str | None:
    above = _kind(keys[:-1])
    known = [item.name for item in fields(above)] if is_dataclass(above) else []
    if keys[-1] not in known or keys == ("home",):
        near = difflib.get_close_matches(keys[-1], known, 1)
        meant = f"; did you mean {'.'.join((*keys[:-1], near[0]))}?" if near else ""
        return f"it is no setting{meant} `slowwave config` lists them"
    table: dict[str, Any] = {}
    _put(table, keys, value)
    try:
        from_table(home, table)
    except ServiceError as error:
        return one_line(error).removeprefix("the daemon ")
    return None


def _put(table: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    for key in keys[:-1]:
        table = table.setdefault(key, {})
    table[keys[-1]] = value


def _meant(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What the values point at: times, zones, files, models, the database, keys, the port."""
    here = "the settings"

    def wrong(key: str, say: str) -> Finding:
        return Finding("wrong", here, key, say)

    try:
        Plan.of(settings.serve)
    except ServiceError as error:
        yield wrong("serve", one_line(error))
    if settings.serve.log_format not in FORMATS:
        yield wrong("serve.log_format", f"it takes {' or '.join(FORMATS)}")
    try:
        zone(settings.timezone)
    except GraphError as error:
        yield wrong("timezone", one_line(error))
    for key, name in (("predicates", settings.predicates), ("persona.script", settings.persona.script)):
        if name and not _is_readable(Path(name).expanduser()):
            yield wrong(key, f"{name} cannot be read; correct the path or its permissions")
    try:
        locate(settings.night.base_model)
    except ModelMissing as error:
        yield wrong("night.base_model", one_line(error))
    if is_encrypted(settings.home):
        yield from _key(settings, environ)
    else:
        if settings.encryption.key_file:
            say = "the home is plain all the same; `slowwave encrypt` makes an encrypted one"
            yield Finding("warning", here, "encryption.key_file", say)
        try:
            make_engine(settings.url).dispose()
        except DatabaseError as error:
            yield wrong("database_url", one_line(error))
    try:
        backend.check(settings.backend)
    except ServiceError as error:
        yield wrong("backend", one_line(error))
    yield from _keys(settings, environ)
    yield from _port(settings)


def _key(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the encrypted home can be opened; it is not opened for it, and its key stays where it is."""
    named, here = settings.encryption, "the settings"
    if settings.database_url:
        yield Finding("wrong", here, "database_url", "an encrypted home has a store of its own; unset it")
    key = "encryption.key_file" if named.key_file else "encryption.key_env"
    try:
        found = KeySource(named.key_env, named.key_file).read(settings.home, environ)
        prove_key(settings.home, found)
    except (GraphError, DatabaseError) as error:
        yield Finding("wrong", here, key, one_line(error))
    try:
        memory_folder(named.memory_folder)
    except GraphError as error:
        yield Finding("wrong", here, "encryption.memory_folder", one_line(error))


def _keys(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    for table, name in (
        ("backend", settings.backend.api_key_env),
        ("persona", settings.persona.api_key_env),
    ):
        if name and not environ.get(name):
            yield Finding(
                "warning", "the settings", f"{table}.api_key_env", f"the variable {name} is not set"
            )


def _port(settings: Settings) -> Iterator[Finding]:
    serve = settings.serve
    if find_daemon(folder_in_memory(settings.home) or settings.home) is not None:
        return
    try:
        family = socket.getaddrinfo(serve.host, serve.port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((serve.host, serve.port), family=family).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        say = f"cannot listen on {serve.host}:{serve.port} ({why}); stop what does, or set another port"
        yield Finding("warning", "the settings", "serve.port", say)


def _is_readable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK)


def _is_readable_by_others(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _credentials(table: Mapping[str, Any]) -> set[str]:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    with suppress(ArgumentError):
        if table.get("database_url") and make_url(str(table["database_url"])).password:
            return {"password"}
    return set()
