"""The last line of a benchmark: its numbers, and what is needed to believe them.

`print_result` adds `commit`, `seed`, `seconds` and `machine` to the numbers. It writes to standard output and
does nothing else; `now_and_then` is for progress, which goes to standard error.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from consolidation.stage import Progress

ROOT = Path(__file__).parent.parent
_EVERY_S = 10.0


def print_result(numbers: Mapping[str, Any], *, seed: int, started: float) -> None:
    """Print the result line. `started` is `time.perf_counter()` at the start of the benchmark."""
    stamp = {
        "commit": commit(),
        "seed": seed,
        "seconds": round(time.perf_counter() - started, 3),
        "machine": machine(),
    }
    print(json.dumps({**numbers, **stamp}, ensure_ascii=False), flush=True)


def now_and_then(what: str) -> Progress:
    """A progress that writes a line to standard error every ten seconds, and one at the end."""
    told = time.monotonic()

    def show(done: int, total: int, note: str = "") -> None:
        nonlocal told
        if time.monotonic() - told >= _EVERY_S or done == total:
            told = time.monotonic()
            print(f"{what}: {done} of {total} {note}".rstrip(), file=sys.stderr, flush=True)

    return show


def commit() -> str | None:
    """Short hash of the checkout, with `+` when files differ from it; None outside a checkout."""
    head = _run("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD")
    if not head:
        return None
    return head + ("+" if _run("git", "-C", str(ROOT), "status", "--porcelain", "-uno") else "")


def machine() -> dict[str, Any]:
    """Cores usable by this process, memory in GiB, processor and GPU names (None where there is no GPU)."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "processor": _processor(),
        "gpu": (_run("nvidia-smi", "--query-gpu=name", "--format=csv,noheader") or "").split("\n")[0] or None,
    }


def processor_ticks() -> tuple[int, int]:
    """What this machine's processors worked since it began, and what they wanted to work and its host withheld; zeros where
    there is no /proc/stat. Of two calls the differences count."""
    try:
        fields = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]
        user, nice, system, _, _, irq, softirq, stolen = map(int, fields[:8])
    except (OSError, ValueError):
        return 0, 0
    return user + nice + system + irq + softirq, stolen


def withheld_since(before: tuple[int, int]) -> float:
    """Share in [0, 1] of the wanted processor time that the host withheld since `before` (`processor_ticks`)."""
    worked, stolen = (now - then for now, then in zip(processor_ticks(), before, strict=True))
    return stolen / max(1, worked + stolen)


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _run(*command: str) -> str | None:
    """Output of a command, None when it is absent or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
