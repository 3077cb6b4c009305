"""What makes a recipe serve: the checks before it, its record, the pointer; and vectors that come from elsewhere.

Nothing that is missing, damaged, tainted or of another base comes to serve. Pointer and ledger entry are one transaction,
as in `publish`, and whoever changes what serves holds the lease that a night holds, so that neither works on what the
other moves away.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from sqlalchemy import select
from sqlalchemy.orm import Session

from agents.errors import BaseChanged, BrokenAdapter, UnknownModule
from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelFolder, ModelSpec, resolve
from consolidation import lease
from consolidation.errors import NightError, RecipeStays
from consolidation.recipe import Entry, Recipe, as_adapter, check_base, recipe_adapters, save, vector_of
from consolidation.recipe_history import History, Version
from consolidation.runs import get_run, new_run_id, stage_records
from consolidation.stage import Progress, no_progress
from consolidation.trainer.job import JobFolder
from consolidation.vectors import (
    MANIFEST,
    DenseVector,
    extract_adapter,
    extract_checkpoint,
    factor_checkpoint,
    load_vector,
)
from db import tables
from db.engine import Database
from memory import artifacts, vector_nodes
from memory.artifacts import PointerRow
from memory.errors import TaintedArtifact
from memory.ports import Clock, utc_now
from memory.whole import whole_folder

REASON = "recipe"  # of the move, in the ledger
_PEFT = "adapter_config.json"
_CHECKPOINT = "checkpoint"  # in home/adapters, while a checkpoint's vector is made


@dataclass(frozen=True, slots=True)
class Place:
    """Whose recipes: the store, the space in it, and the home folder with the files."""

    database: Database
    space_id: str
    home: Path
    clock: Clock = utc_now

    def history(self) -> History:
        return History.read(self.database, self.space_id, self.home)


@contextmanager
def alone(place: Place) -> Iterator[threading.Event]:
    """Keep nights, erasures and other hands away for the length of the block; the event is set where that is lost. Raises
    LeaseHeld."""
    holder, lost = f"{lease.this_process()} recipe #{new_run_id()[:4]}", threading.Event()
    with lease.hold(place.database, place.space_id, holder, lost=lost):
        yield lost


def check(
    place: Place, recipe: Recipe, spec: ModelSpec, wearer: str | None = None
) -> list[tuple[Adapter, float]]:
    """Look at every vector of the recipe; those that the model would put on while `wearer` speaks (a person's id, None for
    nobody in particular).

    Raises BaseChanged with both hashes, MissingVector, BrokenAdapter, BrokenRecipe, BadVector, or TaintedArtifact where
    a vector holds what was erased.
    """
    check_base(recipe, spec)
    tainted = tainted_vectors(place)
    for entry in recipe.entries:
        if entry.adapter_sha256 in tainted:
            raise TaintedArtifact(tainted[entry.adapter_sha256])
    for entry in recipe.entries:
        if entry.person is not None:
            vector_of(place.home, recipe, entry)
    return recipe_adapters(place.home, recipe.for_person(wearer))


def refuse_tainted(place: Place, version: Version | None) -> None:
    """Raises TaintedArtifact; None, the plain base, holds nothing of anybody."""
    if version is not None:
        artifacts.servable(place.database, version.artifact_id)


def tainted_vectors(place: Place) -> Mapping[str, str]:
    """Hash -> artifact id of the space's task vectors that hold what was erased."""
    rows = artifacts.list_artifacts(place.database, place.space_id, kind="adapter")
    return {row.sha256: row.id for row in rows if row.tainted_at is not None}


def record(place: Place, recipe: Recipe) -> Version:
    """Write the recipe's file and put it on record as made by hand; one that is on record already stays as it is."""
    known = place.history().versions.get(recipe.sha256)
    if known is not None and known.recipe is not None:
        return known
    save(place.home, recipe)
    if known is None:
        meta = {"entries": len(recipe.entries), "base_hash": recipe.base_hash}
        with place.database.transaction() as session:
            artifacts.record_artifact(
                session,
                place.space_id,
                run_id=None,
                kind="recipe",
                path=recipe.path,
                sha256=recipe.sha256,
                meta=meta,
                clock=place.clock,
            )
    return place.history().versions[recipe.sha256]


def serve(place: Place, version: Version | None) -> PointerRow:
    """Let this recipe serve, None for the plain base; what serves already is left as it is.

    The night that goes with it is the newest one of its line, which is how a roll-back and the next night's gate know
    where they are. A recipe that a night wrote brings that night's readout back; else the readout stays.

    Raises TaintedArtifact.
    """
    history, before = place.history(), artifacts.pointer(place.database, place.space_id)
    recipe_id = version.artifact_id if version else None
    if (before.recipe_id if before else None) == recipe_id:
        return before or PointerRow(None, None, None, place.clock())
    if recipe_id is not None:
        artifacts.servable(place.database, recipe_id)
    night = history.night_of(version)
    readout_id = before.readout_id if before and version else None
    if version is not None and version.run_id is not None:
        readout_id = _readout_of(place, version.run_id) or readout_id
    with place.database.transaction() as session:
        return artifacts.move_pointer(
            session,
            place.space_id,
            run_id=night.run_id if night else None,
            recipe_id=recipe_id,
            readout_id=readout_id,
            reason=REASON,
            clock=place.clock,
        )


def _readout_of(place: Place, run_id: str) -> str | None:
    published = stage_records(place.database, run_id).get("publish")
    readout_id = published.output.get("readout_id") if published else None
    if readout_id is None or artifacts.get_artifact(place.database, readout_id).tainted_at is not None:
        return None
    return str(readout_id)


def check_published(place: Place, version: Version | None) -> None:
    """Raises RecipeStays for a recipe of a night whose gate refused it, or which never came so far."""
    if version is None or version.run_id is None:
        return
    if not get_run(place.database, place.space_id, version.run_id).is_published:
        raise RecipeStays(
            f"night {version.run_id} did not pass its gate; --force lets its recipe serve all the same"
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """How a folder of others' making is read. `is_of_this_base`: one that does not say which base it is of is of the one
    that is set. `rank`: what a checkpoint's change is brought to; None keeps it whole."""

    is_of_this_base: bool = False
    rank: int | None = None


def take_in(
    place: Place,
    folder: Path,
    spec: ModelSpec,
    label: str,
    how: Reading = Reading(),
    progress: Progress = no_progress,
) -> Entry:
    """The vector of a folder as an entry at coefficient 1, copied into home/adapters and put on record: a vector of ours, a
    PEFT adapter, or a whole checkpoint less its base.

    One that is on record keeps its night and its place. Raises BrokenAdapter, BrokenTensors, BadVector, BaseChanged,
    UnknownModule, RecipeStays where it does not fit, TaintedArtifact.
    """
    found = resolve(spec)
    made = place.home / "adapters" / _CHECKPOINT
    try:
        vector = _read(folder, found, how, made, progress)
        return _taken_in(place, folder, vector, found, label)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def file_vector(
    place: Place,
    vector: Adapter,
    meta: Mapping[str, Any],
    connect: Callable[[Session], object],
) -> str:
    """Put a vector that no night trained into home/adapters and on record; its path. `connect` says, in the same transaction,
    what it was trained from."""
    path = f"adapters/{vector.sha256[:12]}"
    if not (place.home / path / "adapter_model.safetensors").is_file():
        vector.save(place.home / path)
    meta = {"base_hash": vector.base_hash, "rank": vector.rank, **meta}
    with place.database.transaction() as session:
        connect(session)
        artifacts.record_artifact(
            session,
            place.space_id,
            run_id=None,
            kind="adapter",
            path=path,
            sha256=vector.sha256,
            meta=meta,
            clock=place.clock,
        )
    return path


def nights_behind(place: Place, entry: Entry) -> set[str]:
    """Whose facts an entry holds: the night that trained it, and those on whose rows it was trained elsewhere."""
    about = vector_nodes.trained_from(place.database, place.space_id, entry.adapter_sha256)
    nights = {edge.name for edge in about if edge.kind == vector_nodes.NIGHT}
    return nights | {entry.run_id} if entry.run_id else nights


def _taken_in(
    place: Place, folder: Path, vector: Adapter | DenseVector, found: ModelFolder, label: str
) -> Entry:
    if vector.base_hash != found.base_hash:
        raise BaseChanged(vector.base_hash, found.base_hash)
    if vector.sha256 in (tainted := tainted_vectors(place)):
        raise TaintedArtifact(tainted[vector.sha256])
    _check_fit(as_adapter(vector), found.path, folder)
    rows = artifacts.list_artifacts(place.database, place.space_id, kind="adapter")
    known = next((row for row in rows if row.sha256 == vector.sha256), None)
    path = known.path if known else f"adapters/{vector.sha256[:12]}"
    if not (place.home / path).is_dir():
        _copy(vector, place.home / path)
    if known is None:
        rank = vector.rank if isinstance(vector, Adapter) else None
        meta = {"base_hash": vector.base_hash, "rank": rank, "label": label}
        with place.database.transaction() as session:
            artifacts.record_artifact(
                session,
                place.space_id,
                run_id=None,
                kind="adapter",
                path=path,
                sha256=vector.sha256,
                meta=meta,
                clock=place.clock,
            )
    return Entry(vector.sha256, path, 1.0, known.run_id if known else None, label)


def _read(
    folder: Path, base: ModelFolder, how: Reading, made: Path, progress: Progress
) -> Adapter | DenseVector:
    """A vector of ours by its manifest; else a PEFT folder or a checkpoint, which name no base. `made` is where the full
    deltas of a checkpoint go."""
    vector = load_vector(folder) if (folder / MANIFEST).is_file() else None
    is_adapter = vector is not None or (folder / _PEFT).is_file() or not any(folder.glob("*.safetensors"))
    if is_adapter and how.rank is not None:
        raise RecipeStays(f"{folder.name} holds factors already; --rank is for a whole checkpoint")
    if vector is not None and vector.base_hash:
        return vector
    if not how.is_of_this_base:
        raise RecipeStays(
            f"{folder} does not say which base it was trained on; give --trust-base if it is the one that is set"
        )
    if is_adapter:
        return extract_adapter(folder, base.base_hash)
    if how.rank is not None:
        return factor_checkpoint(base, folder, how.rank, progress=progress)
    return extract_checkpoint(base, folder, made, progress=progress)


def _copy(vector: Adapter | DenseVector, folder: Path) -> None:
    if isinstance(vector, Adapter):
        vector.save(folder)
    elif vector.folder.parent == folder.parent:  # of a checkpoint, just made
        vector.folder.rename(folder)
    else:
        with whole_folder(folder) as part:
            shutil.copytree(vector.folder, part, dirs_exist_ok=True)


def _check_fit(adapter: Adapter, base: Path, folder: Path) -> None:
    """Raises UnknownModule, RecipeStays for other shapes, BrokenAdapter for numbers that are none."""
    shapes = weight_shapes(base)
    for name, (a, b) in sorted(adapter.modules.items()):
        if name not in shapes:
            raise UnknownModule(name)
        if (b.shape[0], a.shape[1]) != shapes[name]:
            raise RecipeStays(
                f"the vector's {name} is {b.shape[0]} by {a.shape[1]}, the model's {shapes[name][0]} by {shapes[name][1]}"
            )
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise BrokenAdapter(folder, f"{name} holds numbers that are not finite")


def weight_shapes(base: Path) -> dict[str, tuple[int, int]]:
    """Module -> (out, in) of a model's matrices, from the heads of its safetensors files."""
    shapes: dict[str, tuple[int, int]] = {}
    for file in sorted(base.glob("*.safetensors")):
        with safe_open(file, "np") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (the handle is no mapping)
                shape = tensors.get_slice(name).get_shape()
                if len(shape) == 2 and name.endswith(".weight"):
                    shapes[name.removesuffix(".weight")] = (shape[0], shape[1])
    return shapes


def erased_from(place: Place) -> Recipe:
    """The recipe that served before the newest erasure took it away. Raises RecipeStays, BrokenRecipe."""
    query = (
        select(tables.LedgerEntry.payload)
        .where(tables.LedgerEntry.space_id == place.space_id, tables.LedgerEntry.kind == "pointer")
        .order_by(tables.LedgerEntry.seq.desc())
    )
    with place.database.reading() as session:
        moves = [move for move in session.scalars(query) if move["reason"] == "erasure"]
    before = (moves[0]["before"] or {}).get("recipe") if moves else None
    found = next((v for v in place.history().versions.values() if v.artifact_id == before), None)
    if found is None:
        raise RecipeStays("no erasure has taken a recipe away")
    return found.usable()


def rebuild(place: Place, recipe: Recipe) -> tuple[list[str], list[str]]:
    """Bring back vectors whose folders are missing or damaged from the folders of the nights that trained them.

    Paths that were brought back, and paths that could not be: what they were made of is gone too, or must be.
    """
    done: list[str] = []
    lost: list[str] = []
    tainted = tainted_vectors(place)
    for entry in recipe.entries:
        if not is_there(place.home, recipe, entry):
            is_back = entry.adapter_sha256 not in tainted and _bring_back(place.home, entry)
            (done if is_back else lost).append(entry.path)
    return done, lost


def is_there(home: Path, recipe: Recipe, entry: Entry) -> bool:
    """Whether the entry's vector can be read and is the one it names."""
    try:
        return bool(recipe_adapters(home, Recipe(recipe.base_hash, (entry,))))
    except (NightError, BrokenAdapter, BaseChanged):
        return False


def _bring_back(home: Path, entry: Entry) -> bool:
    if entry.run_id is None:
        return False
    kept = JobFolder(home / "runs" / entry.run_id / "train").adapter
    try:
        adapter = Adapter.load(kept)
    except BrokenAdapter:
        return False
    if adapter.sha256 != entry.adapter_sha256:
        return False
    adapter.save(home / entry.path)
    return True
