"""Tokens: secrets that open the daemon, for one space or all, with scopes, an end, and a way to take them back.

The store keeps the sha256 of a random secret of 32 bytes, which is shown once and cannot be guessed, so a plain hash is
enough. Whether a token is valid is asked of the store with each request: one that is revoked opens nothing any more.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, bindparam, select, update
from sqlalchemy.orm import Session

from db import tables
from db.engine import Database
from memory.ports import Clock, utc_now
from memory.spaces import find_space
from service.access.callers import SCOPES, Caller
from service.errors import BadToken, TokenExists, UnknownToken

PREFIX = "slw_"  # by which people and programs that look for leaked secrets know one
MAX_NAME = 64

# asked with every request: made once, and columns cost less than objects
_BY_HASH: Select[*tuple[Any, ...]] = (
    select(*tables.Token.__table__.columns, tables.Space.name.label("space"))
    .outerjoin(tables.Space, tables.Space.id == tables.Token.space_id)
    .where(tables.Token.sha256 == bindparam("sha256"))
)


@dataclass(frozen=True, slots=True)
class Token:
    id: str
    name: str
    space: str | None  # its name; None is every space
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def as_json(self) -> dict[str, Any]:
        moments = {"created": self.created_at, "expires": self.expires_at, "used": self.used_at}
        moments["revoked"] = self.revoked_at
        told = {key: None if at is None else at.isoformat() for key, at in moments.items()}
        return {
            "id": self.id,
            "name": self.name,
            "space": self.space,
            "scopes": list(self.scopes),
            **told,
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """A token as somebody asks for it; `space` None opens every one."""

    name: str
    space: str | None = None
    scopes: Collection[str] = ("read",)
    lasts: timedelta | None = None


def add(database: Database, wanted: Wanted, *, clock: Clock = utc_now) -> tuple[Token, str]:
    """A new token and its secret, which nothing can show again. Raises BadToken, TokenExists, UnknownSpace."""
    scopes = _checked(wanted)
    space_id = find_space(database, wanted.space).id if wanted.space is not None else None
    secret, now = PREFIX + secrets.token_urlsafe(32), clock()
    with database.transaction() as session:
        if _valid_named(session, wanted.name, now) is not None:
            raise TokenExists(wanted.name)
        row = tables.Token(
            space_id=space_id,
            name=wanted.name,
            sha256=sha256_of(secret),
            scopes=list(scopes),
            created_at=now,
            expires_at=None if wanted.lasts is None else now + wanted.lasts,
        )
        session.add(row)
        session.flush()
        return _token(row, wanted.space), secret


def list_tokens(database: Database, space: str | None = None) -> list[Token]:
    """Every token, or those of one space alone, the oldest first; also those that open nothing any more."""
    query = (
        select(tables.Token, tables.Space.name)
        .outerjoin(tables.Space, tables.Space.id == tables.Token.space_id)
        .order_by(tables.Token.created_at, tables.Token.id)
    )
    if space is not None:
        query = query.where(tables.Space.name == space)
    with database.reading() as session:
        return [_token(row, name) for row, name in session.execute(query)]


def revoke(database: Database, reference: str, *, space: str | None = None, clock: Clock = utc_now) -> Token:
    """Take a token back, by its id or its name; one of that space alone where asked. Raises UnknownToken."""
    now = clock()
    known = list_tokens(database, space)
    found = [token for token in known if token.id == reference]
    found = found or [token for token in known if token.name == reference and token.is_valid(now)]
    if not found:
        raise UnknownToken(reference)
    with database.transaction() as session:
        row = session.get_one(tables.Token, found[0].id)
        row.revoked_at = row.revoked_at or now
        return _token(row, found[0].space)


def find(database: Database, sha256: str, now: datetime) -> Caller | None:
    """Who has the secret of that hash, if it opens anything now."""
    with database.reading() as session:
        found = session.execute(_BY_HASH, {"sha256": sha256}).first()
    if found is None or not hmac.compare_digest(found.sha256, sha256):
        return None
    token = _token(found, found.space)
    if not token.is_valid(now):
        return None
    return Caller("token", frozenset(token.scopes), token.space, token.id, token.name)


def were_used(database: Database, used: Mapping[str, datetime]) -> None:
    """Keep when tokens were last used, by their ids."""
    if used:
        with database.transaction() as session:
            for token_id, at in used.items():
                session.execute(update(tables.Token).where(tables.Token.id == token_id).values(used_at=at))


def is_any_valid(database: Database, now: datetime) -> bool:
    """Whether the store has a token that opens something."""
    return any(token.is_valid(now) for token in list_tokens(database))


def _checked(wanted: Wanted) -> tuple[str, ...]:
    unknown = sorted(set(wanted.scopes) - set(SCOPES))
    if unknown or not wanted.scopes:
        named = f"{unknown[0][:32]!r} is no scope" if unknown else "a token without a scope opens nothing"
        raise BadToken(f"{named}; give one or more of {', '.join(SCOPES)}")
    if not wanted.name.strip() or len(wanted.name) > MAX_NAME or not wanted.name.isprintable():
        raise BadToken(f"a token needs a name of up to {MAX_NAME} printable characters, such as phone")
    if wanted.lasts is not None and not timedelta() < wanted.lasts <= timedelta(days=36500):
        raise BadToken("a token lasts for more than no time; give its days as a number above 0")
    if "metrics" in wanted.scopes and wanted.space is not None:
        raise BadToken("the metrics count over every space; give the scope metrics to a token of all spaces")
    return tuple(scope for scope in SCOPES if scope in wanted.scopes)


def _valid_named(session: Session, name: str, now: datetime) -> str | None:
    rows = session.scalars(select(tables.Token).where(tables.Token.name == name))
    return next((row.id for row in rows if _token(row, None).is_valid(now)), None)


def _token(row: tables.Token | Row[*tuple[Any, ...]], space: str | None) -> Token:
    moments = row.created_at, row.expires_at, row.used_at, row.revoked_at
    return Token(row.id, row.name, space, tuple(row.scopes), *moments)


def sha256_of(secret: str) -> str:
    """By which a secret is known: comparing hashes tells nothing of what was compared."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
