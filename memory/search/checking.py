"""Whether an index says what the tables say: every unit once, nothing else, with its words, vector and links.

Works through the tables in bounded chunks and through the index's own writer, into which nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from db.engine import Database
from memory.ports import Embedder
from memory.search import embeddings, units
from memory.search.build import Build
from memory.search.columns import EPISODE, FACT, RETIRED, Ints, as_numbers, digest_of
from memory.search.writer import BATCH, smoothed

_TOLERANCE = 2e-3  # of one number of a unit vector; float16 keeps it to 5e-4


def check(
    build: Build,
    database: Database,
    space_id: str,
    embedder: Embedder,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[str]:
    """One line per problem; no line holds words of the store."""
    problems: list[str] = []
    with database.reading() as session:
        facts = units.fact_ids(session, space_id)
        episodes = [place.id for part in units.all_places(session, space_id) for place in part]
    problems += _listed(build, "episode", EPISODE, episodes)
    problems += _listed(build, "fact", FACT, facts)
    problems += _documents(build)
    total = len(episodes) + len(facts)
    for kind, ids in (("episode", episodes), ("fact", facts)):
        numbers = build.columns.find(as_numbers(ids))
        order = np.argsort(numbers, kind="stable")
        order = order[numbers[order] >= 0]
        for start in range(0, len(order), BATCH):
            chosen = numbers[order[start : start + BATCH]]
            if kind == "episode":
                problems += _episodes(build, database, space_id, embedder, chosen)
            else:
                problems += _facts(build, database, space_id, embedder, chosen)
            if progress is not None:
                progress(min(start + BATCH, len(order)), total, kind)
    return problems


def _listed(build: Build, name: str, kind: int, ids: list[str]) -> list[str]:
    held = build.columns.owner[build.columns.kind == kind]
    wanted = as_numbers(ids)
    problems = [f"index: {name} {int(owner):016x} is missing" for owner in np.setdiff1d(wanted, held)]
    problems += [
        f"index: {name} {int(owner):016x} is not in the tables" for owner in np.setdiff1d(held, wanted)
    ]
    once, counts = np.unique(held, return_counts=True)
    return problems + [f"index: {name} {int(owner):016x} is there twice" for owner in once[counts > 1]]


def _documents(build: Build) -> list[str]:
    """The text engine holds the units that may be found and the sessions, each once."""
    columns = build.columns
    wanted = {
        "unit": np.flatnonzero(build.searched(frozenset({EPISODE, FACT}))),
        "session": np.unique(columns.session[columns.kind == EPISODE]),
    }
    problems = []
    for field, numbers in wanted.items():
        held = np.sort(build.texts.numbers(field))  # type: ignore[arg-type]
        if not np.array_equal(held, numbers):
            n = len(np.setxor1d(held, numbers)) + len(held) - len(np.unique(held))
            problems.append(f"index: the {field} texts differ in {n} places from the units")
    return problems


def _episodes(
    build: Build, database: Database, space_id: str, embedder: Embedder, numbers: Ints
) -> list[str]:
    columns = build.columns
    before, after = columns.before[numbers], columns.after[numbers]
    needed = np.unique(np.concatenate([numbers, before[before >= 0], after[after >= 0]]))
    ids = columns.ids(needed)
    with database.reading() as session:
        said = units.said(session, ids)
        places = {place.id: place for place in units.places(session, space_id, ids)}
        vectors = embeddings.load(session, embedder, "episode", ids)
    if missing := [item for item in ids if item not in said or item not in vectors]:
        return [f"index: episode {item} has no text or vector in the tables" for item in missing]
    matrix = np.stack([vectors[item] for item in ids])
    wanted = smoothed(matrix, needed, numbers, before, after)
    off = _differ(build, numbers, wanted)
    problems = [f"index: the vector of episode {item} differs" for item in columns.ids(numbers[off])]
    for number, item in zip(numbers.tolist(), columns.ids(numbers), strict=True):
        stands = (columns.time[number], columns.position[number], columns.id(columns.conversation[number]))
        place = places[item]
        if columns.digest[number] != digest_of(said[item].text) or stands != (
            place.time,
            place.position,
            place.conversation_id,
        ):
            problems.append(f"index: the text or place of episode {item} differs")
        if columns.id(columns.speaker[number]) != said[item].speaker_id:
            problems.append(f"index: the speaker of episode {item} differs")
    return problems + _unlinked(build, numbers, lambda n: _episode_targets(build, n))


def _facts(build: Build, database: Database, space_id: str, embedder: Embedder, numbers: Ints) -> list[str]:
    columns = build.columns
    with database.reading() as session:
        found = {fact.id: fact for fact in units.facts(session, space_id, columns.ids(numbers))}
        vectors = embeddings.load(session, embedder, "fact", list(found))
    ids = columns.ids(numbers)
    if missing := [item for item in ids if item not in vectors]:
        return [f"index: fact {item} has no vector in the tables" for item in missing]
    off = _differ(build, numbers, np.stack([vectors[item] for item in ids]))
    problems = [f"index: the vector of fact {item} differs" for item in columns.ids(numbers[off])]
    for number, item in zip(numbers.tolist(), ids, strict=True):
        fact = found[item]
        is_retired = bool(columns.flags[number] & RETIRED)
        if columns.digest[number] != digest_of(fact.text) or is_retired != fact.is_retired:
            problems.append(f"index: the text or state of fact {item} differs")

    def targets(number: int) -> set[int]:
        fact = found[columns.id(number)]
        if fact.is_retired:
            return set()
        named = [fact.subject_id, *([fact.object_id] if fact.object_id else [])]
        owners = as_numbers([*named, *(item.episode_id for item in fact.heard)])
        return {2 * n for n in columns.find(owners).tolist() if n >= 0}

    return problems + _unlinked(build, numbers, targets)


def _differ(build: Build, numbers: Ints, wanted: np.ndarray) -> np.ndarray:
    held = build.columns.vector[numbers].astype(np.float32)
    return np.asarray(np.abs(held - wanted).max(axis=1) > _TOLERANCE)


def _episode_targets(build: Build, number: int) -> set[int]:
    columns = build.columns
    targets = {2 * int(columns.session[number]) + 1, 2 * int(columns.speaker[number])}
    if columns.after[number] >= 0:
        targets.add(2 * int(columns.after[number]))
    return targets


def _unlinked(build: Build, numbers: Ints, targets: Callable[[int], set[int]]) -> list[str]:
    """Units whose own links are not those that they should have."""
    own: dict[int, set[int]] = {number: set() for number in numbers.tolist()}
    moved = build.moved
    in_base = numbers[numbers < build.manifest.n_base]
    if moved is not None:
        in_base = in_base[~moved[in_base]]
    which, entry = build.links.of_places(2 * in_base)
    mine = np.asarray(build.links.mine[entry])
    for i, target in zip(which[mine].tolist(), build.links.neighbour[entry[mine]].tolist(), strict=True):
        own[int(in_base[i])].add(target)
    recent = build.recent.links.only(np.isin(build.recent.links.source, 2 * numbers))
    for source, target in zip(recent.source.tolist(), recent.target.tolist(), strict=True):
        own[source // 2].add(target)
    wrong = [number for number in numbers.tolist() if own[number] != targets(number)]
    return [f"index: the links of {item} differ" for item in build.columns.ids(np.array(wrong, np.int64))]
