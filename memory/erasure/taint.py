"""What the nights made of the erased: which artifacts hold it, and what serves instead.

An adapter is tainted when its night trained on an erased fact, on a text that quotes or names, or replayed one, when it is a
style and an erased message was among its windows, or when the graph has it as trained from an erased person or pattern, or
from such a night; a recipe when one of its vectors is; a readout when its weights are, or when an erased message was among its examples.
Reports and curricula of such nights, and of those that decided about erased facts, are tainted as a whole, and so is what
was found when a recipe was verified that is tainted or has a vector of such a night.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db import tables
from memory import artifacts, vector_nodes
from memory.erasure.chunks import chunked
from memory.erasure.reach import Reach
from memory.erasure.words import Scrub
from memory.ports import Clock

_CHUNK = 2000  # examples looked at together
_PAGES = (".html", ".json", ".jsonl", ".txt", ".md")  # files of a run's folder that quote


@dataclass(slots=True)
class Tainted:
    """`runs` lose their folder; `trained` are those of them whose weights learnt it."""

    runs: set[str] = field(default_factory=set)
    trained: set[str] = field(default_factory=set)
    examples: set[str] = field(
        default_factory=set
    )  # rows that go: whole curricula, and exam questions elsewhere
    artifacts: dict[str, str] = field(default_factory=dict)  # id -> path relative to home
    vectors: set[str] = field(default_factory=set)  # hashes of the adapters among them


def find(session: Session, space_id: str, home: Path, reach: Reach, scrub: Scrub) -> Tainted:
    """Reads tables, recipes, manifests and the pages of the nights."""
    tainted = Tainted()
    _look_at_examples(session, space_id, reach, scrub, tainted)
    of_fact = select(tables.Decision.run_id).distinct()
    for part in chunked(tables.Decision.fact_id, reach.facts | reach.again):
        tainted.runs |= {run_id for run_id in session.scalars(of_fact.where(part)) if run_id}
    tainted.runs |= tainted.trained
    of_space = select(tables.SleepRun.id).where(tables.SleepRun.space_id == space_id)
    every = session.scalars(of_space).all()
    tainted.runs |= {run for run in every if run not in tainted.runs and _quotes(home / "runs" / run, scrub)}
    unpublished = session.scalars(of_space.where(tables.SleepRun.is_published.is_(False))).all()
    tainted.runs |= {run for run in unpublished if _is_training_style(home / "runs" / run)}
    _look_at_artifacts(session, space_id, home, reach, tainted)
    return tainted


def _look_at_examples(session: Session, space_id: str, reach: Reach, scrub: Scrub, tainted: Tainted) -> None:
    example = tables.Example
    query = select(
        example.id,
        example.run_id,
        example.split,
        example.fact_id,
        example.meta,
        example.messages,
        example.accepted,
    ).where(example.space_id == space_id)
    for rows in session.execute(query).partitions(_CHUNK):
        quoting = scrub.hits(["\n".join(_strings([row.messages, row.accepted])) for row in rows])
        for place, row in enumerate(rows):
            taught = {row.fact_id, *row.meta.get("facts", ())} & reach.facts
            taught |= reach.episodes.intersection(row.meta.get("episodes", ()))
            if taught or place in quoting:
                tainted.examples.add(row.id)
                tainted.runs.add(row.run_id)
                if row.split == "train":
                    tainted.trained.add(row.run_id)
    for part in chunked(example.run_id, tainted.trained):  # others quote an erased fact without naming it
        tainted.examples |= set(session.scalars(select(example.id).where(part)))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _quotes(folder: Path, scrub: Scrub) -> bool:
    pages = (path for path in sorted(folder.rglob("*")) if path.suffix in _PAGES and path.is_file())
    return any(scrub.holds(path.read_text(encoding="utf-8", errors="replace")) for path in pages)


def _is_training_style(folder: Path) -> bool:
    """Whether windows lie there of a style that is not on record yet; of which messages, nobody knows."""
    return any(folder.glob("style-*/train.jsonl"))


def _look_at_artifacts(session: Session, space_id: str, home: Path, reach: Reach, tainted: Tainted) -> None:
    rows = session.scalars(
        select(tables.Artifact)
        .where(tables.Artifact.space_id == space_id, tables.Artifact.tainted_at.is_(None))
        .order_by(tables.Artifact.created_at, tables.Artifact.id)
    ).all()
    vectors, heard = tainted.vectors, reach.episodes | reach.redacted
    recipes: set[str] = set()
    hashes: set[str] = set()
    about = vector_nodes.trained_on(session, space_id, reach.nodes)
    about |= vector_nodes.trained_in(session, space_id, tainted.trained)
    for row in rows:
        if row.kind == "adapter" and (
            row.run_id in tainted.trained
            or row.sha256 in about
            or not heard.isdisjoint(row.meta.get("episodes", ()))  # of a style: what its windows hold
        ):
            vectors.add(row.sha256)
            tainted.artifacts[row.id] = row.path
            tainted.runs |= {
                run for run in row.meta.get("tried_in", ()) if run
            }  # where samples of a style lie
    for row in rows:
        if row.kind == "recipe" and vectors and _has_vector(home / row.path, vectors):
            recipes.add(row.path)
            hashes.add(row.sha256)
            tainted.artifacts[row.id] = row.path
        elif row.kind in ("report", "curriculum") and row.run_id in tainted.runs:
            tainted.artifacts[row.id] = row.path
    for row in rows:
        if row.kind == "verification" and (
            row.meta["recipe"] in hashes or not tainted.runs.isdisjoint(row.meta["nights"])
        ):
            tainted.artifacts[row.id] = row.path
    since = _first_brought(session, heard)
    for row in rows:
        if row.kind in ("readout", "probe") and _is_made_of(home, row, recipes | hashes, heard, since):
            tainted.artifacts[row.id] = row.path


def _has_vector(path: Path, vectors: Collection[str]) -> bool:
    """Whether the recipe lists one of the adapters; one that cannot be read may."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["entries"]
        return any(entry["adapter_sha256"] in vectors for entry in entries)
    except (OSError, ValueError, KeyError, TypeError):
        return True


def _is_made_of(
    home: Path, row: tables.Artifact, recipes: Collection[str], heard: Collection[str], since: datetime | None
) -> bool:
    """By the recipe in its manifest and the messages in its record; without a record, by what was there then."""
    try:
        manifest = json.loads((home / row.path / "manifest.json").read_text(encoding="utf-8"))
        is_of_recipe = manifest.get("recipe") in recipes
    except (OSError, ValueError, AttributeError):
        is_of_recipe = bool(recipes)
    is_of_recipe |= any(recipe in recipes for recipe in row.meta.get("recipes", ()))  # nights that it sums up
    known = row.meta.get("episodes")
    if known is not None:
        return is_of_recipe or not set(known).isdisjoint(heard)
    return is_of_recipe or (since is not None and since <= row.created_at)


def _first_brought(session: Session, episode_ids: Collection[str]) -> datetime | None:
    """When the oldest source of these messages came in."""
    times = [
        time
        for part in chunked(tables.Episode.id, episode_ids)
        for time in session.scalars(
            select(tables.Source.created_at)
            .join(tables.Episode, tables.Episode.source_id == tables.Source.id)
            .where(part, tables.Episode.kind == "text")
            .distinct()
        )
    ]
    return min(times, default=None)


def mark(
    session: Session, space_id: str, tainted: Tainted, erasure_id: str, clock: Clock
) -> dict[str, Any] | None:
    """Taint the artifacts, close unfinished nights, and let what is untainted serve. Where the pointer went, if it moved."""
    for part in chunked(tables.Artifact.id, tainted.artifacts):
        session.execute(update(tables.Artifact).where(part).values(tainted_at=clock(), tainted_by=erasure_id))
    session.execute(
        update(tables.SleepRun)
        .where(tables.SleepRun.space_id == space_id, tables.SleepRun.status.in_(("running", "interrupted")))
        .values(status="failed", error="an erasure took what it began from; sleep again", finished_at=clock())
    )
    session.flush()
    return _unpublish(session, space_id, clock)


def _unpublish(session: Session, space_id: str, clock: Clock) -> dict[str, Any] | None:
    row = session.get(tables.Pointer, (space_id, "current"))
    if row is None or not (is_tainted(session, row.recipe_id) or is_tainted(session, row.readout_id)):
        return None
    published = _published(session, space_id)
    run_id, recipe_id = row.run_id, row.recipe_id
    if is_tainted(session, recipe_id):
        run_id, recipe_id = next(
            ((run, recipe) for run, recipe, _ in published if recipe and not is_tainted(session, recipe)),
            (None, None),
        )
    later = [run for run, _, _ in published]
    usable = published[later.index(run_id) :] if run_id in later else []
    readout_id = next((one for _, _, one in usable if one and not is_tainted(session, one)), None)
    artifacts.move_pointer(
        session,
        space_id,
        run_id=run_id,
        recipe_id=recipe_id,
        readout_id=readout_id,
        reason="erasure",
        clock=clock,
    )
    return {"run": run_id, "recipe": recipe_id, "readout": readout_id}


def _published(session: Session, space_id: str) -> list[tuple[str, str | None, str | None]]:
    """(run, recipe, readout) of every published night, the newest first."""
    run, stage = tables.SleepRun, tables.StageRun
    rows = session.execute(
        select(run.id, stage.output)
        .join(stage, stage.run_id == run.id)
        .where(run.space_id == space_id, run.is_published, stage.name == "publish")
        .order_by(run.started_at.desc())
    )
    return [(run_id, output.get("recipe_id"), output.get("readout_id")) for run_id, output in rows]


def paths_in_use(session: Session, tainted: Tainted) -> set[str]:
    """Paths that an untainted artifact, of whatever space, shares with a tainted one."""
    return {
        path
        for part in chunked(tables.Artifact.path, set(tainted.artifacts.values()))
        for artifact_id, path in session.execute(
            select(tables.Artifact.id, tables.Artifact.path).where(part, tables.Artifact.tainted_at.is_(None))
        )
        if artifact_id not in tainted.artifacts
    }


def is_tainted(session: Session, artifact_id: str | None) -> bool:
    """Whether it holds what was erased; an artifact that is not there counts as one that does."""
    if artifact_id is None:
        return False
    row = session.get(tables.Artifact, artifact_id)
    return row is None or row.tainted_at is not None
