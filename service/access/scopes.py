"""Which scope each route asks for, in one table, so that what a token opens can be read at one place.

A route that is not in it asks for `admin`; a test holds the table against the routers. `open` routes are served to
anybody: they hold nobody's words. `admin` includes every scope. Routes under /mcp ask for `read`, and its tools for the
scope of the route that does the same.
"""

from __future__ import annotations

from types import MappingProxyType

from fastapi import Request
from starlette.exceptions import HTTPException

from service.access.callers import Caller

OPEN, READ, WRITE, CHAT, NIGHT, METRICS, ADMIN = "open", "read", "write", "chat", "night", "metrics", "admin"

_ROUTES = {
    OPEN: """
        GET /healthz
        GET /readyz
        GET /
        GET /page/routes
        GET /page/{version}/{name:path}
        POST /v1/login
        POST /v1/logout
    """,
    READ: """
        GET /v1/graph/map
        GET /v1/session
        GET /v1/status
        GET /v1/spaces
        GET /v1/spaces/{name}
        GET /v1/people
        GET /v1/people/{name}
        GET /v1/people/{name}/patterns
        GET /v1/people/{name}/constitution
        GET /v1/people/{name}/constitution/versions
        GET /v1/people/{name}/constitution/diff
        GET /v1/people/{name}/habits
        GET /v1/people/{name}/relations
        GET /v1/people/{name}/facts
        GET /v1/people/{name}/emotions
        GET /v1/people/{name}/consent
        GET /v1/people/{name}/persona
        GET /v1/episodes
        GET /v1/episodes/{episode_id}
        GET /v1/conversations
        GET /v1/recipes
        GET /v1/recipes/{recipe}
        GET /v1/recipes/{recipe}/diff
        GET /v1/tags
        GET /v1/readouts
        GET /v1/readouts/{readout}
        POST /v1/readouts/score
        GET /v1/directions
        GET /v1/probes
        GET /v1/probes/{name}
        GET /v1/behaviours
        GET /v1/behaviours/{name}
        POST /v1/people/{name}/persona/report
        GET /v1/duplicates
        GET /v1/merges
        GET /v1/facts
        GET /v1/facts/{fact_id}
        GET /v1/facts/{fact_id}/why
        GET /v1/review
        GET /v1/pending
        GET /v1/budget
        GET /v1/digests
        GET /v1/digests/{digest_id}
        GET /v1/ledger
        GET /v1/ledger/verify
        GET /v1/decisions
        GET /v1/predicates
        POST /v1/ask
        GET /v1/search
        GET /v1/runs
        GET /v1/runs/{run_id}
        GET /v1/runs/{run_id}/events
        GET /v1/runs/{run_id}/report
        GET /v1/sources
        GET /v1/certificates/{seq}
        GET /v1/verify
        GET /v1/graph
        GET /v1/chats
        GET /v1/chats/{session_id}
        GET /v1/chats/{session_id}/export
        GET /v1/claims
        GET /v1/turns
        POST /v1/why-said
        GET /v1/imports
        GET /v1/imports/{upload_id}
        GET /v1/jobs
        GET /v1/jobs/{job_id}
        GET /v1/jobs/{job_id}/events
    """,
    WRITE: """
        POST /v1/people/{name}/constitution
        PUT /v1/people/{name}/name
        POST /v1/people/{name}/aliases
        DELETE /v1/people/{name}/aliases/{alias}
        POST /v1/merges
        DELETE /v1/merges/{merge_id}
        POST /v1/facts
        POST /v1/facts/{fact_id}/correct
        POST /v1/facts/{fact_id}/end
        POST /v1/facts/{fact_id}/retract
        POST /v1/facts/{fact_id}/settle
        PUT /v1/facts/{fact_id}/pin
        DELETE /v1/facts/{fact_id}/pin
        PUT /v1/people/{name}/persona
        PUT /v1/tags/{tag}
        DELETE /v1/tags/{tag}
        POST /v1/pending/drain
        POST /v1/decisions/{decision_id}/undo
        POST /v1/claims/{claim_id}/withdraw
        POST /v1/imports
        POST /v1/imports/{upload_id}
        DELETE /v1/imports/{upload_id}
        DELETE /v1/jobs/{job_id}
    """,
    CHAT: """
        POST /v1/chat
        POST /v1/converse
    """,
    NIGHT: """
        POST /v1/sleep
        POST /v1/roll-back
        POST /v1/people/{name}/persona/train
        POST /v1/recipes/apply
        POST /v1/recipes/scale
        POST /v1/recipes/mend
        POST /v1/recipes/negate
        POST /v1/recipes/revert
        POST /v1/recipes/rule
        POST /v1/recipes/rebuild
    """,
    METRICS: """
        GET /metrics
    """,
    ADMIN: """
        POST /v1/people/{name}/consent
        DELETE /v1/people/{name}/consent
        POST /v1/spaces
        POST /v1/forget
        POST /v1/forget/resume
        GET /v1/export
        POST /v1/load
        GET /v1/tokens
        POST /v1/tokens
        DELETE /v1/tokens/{token_id}
        GET /v1/audit
    """,
}
SCOPE_OF = MappingProxyType(
    {line.strip(): scope for scope, lines in _ROUTES.items() for line in lines.splitlines() if line.strip()}
)
# what is on record though it changes nothing: whole spaces that leave the store
RECORDED = frozenset({"GET /v1/export"})


def name_of(request: Request) -> str:
    """The route of a request as the table names it, once it is known; never the address that was asked for."""
    method = "GET" if request.method == "HEAD" else request.method
    return f"{method} {getattr(request.scope.get('route'), 'path', 'other')}"


def is_recorded(route: str) -> bool:
    """Whether an act of that route belongs in the audit log."""
    if route.startswith("POST /mcp"):  # what a tool changes goes on record by the tool's name
        return False
    is_change = not route.startswith(("GET ", "OPTIONS ")) and SCOPE_OF.get(route) not in (OPEN, READ)
    return is_change or route in RECORDED or route in ("POST /v1/login", "POST /v1/logout")


async def admit(request: Request) -> None:
    """Before every route: whether the caller has its scope. Raises 401 for nobody and 403 for a token without it."""
    scope = SCOPE_OF.get(name_of(request), ADMIN)
    caller: Caller | None = request.state.caller
    if scope == OPEN:
        return
    if caller is None:
        raise HTTPException(
            401, "give a token as `Authorization: Bearer TOKEN`", {"WWW-Authenticate": "Bearer"}
        )
    if scope == METRICS and caller.space is not None:
        raise HTTPException(403, "the metrics count over every space; this needs a token of all spaces")
    if not caller.may(scope):
        has = ", ".join(sorted(caller.scopes))
        raise HTTPException(403, f"this needs a token with the scope {scope}; the one given has {has}")
