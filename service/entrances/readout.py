"""What every entrance does with readouts: examples for them, their training, which there are. The shapes are in
docs/json.md."""

from __future__ import annotations

import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
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
    write_readout,
)
from consolidation.stage import Progress, no_progress
from db.engine import open_database, sqlite_url
from memory.artifacts import Artifact, list_artifacts, pointer
from memory.exchange.load import load
from memory.spaces import ensure_space
from service.errors import ServerAway

if TYPE_CHECKING:
    from consolidation.readout_pairs import Material
    from consolidation.readout_settings import PairSettings
    from consolidation.readout_training import How
    from service.wiring import Services

_PIECE = 1 << 16  # bytes


@dataclass(frozen=True, slots=True)
class Base:
    """The model that a training reads with. `source`: as `night.base_model`; None is the configured one."""

    source: str | None = None
    dtype: str | None = None


def pairs(
    services: Services,
    folder: Path,
    settings: PairSettings,
    url: str | None = None,
    *,
    fetch_step: Progress = no_progress,
    pair_step: Progress = no_progress,
) -> dict[str, Any]:
    """Examples from the graph of the home, or of the daemon at `url`, in a folder; the folder's manifest.

    Raises ExportExists, BadReadout, ServerAway, and what loading an export raises.
    """
    from consolidation.readout_pairs import choose_pairs, gather, write_pairs

    if url is None:
        material = gather(services.database, services.space_id, services.registry, settings)
    else:
        with tempfile.TemporaryDirectory() as place:
            material = _gather_from(services, url, Path(place), settings, fetch_step)
    found = choose_pairs(material, settings, services.embedder, pair_step)
    source = f"space {services.settings.space}" if url is None else url
    return {"folder": str(folder)} | write_pairs(found, folder, settings, source)


def _gather_from(
    services: Services, url: str, place: Path, settings: PairSettings, progress: Progress
) -> Material:
    """What a daemon exports, out of a store that goes with the folder `place`."""
    from consolidation.readout_pairs import gather

    path = place / "export.jsonl"
    _fetch(f"{url.rstrip('/')}/v1/export", path, services.settings.serve.token_env, progress)
    database = open_database(sqlite_url(place / "graph.db"))
    try:
        space_id = ensure_space(database)
        with path.open("rb") as file:
            load(database, space_id, file, url)
        return gather(database, space_id, services.registry, settings)
    finally:
        database.close()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token goes nowhere but to the address that was given."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _fetch(address: str, path: Path, token_env: str, progress: Progress) -> None:
    token = os.environ.get(token_env, "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    opener = urllib.request.build_opener(_NoRedirects)
    n_bytes = 0
    try:
        request = urllib.request.Request(address, headers=headers)
        with opener.open(request, timeout=60) as answer, path.open("wb") as file:
            while piece := answer.read(_PIECE):
                file.write(piece)
                n_bytes += len(piece)
                progress(n_bytes >> 20, 0, "MB")
    except urllib.error.HTTPError as error:
        hint = f"set {token_env} to its token" if error.code in (401, 403) else "is a slowwave daemon there?"
        raise ServerAway(address, f"it answered {error.code}", hint) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        why = str(getattr(error, "reason", error)) or type(error).__name__
        raise ServerAway(address, why, "start `slowwave serve` there, or check the address") from error


def train(
    services: Services,
    folder: Path,
    base: Base,
    how: How,
    out: Path | None = None,
    *,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """A readout of a folder of examples, on the plain base; its manifest and where its files are.

    Raises BadReadout, ModelMissing, ExportExists.
    """
    from agents.runtime.lm import LanguageModel
    from consolidation.readout_training import read_examples
    from consolidation.readout_training import train as train_readout

    examples = read_examples(folder)
    progress(0, len(examples.texts), "loading the model")
    spec = services.model_spec()
    spec = replace(spec, source=base.source or spec.source, dtype=base.dtype or spec.dtype)
    model = LanguageModel.load(spec)
    shape = (model.base_hash, model.template.sha256, model.n_layers)
    made = train_readout(examples, model, shape, how, progress)
    written, sha256 = write_readout(made, out or folder / "readouts")
    return {
        "readout": sha256,
        "vectors": str(written / VECTORS_FILE),
        "manifest": str(written / MANIFEST_FILE),
        "examples": examples.sha256,
        **asdict(made.manifest),
    }


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


def show(
    services: Services, name: str | Path | None, environ: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """The manifest of a readout; raises as `open_readout` does."""
    return asdict(open_readout(services, name, environ).manifest)


def open_readout(
    services: Services, name: str | Path | None = None, environ: Mapping[str, str] = os.environ
) -> Readout:
    """What serves, or a folder of files; a name may be that of a folder, or a beginning of a hash on record.

    Raises UnknownReadout, BrokenReadout, TaintedArtifact, and BrokenReadout with both hashes where what serves was
    made with another model than the configured one.
    """
    if name is not None:
        is_folder = isinstance(name, Path) or Path(name).is_dir()
        folder = Path(name) if is_folder else on_record(services, str(name))
        return read_files(folder / VECTORS_FILE, folder / MANIFEST_FILE)
    from agents.runtime.spec import resolve

    base_hash = resolve(services.model_spec()).base_hash
    home = services.settings.home
    serving = current_readout(services.database, services.space_id, home, base_hash, environ)
    if serving is None:
        raise UnknownReadout
    return serving


def on_record(services: Services, name: str) -> Path:
    """The folder of the readout whose hash begins like that. Raises UnknownReadout."""
    found = [
        artifact
        for artifact in list_artifacts(services.database, services.space_id, kind="readout")
        if artifact.tainted_at is None and artifact.sha256.startswith(name)
    ]
    if len({artifact.sha256 for artifact in found}) != 1:
        raise UnknownReadout(name)
    return services.settings.home / found[0].path
