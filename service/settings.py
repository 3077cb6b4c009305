"""Settings: read once, from `config.toml` in the home folder and `SLOWWAVE_*` in the environment.

The environment wins over the file, a command's option over both. Secrets are named by the variable that holds
them (`api_key_env`), never written in the file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from consolidation.stage import Gate, NightSettings, SalienceWeights, StyleSettings, TrainSettings
from memory.sensitive import KINDS
from service.errors import BadSettings

CONFIG_NAME = "config.toml"


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """The language model that reads and judges (docs/backends.md). kind "none" is rules and small local models only.

    Limits of 0 are none. Costs are in the currency of the prices.
    """

    kind: str = "none"  # none | local | openai | gemini | scripted
    model: str = ""
    base_url: str = ""
    api_key_env: str = ""
    extractor: str = "auto"  # auto | rules | model | both
    timeout_s: float = 60.0  # of one try
    retries: int = 4  # further tries where the server is busy or away
    at_once: int = 4  # requests on their way at the same time, at most
    max_tokens_per_day: int = 0
    max_cost_per_day: float = 0.0
    max_tokens_per_run: int = 0  # of one night, or one reading of what was imported
    max_cost_per_run: float = 0.0
    price_per_million_in: float = 0.0  # of tokens that are sent
    price_per_million_out: float = 0.0  # of tokens that come back
    cache: bool = True  # keep answers in the home, so that the same question is asked once
    cache_mb: int = 64


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """What is done with what is sensitive (docs/privacy.md). It is marked wherever it is shown, whatever is set here."""

    leave_out: tuple[str, ...] = ()  # kinds that no extractor, writer, training or back-end gets


@dataclass(frozen=True, slots=True)
class MemorySettings:
    """How graph and weights work together (docs/adr/0029)."""

    trust_weights: bool = False  # leave facts that the weights have mastered out of prompts


@dataclass(frozen=True, slots=True)
class PersonaSettings:
    """What personas speak with (docs/personas.md). `openai` sends what is said to the server at `base_url`,
    `scripted` says what a file holds."""

    engine: str = "local"  # local | openai | scripted
    script: str = ""  # of the scripted engine: a file with a reply on each line
    model: str = ""  # of the server
    base_url: str = ""
    api_key_env: str = ""
    timeout_s: float = 60.0  # of one try
    retries: int = 2  # further tries before a reply has begun
    # int8 | full: the local model's weights while it writes; what cannot be written with in int8 is in full
    writes_in: str = "int8"


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What one caller may ask of the daemon (docs/threats.md). 0 is no limit."""

    requests_per_s: float = (
        100.0  # of one token from one address; programs of this machine without one are not counted
    )
    burst: int = 300  # so many may come at once
    failures_per_minute: float = 20.0  # wrong tokens from one address, before that address is told to wait
    url_chars: int = 8192
    headers: int = 100
    headers_kb: int = 32
    body_kb: int = 1024  # of a request that uploads nothing
    body_wait_s: float = 30.0  # for the next piece of a body, and beyond what body_kb_per_s allows the whole
    body_kb_per_s: float = 8.0  # no body may come slower


@dataclass(frozen=True, slots=True)
class ServeSettings:
    host: str = "127.0.0.1"
    port: int = 7777
    nightly_at: str = "03:00"  # local time of the space; "" switches the nightly job off
    jitter_minutes: float = 10.0  # by up to so much later, the same for a space and a day
    catch_up_hours: float = 24.0  # a night missed by no more than this is made up, once; 0: never
    idle_minutes: float = (
        0.0  # without a request for so long a night may begin at any hour, once a day; 0: never
    )
    idle_new: int = 50  # where so many facts and messages are new since the last one
    log_format: str = "text"  # text | json: lines for people, or an object a line
    token_env: str = "SLOWWAVE_TOKEN"
    token_required: bool = False  # on loopback too, for a machine with other users
    hosts: str = ""  # further names that the daemon is asked by, with commas: "memory.example, nas.local"
    login_hours: float = 720.0  # how long a browser stays logged in
    space_idle_minutes: int = 30  # after which a space that nobody uses is closed; 0 keeps each open
    limits: LimitSettings = field(default_factory=LimitSettings)


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """What is sent over HTTP to be imported (docs/imports.md), and what reading it may take."""

    max_upload_mb: int = 4096
    spool_mb: int = 8192  # of all uploads of a space that wait
    memory_mb: int = 1024  # of the process that reads one
    minutes: float = 30.0  # that it may take


@dataclass(frozen=True, slots=True)
class BackupSettings:
    """Backups that the daemon makes by itself (docs/lasting.md)."""

    folder: str = ""  # outside of the home, best on another disk; "" makes none
    every_hours: float = 24.0
    keep: int = 7  # of them; the oldest go


@dataclass(frozen=True, slots=True)
class EncryptionSettings:
    """Where the key of an encrypted home is (docs/encryption.md), and where it is opened. Never the key itself."""

    key_env: str = "SLOWWAVE_KEY"  # the variable that holds it
    key_file: str = ""  # or the file, of mode 0600 and outside of the home; it wins
    memory_folder: str = ""  # a folder on a tmpfs; "" is /dev/shm


@dataclass(frozen=True, slots=True)
class Settings:
    home: Path
    database_url: str = ""  # "" is SQLite at home/graph.db
    space: str = "default"
    timezone: str = "UTC"  # the zone that exports without one were written in
    predicates: str = ""  # a file with predicates of one's own
    strict_predicates: bool = False  # refuse facts with a predicate that the registry does not know
    count_asked: bool = True  # how often a fact was part of an answer, for its salience; never the question
    keeper: str = "Keeper"  # in whose name a fact is stated by hand where nobody is named
    backend: BackendSettings = field(default_factory=BackendSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    persona: PersonaSettings = field(default_factory=PersonaSettings)
    serve: ServeSettings = field(default_factory=ServeSettings)
    imports: ImportSettings = field(default_factory=ImportSettings)
    backup: BackupSettings = field(default_factory=BackupSettings)
    encryption: EncryptionSettings = field(default_factory=EncryptionSettings)
    night: NightSettings = field(default_factory=NightSettings)

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite:///{self.home / 'graph.db'}"


_T = TypeVar(
    "_T",
    Settings,
    BackendSettings,
    PrivacySettings,
    MemorySettings,
    PersonaSettings,
    ServeSettings,
    LimitSettings,
    ImportSettings,
    BackupSettings,
    EncryptionSettings,
    NightSettings,
    SalienceWeights,
    StyleSettings,
    TrainSettings,
    Gate,
)


def default_home() -> Path:
    return Path(platformdirs.user_data_dir("slowwave", appauthor=False))


def find_home(home: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that an option, else SLOWWAVE_HOME, else the user's data folder names."""
    return Path(home or environ.get("SLOWWAVE_HOME") or default_home()).expanduser().absolute()


def load_settings(home: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings of one home folder. Raises BadSettings with the key that is wrong."""
    folder = find_home(home, environ)
    settings = Settings(home=folder)
    path = folder / CONFIG_NAME
    if path.exists():
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadSettings(f"{path} is no valid TOML: {error}") from error
        settings = _merge(settings, table, str(path))
    return _merge(settings, from_environment(environ), "the environment")


def as_table(settings: Settings) -> dict[str, Any]:
    """The settings as `from_table` reads them; it is JSON. It may hold a password of the database's."""
    table = _without_none(asdict(settings))
    del table["home"]
    return table


def from_table(home: Path, table: Mapping[str, Any]) -> Settings:
    """The settings that `as_table` made a table of. Raises BadSettings."""
    return _merge(Settings(home=home), table, "the daemon")


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """SLOWWAVE_SPACE is `space`; two underscores descend: SLOWWAVE_SERVE__PORT is `serve.port`."""
    table: dict[str, Any] = {}
    for name, value in environ.items():
        if not name.startswith("SLOWWAVE_") or name in _OWN_VARIABLES:
            continue
        *parents, key = name.removeprefix("SLOWWAVE_").lower().split("__")
        inner = table
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = value
    return table


_OWN_VARIABLES = {
    "SLOWWAVE_HOME",
    "SLOWWAVE_TOKEN",
    "SLOWWAVE_KEY",
    "SLOWWAVE_READOUT_VECTORS",
    "SLOWWAVE_READOUT_MANIFEST",
}
_TABLES = (
    BackendSettings,
    PrivacySettings,
    MemorySettings,
    PersonaSettings,
    ServeSettings,
    LimitSettings,
    ImportSettings,
    BackupSettings,
    EncryptionSettings,
    NightSettings,
    SalienceWeights,
    StyleSettings,
    TrainSettings,
    Gate,
)


def _merge(current: _T, table: Any, where: str, name: str = "") -> _T:
    if not isinstance(table, Mapping):
        raise BadSettings(f"{where} sets {name} to {table!r}; it takes a table of settings")
    known = {item.name: getattr(current, item.name) for item in fields(current)}
    changed: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known or key == "home":
            raise BadSettings(f"{where} sets {key!r}, which is no setting; `slowwave config` lists them")
        changed[key] = (
            _merge(known[key], value, where, key)
            if isinstance(known[key], _TABLES)
            else _convert(key, known[key], value, where)
        )
    return replace(current, **changed)


def _kinds(value: Any, where: str) -> tuple[str, ...]:
    """Kinds of what is sensitive, in their order; "all" is each of them."""
    if isinstance(value, Mapping) or not all(isinstance(part, str) for part in value):
        raise TypeError("leave_out")
    given = {part.strip().lower() for part in (value.split(",") if isinstance(value, str) else value)} - {""}
    unknown = sorted(given - {*KINDS, "all"})
    if unknown:
        known = ", ".join(KINDS)
        raise BadSettings(
            f"{where} leaves out {unknown[0]!r}; the kinds are {known}, or all of them with 'all'"
        )
    return tuple(kind for kind in KINDS if kind in given or "all" in given)


MAX_SEED = 2**32 - 1  # what every generator of numbers takes
_WORDS_FOR_BOOL = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _convert(key: str, old: Any, value: Any, where: str) -> Any:
    kind = type(old)
    try:
        if key == "leave_out":
            return _kinds(value, where)
        if key == "seed" and not 0 <= int(value) <= MAX_SEED:
            raise BadSettings(f"{where} sets seed to {value!r}; it takes a number from 0 to {MAX_SEED}")
        if kind is tuple:
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(int(part) for part in parts)
        if old is None:
            return None if value in ("", "none") else int(value)
        if isinstance(value, list | dict):
            raise TypeError(key)
        if kind is bool:
            return _WORDS_FOR_BOOL[str(value).strip().lower()]
        return kind(value)
    except (TypeError, ValueError, KeyError) as error:
        raise BadSettings(f"{where} sets {key} to {value!r}; it takes {kind.__name__}") from error
