"""A recipe's vectors as a picture: heat maps of cosines and sign conflicts, and the strongest pairs block by block.

The same drawings stand in a night's page and in a file of their own, SVG or HTML.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from consolidation.charts import Points, bar_chart, heat_map, line_chart, svg_file
from consolidation.html_page import html_page, html_table
from consolidation.interference import Interference, Pairs, of_recipe
from consolidation.recipe import Recipe
from consolidation.stage import Progress, no_progress
from consolidation.vector_exam import RECALL, Effect, Examined

SVG, HTML = ".svg", ".html"
MOST_SHOWN = 10  # of the newest vectors, on a night's page
_PAIRS = 5  # drawn block by block
_LEAST_REACH = 0.1  # cosines are in full colour from here on, where none is larger
_ROOM = 1.7  # of a chart's height over that of its highest line
_CHANCE = 0.5  # of a sign conflict

Drawings = list[tuple[str, str]]  # title, SVG


@dataclass(frozen=True, slots=True)
class Seen:
    """`names`: of each vector, its number first. `n_older`: vectors of the recipe that were left aside."""

    names: tuple[str, ...]
    found: Interference
    n_older: int = 0


def compared(home: Path, recipe: Recipe, most: int | None = None, progress: Progress = no_progress) -> Seen:
    """The newest `most` of a recipe's vectors, compared. Raises what `of_recipe` does."""
    n_older = max(0, len(recipe.entries) - most) if most else 0
    shown = replace(recipe, entries=recipe.entries[n_older:])
    names = [
        f"{n_older + place} · {entry.label}" + (f", {entry.run_id[:8]}" if entry.run_id else "")
        for place, entry in enumerate(shown.entries, 1)
    ]
    return Seen(tuple(names), of_recipe(home, shown, progress), n_older)


def drawings(seen: Seen) -> Drawings:
    """Nothing for fewer than two vectors."""
    found = seen.found
    if found.n < 2:
        return []
    places = range(found.n)
    cosines = [[found.whole.cosine(one, other) for other in places] for one in places]
    conflicts = [
        [found.whole.conflicts(one, other) if one != other else None for other in places] for one in places
    ]
    off_diagonal = [abs(cosines[one][other] or 0.0) for one, other in found.pairs()]
    heads = [name.split()[0] for name in seen.names]
    kept = f"{found.density:.0%}".replace("%", " %")
    drawn = [
        ("Cosines", heat_map(seen.names, cosines, heads=heads, reach=max(_LEAST_REACH, *off_diagonal))),
        (
            f"Sign conflicts among the largest {kept} of the numbers; 0.50 is chance",
            heat_map(seen.names, conflicts, heads=heads, middle=_CHANCE, reach=-_CHANCE),
        ),
        ("Cosines by block, the strongest pairs", _by_block(seen, "cosine", Pairs.cosine, _LEAST_REACH)),
        ("Sign conflicts by block, the same pairs", _by_block(seen, "share", Pairs.conflicts, 1.0)),
    ]
    return [(title, drawing) for title, drawing in drawn if drawing]


def _by_block(
    seen: Seen, label: str, number: Callable[[Pairs, int, int], float | None], least_top: float
) -> str:
    """Lines of the strongest pairs, with room above them for their names."""
    lines: dict[str, Points] = {}
    for one, other in seen.found.pairs()[:_PAIRS]:
        points = [
            (float(block), value)
            for block, pairs in seen.found.blocks.items()
            if (value := number(pairs, one, other)) is not None
        ]
        first, second = (seen.names[place].split()[0] for place in (one, other))
        lines[f"{first} and {second}"] = points
    values = [value for points in lines.values() for _, value in points] or [0.0]
    return line_chart(
        lines,
        label,
        unit="block",
        top=max(least_top, _ROOM * max(values)),
        bottom=min(0.0, *values),
        least=1,
    )


def section(seen: Seen) -> str:
    """HTML, for a page; empty for fewer than two vectors."""
    drawn = drawings(seen)
    older = f" The {seen.n_older} older vectors are left aside." if seen.n_older else ""
    note = (
        "<p class='soft'>Every two vectors of the recipe, with their coefficients. A cosine near 0: they change the model in "
        f"ways of their own; below 0: one takes back what the other adds.{older}</p>"
    )
    return f"<h2>Vectors</h2>{note}{_headed(drawn)}" if drawn else ""


def picture(seen: Seen, exams: Sequence[Examined], title: str, suffix: str) -> str:
    """The text of a file that needs nothing beside it; `exams` of the vectors, empty without an exam. `suffix`: .svg or .html."""
    examined = list(zip(seen.names, exams, strict=True)) if exams else []
    effects = _effects(examined)
    if suffix == SVG:
        return svg_file([*effects, *drawings(seen)])
    body = f"<h1>{escape(title)}</h1>{_table(examined)}{_headed(effects)}{section(seen)}"
    return html_page(title, body)


def _headed(drawn: Drawings) -> str:
    return "".join(f"<h3>{escape(title)}</h3><div class='wide'>{drawing}</div>" for title, drawing in drawn)


def _effects(examined: Sequence[tuple[str, Examined]]) -> Drawings:
    """Shares of a night's questions answered with its vector alone, with all and without it, beside the plain base."""
    shares: dict[str, float] = {}
    for name, one in examined:
        if one.effect is not None and one.effect.measure == RECALL:
            number, found = name.split()[0], one.effect.numbers
            shares |= {
                f"{number} base": found.base,
                f"{number} alone": found.alone,
                f"{number} with all": found.together,
                f"{number} without it": found.without,
            }
    return [("Wordings of its own night, answered rightly", bar_chart(shares))] if shares else []


def _table(examined: Sequence[tuple[str, Examined]]) -> str:
    rows = []
    for name, one in examined:
        gate = (
            f'<span class="bad">{escape(one.failed)}</span>'
            if one.failed
            else '<span class="good">kept</span>'
        )
        drift = (_number(one.drift.ppl_change), _number(one.drift.kl_to_base))
        rows.append((escape(name), *_four(one.effect), *_four(one.others), *drift, gate))
    four = ("base", "alone", "with all", "without it")
    head = ("vector", "for", *four, "other nights", *four, "perplexity", "divergence", "gate")
    numeric = (*range(2, 6), *range(7, 13))
    return f"<h2>By itself</h2>{html_table(head, rows, numeric=numeric)}" if rows else ""


def _four(effect: Effect | None) -> tuple[str, ...]:
    if effect is None:
        return ("",) * 5
    found = effect.numbers
    numbers = map(_number, (found.base, found.alone, found.together, found.without))
    return (f"{escape(effect.measure.replace('_', ' '))} of {effect.n}", *numbers)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
