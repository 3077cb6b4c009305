"""Drawings for the report as inline SVG: a line over steps, bars of shares. Colours come from the page's CSS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 640, 220
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 12, 28
MAX_POINTS = 400
MAX_DOTS = 40


Points = Sequence[tuple[float, float]]


def line_chart(
    series: Mapping[str, Points], label: str, *, unit: str = "step", top: float | None = None, least: int = 2
) -> str:
    """One line per name, y over x from zero up (to `top`); a series of fewer than `least` points is left out.

    Empty where there is nothing to draw. `label` names the y axis, `unit` what x counts.
    """
    drawn = {name: _thin(points) for name, points in series.items() if len(points) >= least}
    if not drawn:
        return ""
    everything = [point for points in drawn.values() for point in points]
    x_low = min(x for x, _ in everything)
    x_high = max(*(x for x, _ in everything), x_low + 1e-9)
    y_high = top or max(y for _, y in everything) or 1.0
    lines = "".join(
        _line(points, (x_low, x_high, y_high), index, name)
        for index, (name, points) in enumerate(drawn.items())
    )
    ticks = "".join(_y_tick(y_high * share, y_high) for share in (0, 0.25, 0.5, 0.75, 1))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)} by {escape(unit)}">'
        f'{ticks}{lines}<text x="{LEFT}" y="{HEIGHT - 8}">{escape(unit)} {x_low:g}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{escape(unit)} {x_high:g}</text>'
        f'<text x="{LEFT + 6}" y="{TOP + 10}">{escape(label)}</text></svg>'
    )


def _line(points: Points, scale: tuple[float, float, float], index: int, name: str) -> str:
    """The line, a dot on each point where there are few, and its name at the right with a sample of its dashes."""
    x_low, x_high, y_high = scale
    places = [
        (_scale(x, x_low, x_high, LEFT, WIDTH - RIGHT), _scale(y, 0, y_high, HEIGHT - BOTTOM, TOP))
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


def heat_table(names: Sequence[str], matrix: Sequence[Sequence[float]]) -> str:
    """A square matrix of cosines as a table; the stronger, the more colour. Sign is told by the number."""
    head = "".join(f'<th class="tilt">{escape(name)}</th>' for name in names)
    body = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f'<td class="heat" style="--v:{abs(value):.2f}">{value:.2f}</td>' for value in row)
        + "</tr>"
        for name, row in zip(names, matrix, strict=True)
    )
    return f'<div class="wide"><table><tr><th></th>{head}</tr>{body}</table></div>'


def _scale(value: float, low: float, high: float, to_low: float, to_high: float) -> float:
    return to_low + (value - low) / (high - low) * (to_high - to_low)


def _thin(points: Points) -> Points:
    step = -(-len(points) // MAX_POINTS)
    return [*points[:-1:step], points[-1]]


def _y_tick(value: float, y_high: float) -> str:
    y = _scale(value, 0, y_high, HEIGHT - BOTTOM, TOP)
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2g}</text>'
    )
