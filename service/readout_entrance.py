"""What every entrance does with readouts: list and show them. The shapes are in docs/json.md."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from consolidation.current import current_readout
from consolidation.errors import BrokenReadout, UnknownReadout
from consolidation.readouts import (
    MANIFEST_FILE,
    VECTORS_FILE,
    Manifest,
    Readout,
    paths_from,
    read_files,
    read_readout,
)
from memory.artifacts import Artifact, list_artifacts, pointer

if TYPE_CHECKING:
    from service.wiring import Services


def list_all(services: Services, environ: Mapping[str, str] = os.environ) -> list[dict[str, Any]]:
    """Readouts on record, the newest first; before them the one that the environment names, which serves instead."""
    named = paths_from(environ)
    now = pointer(services.database, services.space_id)
    found = list_artifacts(services.database, services.space_id, kind="readout")
    rows = [
        _row(services, artifact, serves=named is None and now is not None and artifact.id == now.readout_id)
        for artifact in reversed(found)
        if artifact.tainted_at is None
    ]
    if named is not None:
        shown = _summary(read_files(*named).manifest)
        first = {"readout": None, "night": None, "at": None, "path": str(named[0]), "serves": True}
        rows.insert(0, first | shown | {"error": None})
    return rows


def _row(services: Services, artifact: Artifact, *, serves: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "readout": artifact.sha256,
        "night": artifact.run_id,
        "at": artifact.created_at.isoformat(),
        "path": artifact.path,
        "serves": serves,
    }
    try:
        return row | _summary(read_readout(services.settings.home / artifact.path).manifest) | {"error": None}
    except BrokenReadout as error:
        return row | {"concepts": artifact.meta["concepts"], "error": str(error)}


def _summary(manifest: Manifest) -> dict[str, Any]:
    return {
        "concepts": list(manifest.concepts),
        "layers": list(manifest.layers),
        "model": manifest.model_hash,
        "mean_auroc": round(float(np.mean(manifest.auroc)), 4),
    }


def show(services: Services, name: str | None, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The manifest of a readout; raises as `open_readout` does."""
    return asdict(open_readout(services, name, environ).manifest)


def open_readout(
    services: Services, name: str | None = None, environ: Mapping[str, str] = os.environ
) -> Readout:
    """What serves, one on record by a beginning of its hash, or a folder of files.

    Raises UnknownReadout, BrokenReadout, TaintedArtifact, and BrokenReadout with both hashes where what serves was
    made with another model than the configured one.
    """
    if name is not None:
        return read_files(*_files_of(services, name))
    from agents.runtime.spec import resolve

    base_hash = resolve(services.model_spec()).base_hash
    home = services.settings.home
    serving = current_readout(services.database, services.space_id, home, base_hash, environ)
    if serving is None:
        raise UnknownReadout
    return serving


def _files_of(services: Services, name: str) -> tuple[Path, Path]:
    folder = Path(name)
    if not folder.is_dir():
        found = [
            artifact
            for artifact in list_artifacts(services.database, services.space_id, kind="readout")
            if artifact.tainted_at is None and artifact.sha256.startswith(name)
        ]
        if len({artifact.sha256 for artifact in found}) != 1:
            raise UnknownReadout(name)
        folder = services.settings.home / found[0].path
    return folder / VECTORS_FILE, folder / MANIFEST_FILE
