"""What every entrance does with readings: any texts scored, and the messages of people, each read once and kept.

The shapes are in docs/json.md. Nobody's words are in what this gives back: a text is named by the number of its line,
a message by its id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from consolidation.reading import MAX_CHARS, read_texts
from consolidation.readouts import sha256_of
from consolidation.stage import Progress, no_progress
from memory.readings import Reading, keep_readings, list_readings
from service.entrances.readout import open_readout
from service.errors import BadText

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel
    from consolidation.readouts import Readout
    from memory.types import Episode
    from service.wiring import Services

_KEPT_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class Line:
    """One text to score; lines count from 1."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class OpenReader:
    """A readout with the weights that it reads."""

    model: LanguageModel
    readout: Readout
    sha256: str


def lines_of(source: str, name: str) -> list[Line]:
    """The texts of a file's lines; of a line that is a JSON object, its `text`. Empty lines are left out.

    Raises BadText where nothing is left, or an object has no text; `name` is what the error calls the source.
    """
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        if text := _text_of(line.strip(), number, name):
            found.append(Line(number, text))
    if not found:
        raise BadText(name, "it holds no text")
    return found


def _text_of(line: str, number: int, name: str) -> str:
    is_object = line.startswith("{") and line.endswith("}")
    try:
        plain = json.loads(line) if is_object else line
    except ValueError:
        return line
    if isinstance(plain, str):
        return plain
    text = plain.get("text")
    if not isinstance(text, str):
        raise BadText(name, f"line {number} is an object without `text`")
    return text.strip()


def open_reader(
    services: Services, name: str | Path | None = None, *, use_weights: bool = True
) -> OpenReader:
    """The readout of that name (else what serves) with the model that serves, or with the plain base.

    Raises what `open_readout` does, and BrokenReadout with both hashes for a readout of another model.
    """
    from agents.runtime.lm import LanguageModel
    from agents.runtime.spec import resolve
    from consolidation.recipe import current_recipe, recipe_adapters

    readout = open_readout(services, name)
    spec, home = services.model_spec(), services.settings.home
    readout.check_model(resolve(spec).base_hash)  # before the weights are loaded
    recipe = current_recipe(services.database, services.space_id, home) if use_weights else None
    model = LanguageModel.load(spec, recipe_adapters(home, recipe.for_person(None)) if recipe else ())
    return OpenReader(model, readout, sha256_of(readout))


def score(reader: OpenReader, lines: Sequence[Line], progress: Progress = no_progress) -> dict[str, Any]:
    """Every text's readings, and their mean, in standard deviations of neutral text."""
    found = read_texts(reader.model, reader.readout, [line.text for line in lines], progress)
    manifest = reader.readout.manifest
    mean = {concept: float(np.mean([one[concept] for one in found])) for concept in manifest.concepts}
    return {
        "readout": reader.sha256,
        "layers": list(manifest.layers),
        "mean_auroc": round(float(np.mean(manifest.auroc)), 4),
        "n": len(lines),
        "n_cut": sum(len(line.text) > MAX_CHARS for line in lines),
        "mean": _rounded(mean),
        "texts": [
            {"line": line.line, "readings": _rounded(one)} for line, one in zip(lines, found, strict=True)
        ],
    }


def _rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {concept: round(value, 3) for concept, value in numbers.items()}


def read_messages(
    services: Services, reader: OpenReader, episodes: Sequence[Episode], progress: Progress = no_progress
) -> dict[str, dict[str, float]]:
    """The readings of these messages by id. What this readout has read before is not read again; the rest is kept.

    Killed in between, it has kept what it read so far.
    """
    kept = list_readings(services.database, services.space_id, readout=reader.sha256)
    known = {one.episode_id: dict(one.concepts) for one in kept}
    unread = [episode for episode in episodes if episode.id not in known and episode.text.strip()]
    unread.sort(key=lambda episode: len(episode.text))
    for start in range(0, len(unread), _KEPT_AT_A_TIME):
        progress(start, len(unread))
        part = unread[start : start + _KEPT_AT_A_TIME]
        found = read_texts(reader.model, reader.readout, [episode.text for episode in part])
        _keep(services, reader.sha256, part, found)
        known |= {episode.id: numbers for episode, numbers in zip(part, found, strict=True)}
    progress(len(unread), len(unread))
    return {episode.id: known[episode.id] for episode in episodes if episode.id in known}


def _keep(
    services: Services, readout: str, episodes: Sequence[Episode], found: Iterable[dict[str, float]]
) -> None:
    readings = [
        Reading(episode.id, readout, numbers) for episode, numbers in zip(episodes, found, strict=True)
    ]
    with services.database.transaction() as session:
        keep_readings(session, services.space_id, readings, clock=services.clock)


def text_or_file(given: str) -> tuple[str, str]:
    """A text itself, or what a file of that name holds, and what errors call it. Raises BadText."""
    path = Path(given)
    try:
        is_file = len(given) < 4096 and path.is_file()
    except OSError:
        is_file = False
    if not is_file:
        return given, "the text"
    try:
        return path.read_text(encoding="utf-8-sig"), path.name
    except UnicodeDecodeError as error:
        raise BadText(path.name, "it is not UTF-8") from error


def export_directions(
    services: Services, folder: Path, format_: str, name: str | None = None, concepts: Sequence[str] = ()
) -> dict[str, Any]:
    """Write a readout's directions into `folder`; raises what `export_readout` and `open_readout` do."""
    from agents.runtime.spec import resolve
    from consolidation.readout_export import export_readout

    base = resolve(services.model_spec())
    made = export_readout(open_readout(services, name), base, folder, format_, concepts)
    return {
        "format": made.format,
        "folder": str(made.folder),
        "readout": made.sha256,
        "model": base.base_hash,
        "layers": list(made.layers),
        "left_out": list(made.left_out),
        "files": made.files,
    }
