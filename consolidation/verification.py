"""What was found when a recipe's vectors were verified, kept beside the recipe: all of it in a file, the sums on record.

The file holds hashes, labels and numbers. An erasure taints it with the recipe, and where one of the recipe's nights loses
what it decided or trained on, for then questions were asked that are gone (`memory.erasure.taint`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from consolidation.recipe_history import Version
from consolidation.recipe_serving import Place
from db import tables
from memory import artifacts
from memory.errors import TaintedArtifact
from memory.whole import write_text

FOLDER, KIND = "verified", "verification"
FORMAT = "slowwave-verification-1"


def keep(place: Place, version: Version, found: Mapping[str, Any]) -> str:
    """Keep what `recipe verify` gives of that recipe; its path relative to home.

    Raises TaintedArtifact where an erasure took the recipe meanwhile.
    """
    at = place.clock()
    kept = {"format": FORMAT, "recipe": version.sha256, "at": at.isoformat(), **found}
    text = json.dumps(kept, sort_keys=True, ensure_ascii=False)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    path = f"{FOLDER}/{sha256[:12]}.json"
    write_text(place.home / path, text)
    try:
        with place.database.transaction() as session:
            if session.get_one(tables.Artifact, version.artifact_id).tainted_at is not None:
                raise TaintedArtifact(version.artifact_id)
            artifacts.record_artifact(
                session,
                place.space_id,
                run_id=None,
                kind=KIND,
                path=path,
                sha256=sha256,
                meta=_sums(version, found),
                clock=lambda: at,
            )
    except BaseException:
        (place.home / path).unlink()
        raise
    return path


def _sums(version: Version, found: Mapping[str, Any]) -> dict[str, Any]:
    exams = [one["exam"] for one in found["vectors"] if one["exam"] is not None]
    closest = found["pairs"][0] if found["pairs"] else None
    return {
        "recipe": version.sha256,
        "nights": sorted({one["night"] for one in found["vectors"] if one["night"]}),
        "vectors": len(found["vectors"]),
        "examined": bool(exams),
        "keep_gate": sum(exam["passed"] for exam in exams) if exams else None,
        "together": found["together"],
        "closest": closest and {"places": closest["places"], "cosine": closest["cosine"]},
    }


def last(place: Place, version: Version) -> dict[str, Any] | None:
    """When the recipe was last verified, and what came of it; the last time with an exam, where there was one."""
    rows = [
        row
        for row in artifacts.list_artifacts(place.database, place.space_id, kind=KIND)
        if row.meta["recipe"] == version.sha256 and row.tainted_at is None
    ]
    row = next((row for row in reversed(rows) if row.meta["examined"]), rows[-1] if rows else None)
    if row is None:
        return None
    told = ("vectors", "examined", "keep_gate", "together", "closest")
    return {"at": row.created_at.isoformat(), "path": row.path, **{key: row.meta[key] for key in told}}
