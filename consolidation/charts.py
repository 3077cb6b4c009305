"""Drawings as SVG for pages and for files of their own: lines over steps, bars of shares, heat maps of what stands between
each two. In a page the colours come from its CSS, where they are variables with the names in `LIGHT`; a file has them
written out for light and for dark, since not every reader of SVG knows variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 28
MAX_POINTS = 400
MAX_DOTS = 40
LIGHT = {
    "ink": "#1d2530",
    "soft": "#5b6675",
    "paper": "#fbfbf9",
    "card": "#fff",
    "rule": "#dfe2e6",
    "blue": "#2f6db5",
    "good": "#237a4b",
    "bad": "#b3372f",
}
DARK = {
    "ink": "#e4e8ee",
    "soft": "#98a3b3",
    "paper": "#14181e",
    "card": "#1b2129",
    "rule": "#2f3843",
    "blue": "#6aa7ec",
    "good": "#5cc08a",
    "bad": "#ef8078",
}
STYLE = """\
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
svg .title { fill: var(--ink); font-size: 13px; }
.line { fill: none; stroke: var(--blue); stroke-width: 1.8; }
.line1 { stroke: var(--bad); stroke-dasharray: 5 3; } .line2 { stroke: var(--good); stroke-dasharray: 2 3; }
.line3 { stroke: var(--soft); stroke-dasharray: 8 3 2 3; } .line4 { stroke: var(--ink); stroke-dasharray: 1 2; }
.line5 { stroke: var(--blue); stroke-dasharray: 9 4; }
.dot { fill: var(--card); } .paper { fill: var(--card); }
.bar { fill: var(--blue); } .grid { stroke: var(--rule); } .mark { stroke: var(--bad); stroke-dasharray: 3 3; }
.whisker { stroke-dasharray: none; stroke-width: 2; }
.heat { fill: var(--blue); } .against { fill: var(--bad); } svg .cell { fill: var(--ink); }"""
_VIEW = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_CELL = (44, 24)  # width and height in a heat map
_SHORT_HEAD = 4  # characters that stand over a column as they are

Points = Sequence[tuple[float, float]]


def line_chart(
    series: Mapping[str, Points],
    label: str,
    *,
    unit: str = "step",
    top: float | None = None,
    bottom: float = 0.0,
    least: int = 2,
    ends: tuple[str, str] | None = None,
) -> str:
    """One line per name, y over x from `bottom` up (to `top`); a series of fewer than `least` points is left out.

    Empty where there is nothing to draw. `label` names the y axis, `unit` what x counts; `ends` stand at the first and
    the last x instead of their numbers.
    """
    drawn = {name: _thin(points) for name, points in series.items() if len(points) >= least}
    if not drawn:
        return ""
    everything = [point for points in drawn.values() for point in points]
    x_low = min(x for x, _ in everything)
    x_high = max(*(x for x, _ in everything), x_low + 1e-9)
    y_high = top or max(y for _, y in everything) or 1.0
    lines = "".join(
        _line(points, (x_low, x_high, bottom, y_high), index, name)
        for index, (name, points) in enumerate(drawn.items())
    )
    marked = [y_high * share for share in (0, 0.25, 0.5, 0.75, 1)]
    if bottom < -y_high / 8:  # else it would be written over the zero
        marked.append(bottom)
    ticks = "".join(_y_tick(value, bottom, y_high) for value in marked)
    first, last = ends or (f"{unit} {x_low:g}", f"{unit} {x_high:g}")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)} by {escape(unit)}">'
        f'{ticks}{lines}<text x="{LEFT}" y="{HEIGHT - 8}">{escape(first)}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{escape(last)}</text>'
        f'<text x="{LEFT + 6}" y="{TOP + 10}">{escape(label)}</text></svg>'
    )


def _line(points: Points, scale: tuple[float, float, float, float], index: int, name: str) -> str:
    """The line, a dot on each point where there are few, and its name at the right with a sample of its dashes."""
    x_low, x_high, y_low, y_high = scale
    places = [
        (_scale(x, x_low, x_high, LEFT, WIDTH - RIGHT), _scale(y, y_low, y_high, HEIGHT - BOTTOM, TOP))
        for x, y in points
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(
        f'<circle class="dot line{index}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>'
        for x, y in (places if len(places) <= MAX_DOTS else ())
    )
    y = TOP + 10 + 14 * index
    return (
        f'<polyline class="line line{index}" points="{path}"/>{dots}'
        f'<line class="line line{index}" x1="{WIDTH - 130}" x2="{WIDTH - 106}" y1="{y - 4}" y2="{y - 4}"/>'
        f'<text x="{WIDTH - 100}" y="{y}">{escape(name)}</text>'
    )


def bar_chart(shares: Mapping[str, float], *, mark: float | None = None) -> str:
    """One horizontal bar per name, from 0 to 1; `mark` draws a line at that share (chance, or a limit)."""
    if not shares:
        return ""
    row, left = 22, 150
    height = row * len(shares) + 8
    bars = []
    for index, (name, share) in enumerate(shares.items()):
        y = index * row + 6
        width = _scale(min(1.0, max(0.0, share)), 0, 1, 0, WIDTH - left - 60)
        bars.append(
            f'<text x="{left - 8}" y="{y + 11}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="bar" x="{left}" y="{y}" width="{width:.1f}" height="14" rx="2"/>'
            f'<text x="{left + width + 6:.1f}" y="{y + 11}">{share:.2f}</text>'
        )
    if mark is not None:
        x = _scale(mark, 0, 1, left, WIDTH - 60)
        bars.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="2" y2="{height - 2}"/>')
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img">{"".join(bars)}</svg>'


def number_chart(numbers: Mapping[str, tuple[float, float, float]], unit: str) -> str:
    """One horizontal bar per name, of (value, low, high), the largest high across, its interval as a line over its end."""
    if not numbers:
        return ""
    row, left = 24, 170
    widest = max(high for _, _, high in numbers.values()) or 1.0
    bars = []
    for index, (name, (value, low, high)) in enumerate(numbers.items()):
        y = index * row + 6
        at, first, last = (_scale(x, 0, widest, left, WIDTH - 80) for x in (value, low, high))
        bars.append(
            f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="bar" x="{left}" y="{y}" width="{at - left:.1f}" height="16" rx="2"/>'
            f'<line class="mark whisker" x1="{first:.1f}" x2="{last:.1f}" y1="{y + 8}" y2="{y + 8}"/>'
            f'<text x="{last + 6:.1f}" y="{y + 12}">{value:.3f}</text>'
        )
    height = row * len(numbers) + 8
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(unit)}">{"".join(bars)}</svg>'


def time_chart(seconds: Mapping[str, float]) -> str:
    """One horizontal bar per name, the longest across, with its seconds and share of all; empty without time."""
    total, longest = sum(seconds.values()), max(seconds.values(), default=0.0)
    if not longest:
        return ""
    row, left = 20, 110
    bars = []
    for index, (name, spent) in enumerate(seconds.items()):
        y = index * row + 6
        width = _scale(max(0.0, spent), 0, longest, 0, WIDTH - left - 110)
        bars.append(
            f'<text x="{left - 8}" y="{y + 10}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="bar" x="{left}" y="{y}" width="{width:.1f}" height="12" rx="2"/>'
            f'<text x="{left + width + 6:.1f}" y="{y + 10}">{spent:.1f} s · {spent / total:.0%}</text>'
        )
    height = row * len(seconds) + 8
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="seconds by stage">{"".join(bars)}</svg>'
    )


def heat_map(
    names: Sequence[str],
    matrix: Sequence[Sequence[float | None]],
    *,
    heads: Sequence[str] | None = None,
    middle: float = 0.0,
    reach: float = 1.0,
    label: str = "",
) -> str:
    """A matrix, each number in its field: blue above `middle`, red below, in full colour `reach` away from it.

    A negative `reach` turns the colours round; None leaves a field empty. `heads` name the columns, where they are
    others than the rows or shorter. `label` says what it is to whoever cannot see it.
    """
    heads = names if heads is None else heads
    width, height = _CELL
    left = min(360, 16 + 6 * max(map(len, names), default=0))
    longest = max(map(len, heads), default=0)
    is_upright = longest <= _SHORT_HEAD
    top = 20 if is_upright else min(150, 12 + 6 * longest)
    parts = [_head(left + place * width, top - 6, head, is_upright) for place, head in enumerate(heads)]
    for row, (name, values) in enumerate(zip(names, matrix, strict=True)):
        y = top + row * height
        parts.append(f'<text x="{left - 8}" y="{y + 16}" text-anchor="end">{escape(name)}</text>')
        parts += [
            _field(left + column * width, y, value, (value - middle) / reach)
            for column, value in enumerate(values)
            if value is not None
        ]
    size = (left + len(heads) * width + RIGHT, top + len(names) * height + 8)
    named = f' aria-label="{escape(label)}"' if label else ""
    return (
        f'<svg viewBox="0 0 {size[0]} {size[1]}" role="img"{named} style="width:{size[0]}px;max-width:none">'
        f"{''.join(parts)}</svg>"
    )


def _head(x: float, y: float, text: str, is_upright: bool) -> str:
    """The name of the column that begins at x, at the right of it or upwards from y."""
    if is_upright:
        return f'<text x="{x + _CELL[0] - 6:g}" y="{y:g}" text-anchor="end">{escape(text)}</text>'
    turned = f"translate({x + _CELL[0] / 2 + 4:g} {y:g}) rotate(-90)"
    return f'<text transform="{turned}">{escape(text)}</text>'


def _field(x: float, y: float, value: float, strength: float) -> str:
    width, height = _CELL
    colour = "heat" if strength >= 0 else "against"
    return (
        f'<rect class="{colour}" x="{x:g}" y="{y:g}" width="{width - 2}" height="{height - 2}" '
        f'fill-opacity="{0.6 * min(1.0, abs(strength)):.2f}"/>'
        f'<text class="cell" x="{x + width - 6:g}" y="{y + 15:g}" text-anchor="end">{round(value, 2) + 0.0:.2f}</text>'
    )


def svg_file(drawings: Sequence[tuple[str, str]]) -> str:
    """Drawings below each other, each under its title, as an SVG that needs nothing beside it, light and dark."""
    parts, y, widest = [], 8.0, float(WIDTH)
    for title, drawing in drawings:
        matched = _VIEW.search(drawing)
        if matched is None:
            raise ValueError(f"{title} is no drawing of this module")
        width, height = float(matched[1]), float(matched[2])
        parts.append(f'<text class="title" x="12" y="{y + 16:g}">{escape(title)}</text>')
        parts.append(f'<svg x="0" y="{y + 24:g}" width="{width:g}" height="{height:g}">{drawing}</svg>')
        y, widest = y + 24 + height + 16, max(widest, width)
    told = "; ".join(escape(title) for title, _ in drawings)
    style = f"{_written_out(LIGHT)}\n@media (prefers-color-scheme: dark) {{\n{_written_out(DARK)}\n}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {widest:g} {y:g}" width="{widest:g}" height="{y:g}" '
        f'role="img" aria-label="{told}"><title>{told}</title><style>{style}</style><rect class="paper" width="{widest:g}" height="{y:g}"/>{"".join(parts)}</svg>\n'
    )


def _written_out(colours: Mapping[str, str]) -> str:
    return re.sub(r"var\(--(\w+)\)", lambda found: colours[found[1]], STYLE)


def _scale(value: float, low: float, high: float, to_low: float, to_high: float) -> float:
    return to_low + (value - low) / (high - low) * (to_high - to_low)


def _thin(points: Points) -> Points:
    step = -(-len(points) // MAX_POINTS)
    return [*points[:-1:step], points[-1]]


def _y_tick(value: float, y_low: float, y_high: float) -> str:
    y = _scale(value, y_low, y_high, HEIGHT - BOTTOM, TOP)
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2g}</text>'
    )
