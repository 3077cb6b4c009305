"""The index by which a reply is traced to messages: one activation per message, kept up by the night.

A message's vector is the mean residual over its own tokens after a block in the middle of the plain base model: lower
blocks tell spelling, higher ones the next token. The base and not the night's weights, because then a night computes
new messages alone, and an erasure needs no other message's vector computed again; what that costs is in
docs/adr/0044. The file and the arithmetic on it are `memory.message_vectors`; blocks above the layer are not computed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from consolidation.errors import BrokenIndex
from consolidation.stage import NightContext, Progress, no_progress
from db.engine import Database
from memory import message_vectors
from memory.episodes import get_episodes
from memory.message_vectors import Manifest, MessageVectors
from memory.ports import FloatMatrix
from memory.search.columns import digest_of

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from agents.runtime.spec import ModelSpec

DEPTH = 0.5  # the layer, as a share of the model's depth
CHUNK = 128  # messages between two reports of progress
KEPT_EVERY = 4096  # messages that a kill can cost
MAX_CHARS = 2000  # of a message that are read

log = logging.getLogger(__name__)


class Reader(Protocol):
    """What is needed of a model: the part of agents.runtime.LanguageModel that reads the residual stream."""

    base_hash: str
    n_layers: int
    hidden_size: int

    def mean_residuals(self, texts: Sequence[str], layers: Sequence[int]) -> FloatMatrix: ...


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What bringing the index up to date did."""

    n_messages: int
    n_new: int
    n_gone: int


def layer_of(n_layers: int) -> int:
    """The layer that is read in a model of so many blocks."""
    return min(n_layers - 1, int(DEPTH * n_layers))


def manifest_of(model: LanguageModel) -> Manifest:
    """What vectors made with this model, plain, would say of themselves."""
    return Manifest(model.base_hash, model.template.sha256, layer_of(model.n_layers), model.hidden_size)


def refresh(
    context: NightContext, progress: Progress = no_progress, *, model: LanguageModel | None = None
) -> dict[str, float]:
    """A night's part: the counts for its report. Loads the base only where there is something new to read and no
    `model`, which must wear nothing.

    Where no model can be run the night goes on without, and the log says so; what is new waits for the next time.
    """
    from agents.runtime.spec import ModelSpec

    settings = context.settings
    spec = ModelSpec(source=settings.base_model, cache_dir=context.home / "cache", dtype=settings.train.dtype)
    try:
        done = bring_up_to_date(context.database, context.space_id, context.home, spec, progress, model=model)
    except ModuleNotFoundError as error:
        log.warning("night %s: no index for attribution: %s is not installed", context.run_id, error.name)
        return {}
    log.info(
        "night %s: %d messages can be attributed to, %d of them new",
        context.run_id,
        done.n_messages,
        done.n_new,
    )
    return {"attributable": done.n_messages, "newly_attributable": done.n_new}


def bring_up_to_date(
    database: Database,
    space_id: str,
    home: Path,
    spec: ModelSpec,
    progress: Progress = no_progress,
    *,
    model: LanguageModel | None = None,
) -> Refreshed:
    """Vectors for messages that have none or have other words now; rows of what is gone are dropped. Repeatable.

    `model`, where one is loaded already, must wear nothing. Another base, template or layer makes everything again.
    Raises what loading the model does.
    """
    from agents.runtime.spec import resolve

    with database.reading() as session:
        n_gone = message_vectors.prune(session, space_id, home)
        wanted = message_vectors.messages_of(session, space_id)
    path = message_vectors.path_of(home, space_id)
    old = message_vectors.read(path)
    base_hash = resolve(spec).base_hash if model is None else model.base_hash
    if old is not None and old.manifest.model_hash == base_hash and _is_whole(old, wanted):
        return Refreshed(len(old), 0, n_gone)
    if not wanted:
        return Refreshed(0, 0, n_gone)
    if model is None:
        from agents.runtime.lm import LanguageModel

        progress(0, len(wanted), "loading the model")
        model = LanguageModel.load(spec)
    manifest = manifest_of(model)
    if old is not None and old.manifest != manifest:
        old = None
    known = set() if old is None else set(old.ids.tolist())
    missing = sorted(set(wanted) - known)
    vectors = old
    for start in range(0, len(missing), KEPT_EVERY):
        done = _Part(start, len(missing), progress)
        vectors = _added(database, space_id, model, vectors, missing[start : start + KEPT_EVERY], done)
        message_vectors.write(path, vectors)
    progress(len(missing), len(missing))
    return Refreshed(0 if vectors is None else len(vectors), len(missing), n_gone)


@dataclass(frozen=True, slots=True)
class _Part:
    """Progress of a part, told as that of the whole."""

    start: int
    total: int
    progress: Progress

    def __call__(self, done: int) -> None:
        self.progress(self.start + done, self.total)


def _is_whole(found: MessageVectors, wanted: dict[int, int]) -> bool:
    """Whether every message has its vector; what is gone or has other words was dropped before."""
    return len(found) == len(wanted)


def _added(
    database: Database,
    space_id: str,
    model: LanguageModel,
    old: MessageVectors | None,
    ids: Sequence[int],
    done: _Part,
) -> MessageVectors:
    """`old` with the vectors of these messages. Raises BrokenIndex for activations that are not finite."""
    manifest = manifest_of(model)
    episodes = get_episodes(database, space_id, [f"{number:016x}" for number in ids])
    given: dict[int, tuple[int, FloatMatrix]] = {}
    for start in range(0, len(episodes), CHUNK):
        done(start)
        part = episodes[start : start + CHUNK]
        vectors = vectors_of(model, [episode.text for episode in part], manifest.layer)
        for episode, vector in zip(part, vectors, strict=True):
            given[int(episode.id, 16)] = digest_of(episode.text), vector
    try:
        return message_vectors.merged(manifest, old, given)
    except ValueError as error:
        raise BrokenIndex(str(error)) from error


def vectors_of(model: Reader, texts: Sequence[str], layer: int) -> FloatMatrix:
    """Raw vectors (N, D) of texts: what the index holds of messages, and what a reply is looked up by."""
    return model.mean_residuals([text[:MAX_CHARS] for text in texts], [layer])[:, 0]


def open_index(home: Path, space_id: str, manifest: Manifest) -> MessageVectors:
    """The space's index for vectors of that kind. Raises BrokenIndex where there is none to use."""
    found = message_vectors.read(message_vectors.path_of(home, space_id))
    if found is None:
        raise BrokenIndex("there is none")
    if found.manifest != manifest:
        raise BrokenIndex(
            f"it was made with model {found.manifest.model_hash[:12]}, layer {found.manifest.layer}, "
            f"not {manifest.model_hash[:12]}, layer {manifest.layer}"
        )
    return found
