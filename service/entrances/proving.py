"""Proving and tidying a home: every space against itself, the store, the artifacts and what cut-off work left.

Reads and repairs nothing; `clean` alone removes, and only what `memory.verify.leftovers` names.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memory.erasure.residue import Progress
from memory.erasure.run import Watch, unwatched
from memory.spaces import list_spaces
from memory.verify import Checks, Problem, Report
from memory.verify import verify as prove
from memory.verify.leftovers import Leftover, leftovers

if TYPE_CHECKING:
    from service.wiring import Services


@dataclass(frozen=True, slots=True)
class HomeReport:
    """What was found in each space, by its name, and in the home as a whole."""

    spaces: dict[str, Report]
    leftovers: tuple[Leftover, ...]

    @property
    def problems(self) -> list[tuple[str, Problem]]:
        return [(name, problem) for name, report in self.spaces.items() for problem in report.problems]

    @property
    def counts(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for report in self.spaces.values():
            total.update(report.counts)
        return dict(total)

    def as_json(self) -> dict[str, Any]:
        return {
            "sound": not self.problems,
            "problems": [{"space": name, **problem.as_json()} for name, problem in self.problems],
            "counts": self.counts,
            "spaces": list(self.spaces),
            "leftovers": [item.as_json() for item in self.leftovers],
        }


def verify_home(
    services: Services, *, only: str | None = None, is_quick: bool = False, watch: Watch = unwatched
) -> HomeReport:
    """Every space of the store, or the one of that name."""
    names = [space.name for space in list_spaces(services.database) if only in (None, space.name)]
    found = {}
    for name in names:
        settings = replace(services.settings, space=name)
        with type(services)(settings, clock=services.clock, shared=services.shared) as opened:
            found[name] = verify(opened, is_quick=is_quick, watch=watch)
    return HomeReport(found, tuple(leftovers(services.database, services.settings.home)))


def verify(services: Services, *, is_quick: bool = False, watch: Watch = unwatched) -> Report:
    """Every problem of the space: its rows, decisions, ledger, artifacts and index."""
    home = services.settings.home
    folder = home / "index" / services.space_id
    checks = Checks(
        hashers={"adapter": _hash_of_adapter, "readout": _hash_of_readout, "probe": _hash_of_readout},
        rebuild=None if is_quick else lambda path: _rebuilt(home, path),
        index=(lambda progress: _check_index(services, progress)) if _has_index(folder) else None,
        is_quick=is_quick,
    )
    return prove(services.database, services.space_id, home, services.registry, checks, watch=watch)


def _check_index(services: Services, progress: Progress) -> list[str]:
    """What is wrong with the index once it has taken in what was written since it was last asked."""
    services.index.refresh()
    return services.index.check(progress)


def _has_index(folder: Path) -> bool:
    """Whether there is an index to check; one that is not there yet is made by the next question."""
    return folder.is_dir() and any(folder.iterdir())


def _hash_of_adapter(path: Path) -> str:
    from agents.errors import BrokenAdapter
    from consolidation.vectors import load_vector

    try:
        return load_vector(path).sha256
    except BrokenAdapter as error:
        raise ValueError(str(error)) from error


def _hash_of_readout(path: Path) -> str:
    from consolidation.readouts import hash_of

    return hash_of(path)


def _rebuilt(home: Path, path: Path) -> str:
    """The hash of the recipe at that path, whose vectors were loaded and merged by its rule."""
    from agents.errors import AgentError
    from consolidation.errors import NightError
    from consolidation.recipe import load_recipe, recipe_adapters

    try:
        recipe = load_recipe(home, path.relative_to(home).as_posix())
        recipe_adapters(home, recipe)
    except (AgentError, NightError) as error:
        raise ValueError(str(error)) from error
    return recipe.sha256
