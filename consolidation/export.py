"""The weights of a recipe written for other programs: a PEFT folder, a merged checkpoint, or GGUF adapters.

What is written holds what people said; every folder says so, and only its owner can read it. A folder is there whole
or not at all, and on record before it is there (`memory.exports`): tainted recipes are refused, and looked at once more
after that, so that an erasure either knows of the export or stops it. Nothing here changes the store or what serves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelFolder, ModelSpec, resolve
from consolidation.errors import CannotExport, ExportExists
from consolidation.export_notes import readme
from consolidation.factors import FloatArray, cut, side_by_side
from consolidation.merging import check as check_vectors
from consolidation.recipe import Entry, Recipe, deltas, recipe_adapters
from consolidation.recipe_history import SERVING, Version
from consolidation.recipe_serving import Place, check, refuse_tainted
from consolidation.stage import Progress, no_progress
from memory import whole
from memory.exports import ExportRecord, remember

FORMATS = ("peft", "checkpoint", "gguf")


@dataclass(frozen=True, slots=True)
class Wish:
    """How to write it. `max_rank` cuts adapters to their largest singular values; `dtype`, `max_shard`: of a checkpoint.

    `person`: id of the one in whose style it is to speak; without it no style goes out.
    """

    format: str
    per_vector: bool = False
    max_rank: int | None = None
    dtype: str = "keep"
    max_shard: str = "5GB"
    person: str | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """One adapter; `path` is relative to the export's folder, `entry` is None where it holds all vectors."""

    path: str
    rank: int
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Export:
    """What was written. `residual`: the share of the weights' change that a cut or a rounding took, about 0 for none."""

    format: str
    folder: Path
    recipe: Recipe
    sha256: str | None  # of the recipe; None is the plain base
    residual: float
    adapters: tuple[Written, ...] = ()
    dtype: str | None = None  # of a checkpoint's weights
    folder_sha256: str = ""  # of the names and contents of its files

    @property
    def rank(self) -> int | None:
        return max((item.rank for item in self.adapters), default=None)


@dataclass(frozen=True, slots=True)
class _Source:
    """What is written: the base and the vectors that weigh something, each with the entry that names it where one does."""

    recipe: Recipe
    sha256: str | None
    base: ModelFolder
    vectors: Sequence[tuple[Adapter, float]]
    entries: Sequence[Entry]  # as many as vectors, or none where a rule has made one of them


def export_recipe(
    place: Place,
    spec: ModelSpec,
    folder: Path,
    wish: Wish,
    *,
    name: str = SERVING,
    progress: Progress = no_progress,
) -> Export:
    """Write the recipe of that name into `folder`; names are those of `History.find`.

    Raises ExportExists, CannotExport, UnknownRecipe, TaintedArtifact, BaseChanged, MissingVector, BrokenAdapter,
    BrokenRecipe, BadVector, UnfitForGguf; then nothing is left of the folder.
    """
    version = place.history().find(name)
    refuse_tainted(place, version)
    source = _source(place, spec, version, wish.person)
    if wish.format != "checkpoint":
        _check_wish(source, wish)
    with whole_folder(folder) as part:
        export = _write(source, folder, part, wish, progress)
        (part / "README.md").write_text(readme(export), encoding="utf-8")
        export = replace(export, folder_sha256=hash_of(part))
        remember(place.home, _record(place, export))
        refuse_tainted(place, version)  # an erasure may have come meanwhile
    return export


def _record(place: Place, export: Export) -> ExportRecord:
    vectors = (entry.adapter_sha256 for entry in export.recipe.entries if entry.coefficient)
    return ExportRecord(
        place.space_id,
        export.folder.absolute(),
        export.format,
        export.sha256,
        tuple(dict.fromkeys(vectors)),
        export.folder_sha256,
        place.clock(),
    )


def hash_of(folder: Path) -> str:
    """Of the names and contents of every file below it."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{content} {path.relative_to(folder).as_posix()}\n".encode())
    return digest.hexdigest()


def _source(place: Place, spec: ModelSpec, version: Version | None, person: str | None) -> _Source:
    """Vectors at coefficient 0 stay here: their factors would go out though they add nothing."""
    base = resolve(spec)
    recipe = Recipe(base.base_hash) if version is None else version.usable()
    check(place, recipe, spec)
    recipe = recipe.for_person(person)
    worn = recipe_adapters(place.home, recipe)
    check_vectors(worn)
    at_work = [i for i, (_, coefficient) in enumerate(worn) if coefficient]
    entries = [recipe.entries[i] for i in at_work] if recipe.rule == "sum" else []
    sha256 = version.sha256 if version else None
    return _Source(recipe, sha256, base, [worn[i] for i in at_work], entries)


def _check_wish(source: _Source, wish: Wish) -> None:
    if not source.vectors:
        raise CannotExport(
            "the plain base serves, and an adapter of it would be empty; run `slowwave sleep`, or write the base "
            "with --format checkpoint"
        )
    if wish.per_vector and not source.entries:
        raise CannotExport(
            f"vectors merged by {source.recipe.rule} do not add up one by one; leave --each out"
        )


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder beside it, readable by its owner only, that takes its name when the block has ended well.

    Raises ExportExists where something is there that is no empty folder.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ExportExists(folder)
    with whole.whole_folder(folder, mode=0o700) as part:
        yield part


def _write(source: _Source, folder: Path, part: Path, wish: Wish, progress: Progress) -> Export:
    if wish.format == "checkpoint":
        from agents.runtime.checkpoint import write_checkpoint

        changes = _watched(source, progress)
        dtype, lost = write_checkpoint(source.base, changes, part, dtype=wish.dtype, max_shard=wish.max_shard)
        return Export(wish.format, folder, source.recipe, source.sha256, lost, dtype=dtype)
    from agents.runtime.checkpoint import chat_template

    (part / "chat_template.jinja").write_text(chat_template(source.base), encoding="utf-8")
    adapters, lost = _write_adapters(source, part, wish, progress)
    return Export(wish.format, folder, source.recipe, source.sha256, lost, adapters)


def _watched(source: _Source, progress: Progress) -> Iterator[tuple[str, FloatArray]]:
    total = len({name for adapter, _ in source.vectors for name in adapter.modules})
    progress(0, total)
    for done, change in enumerate(deltas(source.vectors), 1):
        yield change
        progress(done, total)


def _write_adapters(
    source: _Source, part: Path, wish: Wish, progress: Progress
) -> tuple[tuple[Written, ...], float]:
    """All vectors as one adapter, or each by itself with its coefficient in it; and the share that `max_rank` took."""
    vectors = source.vectors
    entries: Sequence[Entry | None] = source.entries if wish.per_vector else [None]
    written, lost, whole = [], 0.0, 0.0
    for i, entry in enumerate(entries):
        progress(i, len(entries))
        adapter = side_by_side(vectors[i : i + 1] if entry else vectors, {"recipe": source.sha256})
        if wish.max_rank is not None:
            adapter, gone, total = cut(adapter, wish.max_rank)
            lost, whole = lost + gone, whole + total
        # not its label: that can hold a name
        name = f"{i + 1:03d}-{entry.adapter_sha256[:12]}" if entry else ""
        write = _write_gguf if wish.format == "gguf" else _write_peft
        written.append(Written(write(part, name, adapter, source.base), adapter.rank, entry))
    progress(len(entries), len(entries))
    return tuple(written), (lost / whole) ** 0.5 if whole else 0.0


def _write_peft(part: Path, name: str, adapter: Adapter, _base: ModelFolder) -> str:
    (part / name).mkdir(exist_ok=True)
    adapter.write(part / name)
    return name or "."


def _write_gguf(part: Path, name: str, adapter: Adapter, base: ModelFolder) -> str:
    from transformers import AutoConfig

    from agents.runtime.gguf_adapter import write_gguf_adapter

    config = AutoConfig.from_pretrained(base.path, local_files_only=True).get_text_config()
    path = f"{name or 'adapter'}.gguf"
    write_gguf_adapter(part / path, adapter, config)
    return path
