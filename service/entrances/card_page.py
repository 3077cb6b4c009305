"""A person's card as one self-contained page. Every word of a chat is escaped; drawings are inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template

from memory.profile import Profile, sparklines
from memory.relations import Relation
from memory.types import Fact

TEMPLATE = Path(__file__).with_name("card_template.html")
MAX_TIES = 24  # people drawn around the person; a table below holds them all
WIDTH, LEFT, ROW, BASE = 640, 130, 34, 22


def render(card: Profile, *, as_of: datetime | None = None) -> str:
    parts = (
        _head(card, as_of),
        _relations(card),
        _facts(card),
        _emotions(card),
        _constitution(card),
        _messages(card),
    )
    template = Template(TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(title=escape(card.person.name), body="\n".join(filter(None, parts)))


def _head(card: Profile, as_of: datetime | None) -> str:
    said = card.messages
    lines = [f"also called {escape(', '.join(card.person.aliases))}"] if card.person.aliases else []
    if said.n:
        lines.append(f"{said.n} messages, {_day(said.first)} to {_day(said.last)}")
    if card.has_consent is not None:
        lines.append("agreed to be simulated" if card.has_consent else "has not agreed to be simulated")
    if as_of is not None:
        lines.append(f"as of {_day(as_of)}")
    return f'<h1>{escape(card.person.name)}</h1><p class="soft">{" · ".join(lines)}</p>'


def _relations(card: Profile) -> str:
    if not card.relations:
        return ""
    rows = [
        (escape(_plain(edge.predicate)), escape(edge.object.name), _day(edge.valid_from))
        for edge in card.relations
    ]
    return f"<h2>Relations</h2>{star(card.person.name, card.relations)}" + _table(("", "who", "since"), rows)


def star(name: str, edges: Sequence[Relation]) -> str:
    """The person in the middle, everybody they are related to around them; one who is two things stands once."""
    ties: dict[str, tuple[str, list[str]]] = {}
    for edge in edges:
        ties.setdefault(edge.object.id, (edge.object.name, []))[1].append(_plain(edge.predicate))
    shown = list(ties.values())[:MAX_TIES]
    height = 260 if len(shown) <= 8 else 400
    middle_x, middle_y = WIDTH / 2, height / 2
    lines, dots = [], []
    for at, (other, kinds) in enumerate(shown):
        angle = 2 * math.pi * at / len(shown) - math.pi / 2
        x, y = middle_x + 215 * math.cos(angle), middle_y + (height / 2 - 40) * math.sin(angle)
        lines.append(f'<line class="tie" x1="{middle_x:.0f}" y1="{middle_y:.0f}" x2="{x:.0f}" y2="{y:.0f}"/>')
        dots.append(
            f'<circle class="dot" cx="{x:.0f}" cy="{y:.0f}" r="6"/>'
            + _label(x, y - 11, other, "name")
            + _label(x, y + 20, ", ".join(kinds))
        )
    middle = f'<circle class="self" cx="{middle_x:.0f}" cy="{middle_y:.0f}" r="9"/>'
    body = "".join(lines) + middle + _label(middle_x, middle_y + 24, name, "name") + "".join(dots)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="relations">{body}</svg>'


def _label(x: float, y: float, text: str, kind: str = "") -> str:
    shown = text if len(text) <= 28 else f"{text[:27]}…"
    klass = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle"{klass}>{escape(shown)}</text>'


def _facts(card: Profile) -> str:
    blocks = [_topic(topic, facts) for topic, facts in card.topics.items()]
    if card.contested:
        blocks.append(_topic("contested", card.contested, tone=' class="bad"'))
    return f'<h2>Facts</h2><div class="facts">{"".join(blocks)}</div>' if blocks else ""


def _topic(topic: str, facts: Iterable[Fact], *, tone: str = "") -> str:
    rows = "".join(
        f"<dt>{escape(_plain(fact.predicate))}</dt><dd><span{tone}>{escape(fact.object)}</span> {_since(fact)}</dd>"
        for fact in facts
    )
    return f'<div class="topic"><h3>{escape(topic)}</h3><dl>{rows}</dl></div>'


def _since(fact: Fact) -> str:
    notes = [f"since {_day(fact.valid_from)}"] if fact.valid_from else []
    if fact.status == "contested" and fact.asserted_by:
        notes.append(f"says {escape(fact.asserted_by)}")
    elif fact.status == "candidate":
        notes.append("not decided yet")
    return f"<small>{' · '.join(notes)}</small>" if notes else ""


def _emotions(card: Profile) -> str:
    if not card.months:
        return ""
    note = "Height: the sum of intensities (0-10) over the messages of a month, each row on its own scale."
    return f'<h2>Emotions over time</h2><p class="soft">{note}</p>{bars(card)}'


def bars(card: Profile) -> str:
    """One row of bars for each of the strongest concepts, a bar for each month."""
    lines = sparklines(card.months)
    height = ROW * len(lines) + BASE
    step = (WIDTH - LEFT - 90) / len(lines[0].heights)
    drawn = []
    for row, line in enumerate(lines):
        floor, top = ROW * (row + 1), max(line.heights) or 1.0
        drawn.append(
            f'<text class="name" x="{LEFT - 10}" y="{floor - 6}" text-anchor="end">{escape(line.concept)}</text>'
        )
        drawn.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 90}" y1="{floor}" y2="{floor}"/>')
        for at, value in enumerate(line.heights):
            tall = value / top * (ROW - 8)
            if value:
                drawn.append(
                    f'<rect class="bar" x="{LEFT + at * step:.1f}" y="{floor - tall:.1f}" '
                    f'width="{max(step - 1.5, 0.6):.1f}" height="{tall:.1f}"/>'
                )
        drawn.append(f'<text x="{WIDTH - 82}" y="{floor - 6}">{line.n} · {line.intensity:.1f}</text>')
    ends = ((LEFT, "start", card.months[0].month), (WIDTH - 90, "end", card.months[-1].month))
    drawn += [
        f'<text x="{x}" y="{height - 6}" text-anchor="{anchor}">{month}</text>' for x, anchor, month in ends
    ]
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="emotions by month">{"".join(drawn)}</svg>'


def _constitution(card: Profile) -> str:
    if not card.constitution:
        return ""
    rows = [(escape(item.kind), escape(item.text), str(len(item.evidence))) for item in card.constitution]
    table = _table(("kind", "principle", "messages"), rows, numeric=2)
    return f'<h2>Constitution</h2><p class="soft">Version {card.constitution_version}</p>{table}'


def _messages(card: Profile) -> str:
    if not card.messages.n:
        return ""
    rows = [(escape(name), str(n)) for name, n in card.messages.conversations]
    return "<h2>Messages</h2>" + _table(("conversation", "messages"), rows, numeric=1)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numeric: int = -1) -> str:
    """Cells are HTML already; the column `numeric` stands to the right."""
    top = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = "".join(
        "<tr>" + "".join(_cell(cell, is_number=at == numeric) for at, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _cell(html: str, *, is_number: bool) -> str:
    return f'<td class="n">{html}</td>' if is_number else f"<td>{html}</td>"


def _plain(predicate: str) -> str:
    return predicate.replace("_", " ")


def _day(moment: datetime | None) -> str:
    return moment.date().isoformat() if moment else ""
