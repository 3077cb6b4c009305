"""What the machine can do: a fast 16-bit float, an accelerator, and how work is dealt to cores.

Small models are bound by the start and the barrier of each operation, not by arithmetic: on two cores of which
one is busy, OpenMP inside every operation makes it wait for a scheduler slice. So a small model runs each
operation on one core and gives the cores different rows (`in_parallel`); a large one is left to torch.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch

SMALL_MODEL_PARAMETERS = 600_000_000
# operations of a shape of their own that oneDNN keeps prepared; by default 1024, a megabyte or two for every length of text
_KEPT_OPERATIONS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}
_FAST_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # the last one is ARM's name

Item = TypeVar("Item")
Result = TypeVar("Result")


@cache
def has_fast_bf16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware; emulated, it is slower than float32."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.system() == "Darwin" and platform.machine() == "arm64"
    lines = (line for line in text.splitlines() if line.lower().startswith(("flags", "features")))
    return any(_FAST_BF16_FLAGS & set(line.lower().split()) for line in lines)


def bound_prepared_operations() -> None:
    """Keep memory flat over months of texts of ever different lengths; call it before the first model is loaded.

    oneDNN reads these variables at its first operation. What the environment says stands.
    """
    for name, capacity in _KEPT_OPERATIONS.items():
        os.environ.setdefault(name, capacity)


def give_back_memory() -> None:
    """Return to the system what was freed; glibc keeps it in pieces that grow over a thousand texts of ever different lengths.

    A few milliseconds. Does nothing under another C library.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    try:
        function = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = [ctypes.c_size_t], ctypes.c_int
    return function


def choose_device(name: str = "auto") -> torch.device:
    """CUDA where there is one, else the processor."""
    if name != "auto":
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 where it is fast, else float32."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" or has_fast_bf16() else torch.float32
    if name not in ("bfloat16", "float32"):
        raise ValueError(f"dtype {name!r} is not one of auto, bfloat16, float32")
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def n_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def every_core() -> Iterator[None]:
    """Inside, each operation runs on every core: for work that cannot be dealt out by rows, as one backward pass."""
    before = torch.get_num_threads()
    torch.set_num_threads(n_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def n_workers(n_parameters: int, device: torch.device) -> int:
    """How many threads should work on different rows at once. Sets torch to one thread per operation when several do."""
    if device.type != "cpu" or n_parameters > SMALL_MODEL_PARAMETERS:
        return 1
    torch.set_num_threads(1)
    return max(1, min(4, n_cores()))


def in_parallel(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> list[Result]:
    """`[work(item) for item in items]` on threads, in the order of the items."""
    if workers <= 1 or len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(workers, len(items)), thread_name_prefix="rows") as pool:
        return list(pool.map(work, items))
