"""Who sent a request, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# admin includes all the others
SCOPES = ("read", "write", "chat", "night", "metrics", "admin")


@dataclass(frozen=True, slots=True)
class Caller:
    """`space` None is every space; `token` is the id of a token of the store."""

    via: Literal["nobody", "loopback", "environment", "token", "cookie"]
    scopes: frozenset[str]
    space: str | None = None
    token: str | None = None
    name: str = ""  # the token's

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes


LOOPBACK = Caller("loopback", frozenset({"admin"}))
ENVIRONMENT = Caller("environment", frozenset({"admin"}))
NOBODY = Caller("nobody", frozenset())
