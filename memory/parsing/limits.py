"""What a child may use, and what it is asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one reading. Names are those of people and conversations together: what a reader must keep in memory."""

    memory_bytes: int = 1 << 30  # of address space
    cpu_s: int = 900
    wall_s: int = 1800
    written_bytes: int = 16 << 30  # of the records
    unpacked_bytes: int = 64 << 30  # of an archive's files together
    n_files: int = 200_000  # of an archive
    n_names: int = 100_000
    notebook_bytes: int = 64 << 20  # of another program's memory, which is read whole


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be read and how. `name` is what its owner called it: it may name a conversation, and is no path."""

    path: str
    name: str
    timezone: str = "UTC"
    me: str = "Me"
    bots: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    now: str = ""  # ISO 8601
    limits: Limits = Limits()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> Asked:
        lists = {key: tuple(told[key]) for key in ("bots", "patterns")}
        return cls(**{**told, **lists, "limits": Limits(**told["limits"])})
