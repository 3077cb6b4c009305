"""The files of a home folder: which belong to what an erasure took, their removal, and what kind each one is.

Only what slowwave itself makes is removed, by ids and paths that are in the store; what somebody else put into the
folder is left and shown by the residue scan.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from memory.backup import BackupRecord, cut_off, known_backups
from memory.folders import UPGRADES
from memory.whole import drop

RECIPES = (
    "recipes"  # hold hashes, run ids and counts; kept, so that weights can be made again without the tainted
)
SWEEPS = "sweeps"  # each holds a copy of a space while it is not finished (consolidation.sweep)
ANSWERS = "answers"  # of back-ends; each may hold words of any message (agents.answers)
BEHAVIOURS = "behaviours"  # unfinished trainings with their examples (consolidation.behaviour_training)
UPLOADS = "uploads"  # what was sent to be imported (service.jobs.uploads)
IMPORTED = "curriculum"  # training rows that wait for a night (consolidation.waiting_rows): anybody's words
_KINDS = {
    "index": "index",
    "attribution": "index",
    ANSWERS: "cached answers",
    IMPORTED: "imported rows",
    "cache": "base model",
    "runs": "night",
    "adapters": "adapter",
    BEHAVIOURS: "behaviour",
    "readouts": "readout",
    "probes": "probe",
    "verified": "verification",
    SWEEPS: "sweep",
    UPLOADS: "upload",
    UPGRADES: "store before an upgrade",
    RECIPES: "recipe",
}


def kind_of(home: Path, path: Path) -> str:
    """database | index | cached answers | imported rows | base model | night | adapter | readout | verification | recipe | sweep | behaviour | upload | settings | other"""
    top = path.relative_to(home).parts[0]
    if len(path.relative_to(home).parts) == 1:
        if path.name.split("-")[0] == "graph.db":
            return "database"
        return "settings" if path.name == "config.toml" else "other"
    return _KINDS.get(top, "other")


def to_remove(
    home: Path, space_id: str, runs: Collection[str], paths: Iterable[str], kept: Collection[str]
) -> list[Path]:
    """Folders and files that go: the nights', the tainted artifacts', the space's index and the rows that wait for its
    nights, its uploads, its unfinished training of a behaviour, all cached answers, and the copies that unfinished
    sweeps and trainings work on, where they exist.

    `kept` are paths that an untainted artifact uses as well.
    """
    wanted = [home / "runs" / run for run in sorted(runs)]
    wanted += [
        home / path for path in sorted(set(paths)) if path not in kept and not path.startswith(f"{RECIPES}/")
    ]
    wanted += sorted(_unrecorded(home / "adapters", runs, {home / path for path in kept}))
    wanted += [home / "index" / space_id, home / IMPORTED / f"{space_id}.jsonl", home / ANSWERS]
    wanted += [home / BEHAVIOURS / space_id, home / UPGRADES, home / UPLOADS / space_id]
    wanted += sorted((home / SWEEPS).glob("*/*work*"))
    wanted += sorted((home / "runs").glob("*/*/so_far"))  # weights of other nights
    return [path for path in dict.fromkeys(wanted) if path.exists() and _is_inside(home, path)]


def _unrecorded(folder: Path, runs: Collection[str], kept: Collection[Path]) -> Iterator[Path]:
    """Adapters whose notes name one of the nights, whether or not they were recorded before a kill."""
    for path in folder.glob("*") if folder.is_dir() else ():
        try:
            notes = json.loads((path / "slowwave.json").read_text(encoding="utf-8"))
            meta = notes["meta"]
            of = {meta["run_id"], *meta.get("nights", ())}
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if not of.isdisjoint(runs) and path not in kept:
            yield path


def _is_inside(home: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(home.resolve()) and path.resolve() != home.resolve()


def remove_cut_off(home: Path) -> int:
    """Delete what backups left that were cut off: our own scratch files, outside of the home."""
    return remove(cut_off(home))


def remove(paths: Iterable[Path]) -> int:
    """Delete them; how many files there were. What is gone already counts nothing."""
    n_files = 0
    paths = list(paths)
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            n_files += sum(1 for item in path.rglob("*") if item.is_file())
            shutil.rmtree(path, ignore_errors=False)
        elif path.exists() or path.is_symlink():
            n_files += 1
            path.unlink()
    for folder in {path.parent for path in paths}:
        drop(folder)
    return n_files


def backups_that_hold(home: Path) -> list[BackupRecord]:
    """Backups of this home that still exist; each may hold what was in the home when it was made."""
    return [record for record in known_backups(home) if record.path.exists()]
