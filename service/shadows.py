"""Foreign packages with the names of ours, which Python would import in their place. The standard library alone: it has
to work where nothing of ours can be imported.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

OURS = ("db", "memory", "agents", "consolidation", "simulator", "service")


@dataclass(frozen=True)
class Shadow:
    """`package` of ours that is found at `place` as well. `hides`: it comes first. `owner` installed it, where known."""

    package: str
    place: str
    hides: bool
    owner: str | None

    @property
    def say(self) -> str:
        what = f"`import {self.package}` " + ("finds" if self.hides else "could find") + f" {self.place}"
        of = f", which {self.owner} installed" if self.owner else ""
        fix = f"run `pip uninstall {self.owner}`, or" if self.owner else "move it away, or"
        return f"{what}{of}; {fix} install slowwave into an environment of its own"


def find_shadows(path: list[str] | None = None, root: Path | None = None) -> list[Shadow]:
    """Along the module search path; `root` is the folder that holds our packages."""
    own = (root or Path(__file__).parent.parent).resolve()
    found = []
    for name in OURS:
        comes_first = True
        for entry in sys.path if path is None else path:
            folder = Path(entry or ".").resolve()
            if folder == own:
                comes_first = False
                continue
            place = next((item for item in (folder / name, folder / f"{name}.py") if _is_module(item)), None)
            if place is not None:
                found.append(Shadow(name, str(place), comes_first, _owner(name, place)))
    return found


def _is_module(place: Path) -> bool:
    return place.is_file() if place.suffix else (place / "__init__.py").is_file()


def _owner(name: str, place: Path) -> str | None:
    """The distribution that brought it."""
    for owner in metadata.packages_distributions().get(name, []):
        if owner == "slowwave":
            continue
        files = metadata.files(owner) or []
        if any(Path(str(file.locate())).resolve().is_relative_to(place) for file in files):
            return owner
    return None
