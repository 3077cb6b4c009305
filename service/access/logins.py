"""Browsers that have logged in with a token: an HttpOnly cookie stands for it, in this process and for a while.

The cookie is no token: it ends with the daemon, with its hours, with a logout, and with the token that it stands for,
which is asked for anew with each request.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.cookies import CookieError, SimpleCookie

COOKIE = "slowwave_login"
MAX_LOGINS = 1000


@dataclass(frozen=True, slots=True)
class _Login:
    sha256: str  # of the token, by which the store knows it
    until: datetime


class Logins:
    """Safe for threads."""

    def __init__(self, hours: float, clock: Callable[[], datetime]) -> None:
        self._lasts, self._clock = timedelta(hours=hours), clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Login] = OrderedDict()

    @property
    def lasts_s(self) -> int:
        return int(self._lasts.total_seconds())

    def begin(self, token_sha256: str) -> str:
        """The secret of a new login."""
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._known[_key(secret)] = _Login(token_sha256, self._clock() + self._lasts)
            while len(self._known) > MAX_LOGINS:
                self._known.popitem(last=False)
        return secret

    def token_of(self, cookies: str) -> str | None:
        """The hash of the token that the request's cookies stand for, if they stand for one still."""
        secret = _secret(cookies)
        if secret is None:
            return None
        with self._lock:
            login = self._known.get(_key(secret))
            if login is not None and self._clock() >= login.until:
                del self._known[_key(secret)]
                login = None
        return None if login is None else login.sha256

    def end(self, cookies: str) -> None:
        secret = _secret(cookies)
        if secret is not None:
            with self._lock:
                self._known.pop(_key(secret), None)


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _secret(cookies: str) -> str | None:
    try:
        found = SimpleCookie(cookies).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value
