"""The audit log as the CLI and HTTP show it, with the names of spaces and tokens that it knows by id."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memory.audit import Act, Entry, record
from service.access.callers import Caller
from service.access.tokens import Token

if TYPE_CHECKING:
    from service.spaces import App

log = logging.getLogger(__name__)


def page_of(
    entries: Sequence[Entry], limit: int, spaces: Mapping[str, str], tokens: Iterable[Token]
) -> dict[str, Any]:
    """A page, the newest entry first; `next` is the number before which the following page begins."""
    named = {token.id: token.name for token in tokens}
    shown = [_json(entry, spaces, named) for entry in entries]
    is_more = len(entries) == limit and entries[-1].seq > 1
    return {"entries": shown, "next": entries[-1].seq if is_more else None}


def record_tool(app: App, caller: Caller, tool: str, outcome: str = "done") -> None:
    """That an agent changed something by a tool, or `failed` to. What is done is done where this cannot be written down."""
    space_id = app.services.space_id
    act = Act(caller.via, f"MCP {tool}", outcome, caller.token, space_id)
    try:
        record(app.services.database, act, clock=app.services.clock)
    except Exception as error:  # told as a failure it would be done again
        log.error("an act is not on record: %s", type(error).__name__)


def _json(entry: Entry, spaces: Mapping[str, str], tokens: Mapping[str, str]) -> dict[str, Any]:
    act = entry.act
    return {
        "seq": entry.seq,
        "at": entry.at.isoformat(),
        "via": act.via,
        "token": act.token_id,
        "token_name": tokens.get(act.token_id or ""),
        "space": spaces.get(act.space_id or ""),
        "what": act.what,
        "ids": dict(act.ids),
        "outcome": act.outcome,
        "hash": entry.hash,
    }
