"""What both entrances do with digests: list them, show one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from service.wiring import Services


def digests(services: Services, *, known_to: str | None, as_of: datetime | None) -> list[dict[str, Any]]:
    """Every digest by time; a person is given by name."""
    from memory.digests import digest_json, list_digests

    who = services.person(known_to).id if known_to else None
    found = list_digests(services.database, services.space_id, known_to=who, as_of=as_of)
    return [digest_json(digest) for digest in found]


def digest(
    services: Services, digest_id: str, *, known_to: str | None, as_of: datetime | None
) -> dict[str, Any]:
    """One digest. Raises UnknownDigest."""
    from memory.digests import digest_json, get_digest

    who = services.person(known_to).id if known_to else None
    return digest_json(get_digest(services.database, services.space_id, digest_id, known_to=who, as_of=as_of))
