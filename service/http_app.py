"""What every router of the HTTP entrance shares: the opened application, and how a moment is read from a query."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated

from fastapi import Depends, Request

from service.metrics import Metrics
from service.nights import Nights
from service.talks import Talks
from service.wiring import Services


@dataclass(frozen=True, slots=True)
class App:
    """What the routes work with."""

    services: Services
    nights: Nights
    talks: Talks
    metrics: Metrics
    lock: threading.RLock  # before the index and the persona


def _app(request: Request) -> App:
    app: App = request.app.state.slowwave
    return app


Given = Annotated[App, Depends(_app)]


def as_moment(value: datetime | date | None) -> datetime | None:
    """A date means its first moment; a time without a zone is UTC."""
    if value is None:
        return None
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
