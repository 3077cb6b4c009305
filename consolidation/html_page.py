"""One self-contained HTML text: the frame that every page of a night, a sweep or a recipe has, and its tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from consolidation.charts import DARK, LIGHT, STYLE

_TEMPLATE = Path(__file__).with_name("report_template.html")


def html_page(title: str, body: str) -> str:
    """`body` is HTML already; the page loads nothing."""
    light, dark = (
        " ".join(f"--{name}: {colour};" for name, colour in colours.items()) for colours in (LIGHT, DARK)
    )
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title), body=body, colours=light, dark_colours=dark, chart_style=STYLE
    )


def html_table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numeric: Iterable[int] = (),
    words: Iterable[int] = (),
) -> str:
    """Cells are HTML already; columns in `numeric` stand to the right, those in `words` keep their line breaks."""
    kinds = dict.fromkeys(numeric, "n") | dict.fromkeys(words, "words")
    top = "".join(f"<th{_class(kinds, i)}>{escape(text)}</th>" for i, text in enumerate(head))
    body = "".join(
        "<tr>" + "".join(f"<td{_class(kinds, i)}>{cell}</td>" for i, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _class(kinds: dict[int, str], index: int) -> str:
    return f' class="{kinds[index]}"' if index in kinds else ""
