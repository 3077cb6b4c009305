"""Readouts as pictures: cross-talk, layers, the weeks of two people, and speakers beside each other.

The same drawings stand in pages and in files of their own. Every picture carries its numbers as a table, for whoever
cannot see it. What is drawn of people comes in as numbers: nobody's words are in a picture, their names are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from html import escape

import numpy as np

from consolidation.charts import Points, heat_map, line_chart, svg_file
from consolidation.html_page import html_page, html_table
from consolidation.readouts import Manifest
from memory.ports import FloatMatrix

SVG, HTML = ".svg", ".html"
MIN_MESSAGES = 3  # of a person in a week; fewer are no mean
MAX_CONCEPTS = 6  # of a timeline
MAX_LINES = 6  # that a chart tells apart
_ROOM = 1.35  # of a chart's height over that of its highest point, for the names of its lines
_CHANCE = 0.5


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing (SVG) under its title, with the numbers that it shows."""

    title: str
    drawing: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Felt:
    """What one message gave: `numbers` are readings (standard deviations) or tags (intensities 0-10)."""

    person: str
    time: datetime
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Kind:
    """What is drawn over time: its name, its unit, and whether it can be below zero."""

    name: str
    unit: str
    is_signed: bool


READINGS = Kind("reading", "standard deviations of neutral text", is_signed=True)
TAGS = Kind("tags", "mean intensity, 0-10", is_signed=False)


def cross_talk(manifest: Manifest) -> list[Picture]:
    """Cosines of the directions, mean over the layers, like ones beside each other."""
    cosines_KK = np.mean(manifest.cross_talk, axis=0)
    order = alike(cosines_KK)
    names = [manifest.concepts[k] for k in order]
    matrix = cosines_KK[np.ix_(order, order)]
    rows = [(name, *(f"{value:.2f}" for value in row)) for name, row in zip(names, matrix, strict=True)]
    title = f"Cross-talk: cosines of the directions, mean over layers {_listed(manifest.layers)}"
    drawing = heat_map(names, matrix.tolist(), label=title)
    return [Picture(title, drawing, ("", *names), tuple(rows))]


def alike(cosines_KK: FloatMatrix) -> list[int]:
    """An order in which concepts whose directions are alike stand beside each other (average linkage)."""
    from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
    from scipy.spatial.distance import squareform

    if len(cosines_KK) < 3:
        return list(range(len(cosines_KK)))
    far = np.clip(1 - (cosines_KK + cosines_KK.T) / 2, 0, 2)
    np.fill_diagonal(far, 0)
    distances = squareform(far, checks=False)
    return [int(k) for k in leaves_list(optimal_leaf_ordering(linkage(distances, "average"), distances))]


def layer_curves(manifest: Manifest) -> list[Picture]:
    """Held-out AUROC by layer: the mean with the best and the worst concepts, and every concept at every layer."""
    layers = manifest.tried or manifest.layers
    auroc_LK = np.array(manifest.tried_auroc or manifest.auroc)
    order = sorted(range(len(manifest.concepts)), key=lambda k: -float(auroc_LK[:, k].max()))
    names = [manifest.concepts[k] for k in order]
    shown = order if len(order) <= MAX_LINES - 2 else [*order[:2], *order[-2:]]
    lines: dict[str, Points] = {"mean": _points(layers, auroc_LK.mean(axis=1))}
    lines |= {manifest.concepts[k]: _points(layers, auroc_LK[:, k]) for k in shown}
    lines["chance"] = [(float(layers[0]), _CHANCE), (float(layers[-1]), _CHANCE)]
    lowest = min(0.4, float(auroc_LK.min()))
    by_concept = auroc_LK[:, order].T
    kept = f"kept: {_listed(manifest.layers)}"
    rows = [(name, *(f"{value:.2f}" for value in row)) for name, row in zip(names, by_concept, strict=True)]
    head = ("", *map(str, layers))
    curves = line_chart(lines, "held-out AUROC", unit="layer", top=1.0 + _over(lines), bottom=lowest)
    heads = [str(layer) for layer in layers]
    title = f"Held-out AUROC of every concept at every layer; {kept}"
    field = heat_map(names, by_concept.tolist(), heads=heads, middle=_CHANCE, reach=_CHANCE, label=title)
    found = [
        Picture(f"Held-out AUROC by layer; {kept}", curves, head, tuple(rows)) if curves else None,
        Picture(title, field, head, tuple(rows)),
    ]
    return [picture for picture in found if picture is not None]


def _over(lines: Mapping[str, Points]) -> float:
    """Room over the highest line for the names of all."""
    return 0.05 * max(0, len(lines) - 2)


def timeline(
    felt: Sequence[Felt], people: Sequence[str], kind: Kind, concepts: Sequence[str] = ()
) -> list[Picture]:
    """A chart per concept, a line per person, a point per week with enough messages.

    Without `concepts` those are drawn that change most from week to week against what chance moves a mean by.
    """
    weeks = _weeks(felt, people)
    chosen = list(concepts) or _moving(weeks)
    pictures = (_weekly(weeks, people, concept, kind) for concept in chosen)
    return [picture for picture in pictures if picture is not None]


Weeks = dict[str, dict[date, list[Mapping[str, float]]]]  # person -> Monday -> what each message gave


def _weeks(felt: Iterable[Felt], people: Sequence[str]) -> Weeks:
    weeks: Weeks = {person: {} for person in people}
    for one in felt:
        monday = one.time.date() - timedelta(days=one.time.weekday())
        weeks[one.person].setdefault(monday, []).append(one.numbers)
    return {
        person: {monday: found for monday, found in sorted(by.items()) if len(found) >= MIN_MESSAGES}
        for person, by in weeks.items()
    }


def _means(by_week: Mapping[date, Sequence[Mapping[str, float]]], concept: str) -> dict[date, float]:
    return {
        monday: float(np.mean([one.get(concept, 0.0) for one in found])) for monday, found in by_week.items()
    }


def _moving(weeks: Weeks) -> list[str]:
    """The concepts whose weekly means spread most, in units of what drawing messages at random would spread them by."""
    known = sorted({name for by in weeks.values() for found in by.values() for one in found for name in one})
    scores: dict[str, float] = {}
    for concept in known:
        ratios = []
        for by_week in weeks.values():
            if len(by_week) < 2:
                continue
            within = [
                np.var([one.get(concept, 0.0) for one in found]) / len(found) for found in by_week.values()
            ]
            between = float(np.var(list(_means(by_week, concept).values())))
            ratios.append(between / (float(np.mean(within)) + 1e-9))
        if ratios:
            scores[concept] = max(ratios)
    return sorted(scores, key=lambda concept: (-scores[concept], concept))[:MAX_CONCEPTS]


def _weekly(weeks: Weeks, people: Sequence[str], concept: str, kind: Kind) -> Picture | None:
    means = {person: _means(weeks[person], concept) for person in people}
    mondays = sorted({monday for by_week in means.values() for monday in by_week})
    if not mondays:
        return None
    lines: dict[str, Points] = {
        person: [((monday - mondays[0]).days / 7, value) for monday, value in by_week.items()]
        for person, by_week in means.items()
    }
    values = [value for by_week in means.values() for value in by_week.values()]
    drawing = line_chart(
        lines,
        f"{concept}, {kind.unit}",
        unit="week",
        top=max(_ROOM * max(values), 0.5),
        bottom=min(0.0, *values) if kind.is_signed else 0.0,
        least=1,
        ends=(f"week of {mondays[0]}", f"week of {mondays[-1]}"),
    )
    rows = [
        (
            str(monday),
            *(_cell(means[person].get(monday), len(weeks[person].get(monday, ()))) for person in people),
        )
        for monday in mondays
    ]
    return Picture(f"{concept}: {kind.name} by week", drawing, ("week of", *people), tuple(rows))


def _cell(value: float | None, n: int) -> str:
    return "" if value is None else f"{value:.2f} of {n}"


def speakers(felt: Sequence[Felt], people: Sequence[str], concepts: Sequence[str]) -> list[Picture]:
    """Who reads how: each speaker's mean above or below the mean of the speakers, and the means themselves."""
    by_person = {person: [one.numbers for one in felt if one.person == person] for person in people}
    shown = [person for person in people if len(by_person[person]) >= MIN_MESSAGES]
    if not shown:
        return []
    means_PK = np.array(
        [
            [np.mean([one.get(concept, 0.0) for one in by_person[person]]) for concept in concepts]
            for person in shown
        ]
    )
    apart_PK = means_PK - means_PK.mean(axis=0)
    names = [f"{person} ({len(by_person[person])})" for person in shown]
    pictures = [_field("mean reading, in standard deviations of neutral text", names, concepts, means_PK)]
    if len(shown) > 1:
        apart = _field("mean reading above or below that of all of them", names, concepts, apart_PK)
        pictures.insert(0, apart)
    return pictures


def _field(told: str, names: Sequence[str], concepts: Sequence[str], values_PK: FloatMatrix) -> Picture:
    reach = max(0.1, float(np.abs(values_PK).max()))
    rows = [(name, *(f"{value:.2f}" for value in row)) for name, row in zip(names, values_PK, strict=True)]
    title = f"Speakers (messages): {told}"
    drawing = heat_map(names, values_PK.tolist(), heads=concepts, reach=reach, label=title)
    return Picture(title, drawing, ("", *concepts), tuple(rows))


def as_file(pictures: Sequence[Picture], title: str, suffix: str) -> str:
    """The text of a file that needs nothing beside it. `suffix`: .svg or .html."""
    if suffix == SVG:
        return svg_file([(picture.title, picture.drawing) for picture in pictures])
    return html_page(title, f"<h1>{escape(title)}</h1>{section(pictures)}")


def section(pictures: Sequence[Picture]) -> str:
    """HTML for a page: every drawing under its title, its numbers behind a fold."""
    return "".join(
        f"<h3>{escape(picture.title)}</h3><div class='wide'>{picture.drawing}</div>"
        f"<details><summary>The numbers</summary>{_table(picture)}</details>"
        for picture in pictures
    )


def _table(picture: Picture) -> str:
    rows = [tuple(map(escape, row)) for row in picture.rows]
    return html_table(picture.head, rows, numeric=range(1, len(picture.head)))


def _points(layers: Sequence[int], values: Iterable[float]) -> Points:
    return [(float(layer), float(value)) for layer, value in zip(layers, values, strict=True)]


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))
