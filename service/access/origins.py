"""Which browsers and which names may reach the daemon, and the headers that every answer carries.

A page in a browser can reach a loopback port: by a name that it lets resolve to it (DNS rebinding), by a form, an image
or a script of its own. So a request is looked at for the name it was sent to (`Host`), the page it comes from (`Origin`,
`Sec-Fetch-Site`), and for what no form can send: JSON, or the header `Slowwave-Request`. A bearer token is none of what a
browser adds by itself, so requests that carry one are believed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CUSTOM_HEADER = "Slowwave-Request"
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# reports and cards are single files with styles of their own: nothing in them runs, and nothing is fetched
FILE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; sandbox"
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)


def is_loopback(host: str) -> bool:
    """Whether the address or name means this machine only."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The host without its port."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::\d+)?", host)
    return match[1].lower() if match else ""


def is_passed_on(headers: Headers) -> bool:
    """Whether a proxy says that it stands between."""
    return any(name in headers for name in _FORWARDED)


def other_page(headers: Headers, method: str) -> Refusal | None:
    """Why a request comes from a page that is not this daemon's own, or could have been sent by one."""
    origin, host = headers.get("origin"), headers.get("host", "")
    if origin is not None and re.sub(r"^[a-z+.-]+://", "", origin).lower() != host.lower():
        return Refusal(403, "a page of another origin may not ask this daemon; use its own page, or a token")
    site = headers.get("sec-fetch-site", "none")
    is_link = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    if site not in ("none", "same-origin") and not is_link:
        return Refusal(403, "a page of another site may not ask this daemon; use its own page, or a token")
    is_browser = origin is not None or "sec-fetch-site" in headers or "cookie" in headers
    if method not in SAFE and is_browser and not _no_form_sends(headers):
        return Refusal(
            403, f"a browser changes something with JSON or the header {CUSTOM_HEADER}: 1; add the header"
        )
    return None


def _no_form_sends(headers: Headers) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or CUSTOM_HEADER in headers


def protect(headers: MutableHeaders, path: str) -> None:
    """Add what keeps a browser from doing more with an answer than show it."""
    is_page = not path.startswith(("/v1/", "/mcp"))
    is_html = headers.get("content-type", "").startswith("text/html")
    headers.setdefault("Content-Security-Policy", FILE_POLICY if is_html and not is_page else PAGE_POLICY)
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)
    if not is_page and "etag" not in headers:
        headers.setdefault("Cache-Control", "no-store")
