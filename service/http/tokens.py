"""The routes about who may ask: logging in, tokens, and the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from memory import audit
from memory.spaces import find_space
from service.access import tokens
from service.access.callers import Caller
from service.access.guard import Gate, address_of, slow_down
from service.access.logins import COOKIE
from service.entrances.audit import page_of
from service.http.given import GivenCaller, GivenSpaces
from service.http.paging import MAX_SEQ
from service.spaces import Spaces

router = APIRouter()


class Login(BaseModel):
    model_config = ConfigDict(extra="forbid")
    token: str = Field(min_length=1, max_length=512)


class NewToken(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    space: str | None = None
    scopes: list[str] = ["read"]
    days: Annotated[float | None, Field(gt=0, le=36500)] = None


@router.post("/v1/login")
def login(request: Request, response: Response, spaces: GivenSpaces, given: Login) -> dict[str, Any]:
    """A cookie that stands for the token, for browsers: HttpOnly, SameSite=Strict, and Secure where it was asked for by TLS."""
    gate: Gate = request.state.gate
    sha256 = tokens.sha256_of(given.token)
    caller = gate.caller_of(sha256)
    if caller is None:
        wait_s = gate.failures.take(address_of(request.scope))
        refusal = slow_down(wait_s) if wait_s else None
        if refusal is not None:
            raise HTTPException(refusal.status, refusal.detail, dict(refusal.headers))
        raise HTTPException(401, "this token is not valid; `slowwave token add` makes one")
    request.state.caller = caller
    _of_space(request, spaces, caller.space)
    response.set_cookie(
        COOKIE,
        gate.logins.begin(sha256),
        max_age=gate.logins.lasts_s,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return _session(caller)


@router.post("/v1/logout", status_code=204)
def logout(request: Request, response: Response, spaces: GivenSpaces, caller: GivenCaller) -> None:
    """The cookie stands for nothing any more."""
    gate: Gate = request.state.gate
    _of_space(request, spaces, caller.space)
    gate.logins.end(request.headers.get("cookie", ""))
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


@router.get("/v1/session")
def session(caller: GivenCaller) -> dict[str, Any]:
    """Who asks, and what they may."""
    return _session(caller)


@router.get("/v1/tokens")
def list_tokens(spaces: GivenSpaces, caller: GivenCaller) -> list[dict[str, Any]]:
    """Every token, those that open nothing any more too; never a secret."""
    return [token.as_json() for token in tokens.list_tokens(spaces.database, caller.space)]


@router.post("/v1/tokens", status_code=201)
def new_token(request: Request, spaces: GivenSpaces, caller: GivenCaller, wanted: NewToken) -> dict[str, Any]:
    """A new token; `secret` is shown in this answer alone."""
    _of_space(request, spaces, caller.space)
    if caller.space is not None and wanted.space not in (None, caller.space):
        raise HTTPException(403, "a token of one space makes tokens of that space alone; leave space out")
    lasts = None if wanted.days is None else timedelta(days=wanted.days)
    space = caller.space if wanted.space is None else wanted.space
    _of_space(request, spaces, space)
    asked = tokens.Wanted(wanted.name, space, wanted.scopes, lasts)
    token, secret = tokens.add(spaces.database, asked, clock=spaces.clock)
    return {**token.as_json(), "secret": secret}


@router.delete("/v1/tokens/{token_id}")
def revoke_token(request: Request, spaces: GivenSpaces, caller: GivenCaller, token_id: str) -> dict[str, Any]:
    """The token opens nothing from now on, nor do the browsers that logged in with it."""
    _of_space(request, spaces, caller.space)
    token = tokens.revoke(spaces.database, token_id, space=caller.space, clock=spaces.clock)
    _of_space(request, spaces, token.space)
    return token.as_json()


@router.get("/v1/audit")
def audit_log(
    spaces: GivenSpaces,
    caller: GivenCaller,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, le=MAX_SEQ)] = None,
) -> dict[str, Any]:
    """What was done through the entrances, the newest first; `next` is the `before` of the following page."""
    known = {space.id: space.name for space in spaces.all()}
    own = next((space_id for space_id, name in known.items() if name == caller.space), None)
    found = audit.entries(spaces.database, limit, before=before, space_id=own)
    return page_of(found, limit, known, tokens.list_tokens(spaces.database, caller.space))


def _of_space(request: Request, spaces: Spaces, name: str | None) -> None:
    """The act is about that space, and on record as its own. Raises UnknownSpace."""
    request.state.space_id = None if name is None else find_space(spaces.database, name).id


def _session(caller: Caller) -> dict[str, Any]:
    return {
        "via": caller.via,
        "name": caller.name,
        "space": caller.space,
        "scopes": sorted(caller.scopes),
    }
