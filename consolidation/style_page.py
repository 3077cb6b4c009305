"""What a night did for how people write, as a part of its page: who, what it cost and gave, the loss, and fixed samples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from consolidation.charts import Points, line_chart
from consolidation.html_page import html_table
from consolidation.style import Standing

NOTE = (
    "Measured on the newest messages before they were trained on; samples are drawn from fixed openings with fixed seeds, "
    "at what served before the night, without the style and with it."
)


@dataclass(frozen=True, slots=True)
class StyleLine:
    """One person: what `style_night.train_due` gave, by whom it is, the losses by step, and the samples."""

    name: str
    told: Mapping[str, Any]
    loss: Mapping[str, Points] = field(default_factory=dict)
    samples: Sequence[Mapping[str, Any]] = ()


def read_samples(path: Path) -> list[dict[str, Any]]:
    """Those of a training's folder; none where the file is gone."""
    try:
        return [dict(one) for one in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError):
        return []


def section(lines: Sequence[StyleLine]) -> str:
    if not lines:
        return ""
    rows = [(escape(line.name), *_cells(line.told)) for line in lines]
    heads = (
        "person",
        "",
        "messages",
        "windows",
        "steps",
        "nats per token",
        "bits per character",
        "perplexity",
    )
    table = html_table(heads, rows, numeric=range(2, len(heads)), words=(1,))
    drawn = "".join(_trained(line) for line in lines if line.loss or line.samples)
    return f"<h2>Styles</h2>{table}<p class='soft'>{NOTE}</p>{drawn}"


def _cells(told: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = f"{told['n_messages']:,}"
    if "effect" not in told:
        return escape(says(told)), numbers, "", "", "", "", ""
    before, after = told["effect"]["before"], told["effect"]["after"]
    (change,) = (check["value"] for check in told["effect"]["checks"] if check["number"] == "ppl_change")
    return (
        escape(says(told)),
        numbers,
        f"{told['n_windows']:,}",
        f"{told['steps']:,}",
        f"{before['nats_per_token']:.3f} → {after['nats_per_token']:.3f}",
        f"{before['bits_per_char']:.3f} → {after['bits_per_char']:.3f}",
        f"{100 * change:+.1f} %",
    )


def says(told: Mapping[str, Any]) -> str:
    """What became of somebody's style, in words for people."""
    if told["standing"] != Standing.TRAINED:
        why = told.get("why")
        return f"{told['standing']}: {why}" if why else str(told["standing"])
    if not told["serves"]:
        return f"left out: {told['why']}"
    coefficient = told["effect"]["coefficient"]
    words = "trained" if coefficient == 1 else f"trained, at {coefficient:g}"
    again = told.get("refit")
    if again is None:
        return words
    if not again["passed"]:
        return f"{words}; not again on everything: {_failed(again)}"
    return f"{words}, then again on all {again['n_windows']:,} windows"


def _failed(told: Mapping[str, Any]) -> str:
    return ", ".join(check["number"] for check in told["checks"] if not check["passed"])


def _trained(line: StyleLine) -> str:
    drawing = line_chart(line.loss, "loss (nats per token)")
    rows = [
        (escape(" / ".join(one["said"])), _lines(one["without"]), _lines(one["styled"]))
        for one in line.samples
    ]
    table = html_table(("said", "without the style", "with it"), rows, words=(0, 1, 2)) if rows else ""
    chart = f"<p>{drawing}</p>" if drawing else ""
    return f"<h3>{escape(line.name)}</h3>{chart}{table}"


def _lines(text: str) -> str:
    return "<br>".join(escape(line) for line in text.split("\n"))
