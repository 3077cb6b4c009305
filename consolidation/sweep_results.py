"""What the cells of a sweep came to: their order, and one page with a table and pictures. Numbers and names only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from html import escape
from pathlib import Path
from typing import Any

from consolidation.charts import Points, bar_chart, line_chart
from consolidation.grid import SCORE
from consolidation.html_page import html_page, html_table
from consolidation.stage import EXAM_NUMBERS

SCORED = ("recall_paraphrase", "recall_earlier_nights", "neighbour_intact", "unknown_refused")
LOW_IS_GOOD = frozenset(("stale_answered", "ppl_change", "kl_to_base", "seconds", "final_loss"))
MAX_CURVES = 5  # of the best cells, drawn


@dataclass(frozen=True, slots=True)
class CellResult:
    """What one recipe came to. status: done | failed; `exam` holds the numbers of the weights alone."""

    name: str
    settings: dict[str, Any]  # what the file sets, dotted
    status: str
    error: str | None = None
    exam: dict[str, Any] | None = None
    failed_numbers: tuple[str, ...] = ()  # that the gate would have refused
    facts: int = 0
    steps: int = 0
    seconds: float = 0.0  # of training
    tokens_per_s: float = 0.0
    final_loss: float | None = None

    @property
    def is_passed(self) -> bool:
        return self.status == "done" and not self.failed_numbers

    @property
    def score(self) -> float | None:
        """The mean of what should be high, as far as it was measured."""
        found = [value for name in SCORED if (value := self.number(name)) is not None]
        return sum(found) / len(found) if found else None

    def number(self, name: str) -> float | None:
        value = self.score if name == SCORE else getattr(self, name, (self.exam or {}).get(name))
        return float(value) if value is not None and math.isfinite(value) else None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "failed_numbers": list(self.failed_numbers)} | {
            "score": self.score,
            "passed": self.is_passed,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> CellResult:
        known = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        return cls(**{**known, "failed_numbers": tuple(known.get("failed_numbers", ()))})


@dataclass(frozen=True, slots=True)
class SweepReport:
    """Cells in the order of `sort`, the best first; `taken_at` is when the space was copied."""

    sweep_id: str
    sort: str
    taken_at: str
    cells: tuple[CellResult, ...]
    page: Path

    @property
    def criterion(self) -> str:
        """The order in words."""
        if self.sort == SCORE:
            return f"those that pass the gate first, then the mean of {', '.join(SCORED)} as far as measured"
        return f"{self.sort}, the {'lower' if self.sort in LOW_IS_GOOD else 'higher'} the better"

    def as_json(self) -> dict[str, Any]:
        return {
            "sweep": self.sweep_id,
            "sort": self.sort,
            "criterion": self.criterion,
            "taken_at": self.taken_at,
            "cells": [cell.as_json() for cell in self.cells],
            "report": str(self.page),
        }


def in_order(cells: Iterable[CellResult], sort: str) -> list[CellResult]:
    """The best first; cells that failed or lack the number last, in the order of the file."""

    def rank(cell: CellResult) -> tuple[bool, bool, float]:
        value = cell.number(sort) if cell.status == "done" else None
        is_behind = sort == SCORE and not cell.is_passed
        sign = 1.0 if sort in LOW_IS_GOOD else -1.0
        return value is None, is_behind, 0.0 if value is None else sign * value

    return sorted(cells, key=rank)


def render_sweep(report: SweepReport, curves: Mapping[str, Points]) -> str:
    """The page. `curves`: name of a cell -> answer loss by step."""
    best = [cell.name for cell in report.cells if cell.status == "done"][:MAX_CURVES]
    drawn = {name: curves[name] for name in best if name in curves}
    parts = [
        f"<h1>Sweep {escape(report.sweep_id)}</h1>",
        f'<p class="soft">{len(report.cells)} recipes on the same dreams, of the space as it was at '
        f"{escape(report.taken_at)}. Nothing was published. Order: {escape(report.criterion)}.</p>",
        _table(report),
    ]
    for number in (SCORE, "recall_paraphrase", "neighbour_intact", "unknown_refused"):
        shares = {cell.name: v for cell in report.cells if (v := cell.number(number)) is not None}
        if shares:
            parts.append(f"<h2>{escape(number.replace('_', ' '))}</h2>{bar_chart(shares)}")
    if drawing := line_chart(drawn, "loss of answers (nats per token)"):
        parts.append(f"<h2>Training</h2>{drawing}")
    return html_page(f"Sweep {report.sweep_id}", "\n".join(parts))


def _table(report: SweepReport) -> str:
    head = ("recipe", "score", "gate", *(name.replace("_", " ") for name in EXAM_NUMBERS), "steps", "seconds")
    rows = [
        (
            escape(cell.name),
            _number(cell.score),
            _gate(cell),
            *(_number(cell.number(name)) for name in EXAM_NUMBERS),
            f"{cell.steps}",
            f"{cell.seconds:.0f}",
        )
        for cell in report.cells
    ]
    return html_table(head, rows, numeric=(1, *range(3, len(head))), words=(0, 2))


def _gate(cell: CellResult) -> str:
    if cell.status != "done":
        return f'<span class="bad">{escape(cell.error or cell.status)}</span>'
    if cell.is_passed:
        return '<span class="good">passes</span>'
    return f'<span class="bad">{escape(", ".join(cell.failed_numbers))}</span>'


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
