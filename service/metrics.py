"""Counters in Prometheus' text form. Labels hold routes, codes and states, never names or words."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

HELP = {
    "slowwave_requests_total": "HTTP requests by route and status.",
    "slowwave_questions_total": "Questions asked, by whether the answer abstained.",
    "slowwave_chat_turns_total": "Turns spoken by personas.",
    "slowwave_nights_total": "Nights ended in this process, by status.",
}


class Metrics:
    """Counters since the start of the process; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()

    def count(self, name: str, **labels: str | int) -> None:
        with self._lock:
            self._counts[name, tuple(sorted((key, str(value)) for key, value in labels.items()))] += 1

    def render(self, gauges: Mapping[str, float]) -> str:
        """Every counter, then `gauges` as they stand."""
        with self._lock:
            counts = sorted(self._counts.items())
        lines = []
        for name, text in HELP.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} counter"]
            lines += [
                f"{name}{_labels(labels)} {value}" for (owner, labels), value in counts if owner == name
            ]
        for name, value in gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name} {value:g}"]
        return "\n".join(lines) + "\n"


def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    return "{" + ",".join(f'{key}="{_escape(value)}"' for key, value in labels) + "}" if labels else ""


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
