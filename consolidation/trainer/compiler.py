"""The C compiler of this machine, which makes `fused.c`."""

from __future__ import annotations

import os
import shutil

_NAMES = ("cc", "gcc", "clang")


def find_compiler() -> str | None:
    """$CC, else the first of cc, gcc and clang that is there."""
    names = (os.environ.get("CC"), *_NAMES)
    return next((found for name in names if name and (found := shutil.which(name))), None)
