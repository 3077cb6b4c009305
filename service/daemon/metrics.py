"""What the daemon counts, in Prometheus' text form. Labels hold routes, codes, states and stages, never names or words.

Why it is our own and not a library's: docs/adr/0057.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

HELP = {
    "slowwave_requests_total": "HTTP requests by route and status.",
    "slowwave_questions_total": "Questions asked, by whether the answer abstained.",
    "slowwave_chat_turns_total": "Turns spoken by personas.",
    "slowwave_chat_tokens_total": "Tokens that personas drew, those among them that a guard threw away.",
    "slowwave_chat_seconds_total": "Seconds in which they drew them; tokens by seconds is their speed.",
    "slowwave_training_tokens_total": "Tokens that the nights of this process trained on.",
    "slowwave_training_seconds_total": "Seconds in which they trained; tokens by seconds is the speed.",
    "slowwave_nights_total": "Nights ended in this process, by status.",
}
_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG = (1.0, 10.0, 30.0, 60.0, 180.0, 600.0, 1800.0, 3600.0, 10800.0, 28800.0)
HISTOGRAMS: dict[str, tuple[str, Sequence[float]]] = {
    "slowwave_request_seconds": ("Seconds from a request to the end of its answer, by route.", _QUICK),
    "slowwave_night_seconds": ("Seconds that nights of this process took, by status.", _LONG),
    "slowwave_night_stage_seconds": ("Seconds that their stages took.", _LONG),
}
GAUGES = {
    "slowwave_episodes": "Messages in the store.",
    "slowwave_facts": "Facts in the store, whatever their state.",
    "slowwave_night_running": "Whether a night works in this process.",
    "slowwave_nights_waiting": "Nights that wait for their turn.",
    "slowwave_pending": "Messages that wait for a reader that was away.",
    "slowwave_resident_bytes": "Memory of this process.",
    "slowwave_store_bytes": "Size of the store.",
    "slowwave_disk_free_bytes": "What is left on the disk of the home folder.",
    "slowwave_started_seconds": "When this process began, in seconds since 1970.",
}
WATCHING = ("/healthz", "/readyz", "/metrics", "/v1/status")  # who asks these uses nothing

_Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Histogram:
    n_within: list[int]
    n: int = 0
    total: float = field(default=0.0)


class Metrics:
    """Counts since the start of the process; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, _Labels]] = Counter()
        self._histograms: dict[tuple[str, _Labels], _Histogram] = {}
        self.started_at = time.time()
        self._used_at = time.monotonic()

    def count(self, name: str, by: float = 1, **labels: str | int) -> None:
        with self._lock:
            self._counts[name, _sorted(labels)] += by  # type: ignore[assignment]

    def turn(self, n_tokens: int, seconds: float) -> None:
        """A persona has spoken."""
        self.count("slowwave_chat_turns_total")
        self.count("slowwave_chat_tokens_total", n_tokens)
        self.count("slowwave_chat_seconds_total", seconds)

    def observe(self, name: str, value: float, **labels: str | int) -> None:
        """Add the value to the histogram of that name."""
        bounds = HISTOGRAMS[name][1]
        with self._lock:
            held = self._histograms.setdefault((name, _sorted(labels)), _Histogram([0] * len(bounds)))
            held.n += 1
            held.total += value
            place = bisect_left(bounds, value)
            if place < len(bounds):
                held.n_within[place] += 1

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request has been answered."""
        self.count("slowwave_requests_total", route=route, status=status)
        self.observe("slowwave_request_seconds", seconds, route=route)
        if route not in WATCHING:
            self._used_at = time.monotonic()

    def quiet_s(self) -> float:
        """For how long nobody has asked for anything but how the daemon is."""
        return time.monotonic() - self._used_at

    def render(self, gauges: Mapping[str, float]) -> str:
        """Every counter and histogram, then `gauges` as they stand; names as in GAUGES."""
        with self._lock:
            counts = sorted(self._counts.items())
            histograms = sorted(
                (key, list(held.n_within), held.n, held.total) for key, held in self._histograms.items()
            )
        lines = []
        for name, text in HELP.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} counter"]
            lines += [
                f"{name}{_labels(labels)} {value:.12g}" for (owner, labels), value in counts if owner == name
            ]
        for name, (text, bounds) in HISTOGRAMS.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} histogram"]
            for (owner, labels), n_within, n, total in histograms:
                if owner == name:
                    lines += _rows(name, labels, bounds, n_within, n, total)
        for name, value in gauges.items():
            lines += [f"# HELP {name} {GAUGES[name]}", f"# TYPE {name} gauge", f"{name} {value:.12g}"]
        return "\n".join(lines) + "\n"


def _rows(
    name: str, labels: _Labels, bounds: Sequence[float], n_within: Sequence[int], n: int, total: float
) -> Iterator[str]:
    so_far = 0
    for bound, here in zip(bounds, n_within, strict=True):
        so_far += here
        yield f"{name}_bucket{_labels((*labels, ('le', f'{bound:g}')))} {so_far}"
    yield f"{name}_bucket{_labels((*labels, ('le', '+Inf')))} {n}"
    yield f"{name}_sum{_labels(labels)} {total:.6f}"
    yield f"{name}_count{_labels(labels)} {n}"


def _sorted(labels: Mapping[str, str | int]) -> _Labels:
    return tuple(sorted((key, str(value)) for key, value in labels.items()))


def _labels(labels: _Labels) -> str:
    return "{" + ",".join(f'{key}="{_escape(value)}"' for key, value in labels) + "}" if labels else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
