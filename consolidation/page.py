"""The page of one night: what was gathered, as one self-contained HTML text. Every word of a chat is escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from consolidation.charts import Points, bar_chart, line_chart, time_chart
from consolidation.html_page import html_page, html_table
from consolidation.readout_pictures import section as picture_section
from consolidation.stage import EXAM_NUMBERS
from consolidation.style_page import StyleLine
from consolidation.style_page import section as style_section
from consolidation.vectors_picture import Seen, section
from memory.types import Principle

CONDITIONS = ("base", "retrieval", "weights", "both")
MAX_DECISIONS = 400
MAX_EXAMPLES = 8


@dataclass(frozen=True, slots=True)
class DecisionLine:
    kind: str
    statement: str
    reasons: tuple[str, ...]
    salience: float | None


@dataclass(frozen=True, slots=True)
class ExamLine:
    """One question of the exam and what each condition answered: condition -> (answer, whether it is right)."""

    kind: str
    question: str
    accepted: tuple[str, ...]
    answers: dict[str, tuple[str, bool]]


@dataclass(frozen=True, slots=True)
class NightPage:
    """All that the page shows."""

    run_id: str
    space: str
    started: str
    status: str
    reason: str | None
    settings: dict[str, Any]
    stages: Sequence[tuple[str, float, dict[str, float]]]  # name, seconds, counts
    exam: dict[str, dict[str, Any]]
    gate: Sequence[dict[str, Any]] = ()
    n_too_long: int = 0  # stored facts that no training text can hold
    prompts: Mapping[str, Any] = field(default_factory=dict)  # as consolidation.prompts.Economy
    decisions: Sequence[DecisionLine] = ()
    questions: Sequence[ExamLine] = ()
    loss: Mapping[str, Points] = field(default_factory=dict)  # kind of text -> loss by step
    rate: Points = ()  # the learning rate by step
    learnt: Points = ()  # the share of the texts that count as learnt, by step
    backend: str | None = None  # that trained, and why it did
    backend_reason: str | None = None
    styles: Sequence[StyleLine] = ()  # of everybody who agreed to be simulated
    nights: Mapping[str, Points] = field(
        default_factory=dict
    )  # number of the exam -> share by published night
    vectors: Seen | None = None  # of the night's recipe, the newest compared with each other
    readout: dict[str, Any] = field(
        default_factory=dict
    )  # auroc, layers, left_out, pictures, stability, anew
    constitutions: Sequence[tuple[str, Sequence[Principle]]] = ()
    before: Mapping[str, Any] = field(default_factory=dict)  # what served, asked the exam's earlier questions


def render(page: NightPage) -> str:
    parts = (
        _head,
        _facts,
        _gate,
        _exam,
        _prompts,
        _nights,
        _questions,
        _training,
        _styles,
        _vectors,
        _decisions,
        _readout,
        _constitutions,
        _stages,
    )
    body = "\n".join(part(page) for part in parts)
    return html_page(f"Night {page.run_id}", body)


def _head(page: NightPage) -> str:
    tone = "good" if page.status == "done" else "bad"
    reason = f"<p>{escape(page.reason)}</p>" if page.reason else ""
    return (
        f"<h1>Night {escape(page.run_id)}</h1>"
        f'<p class="soft">{escape(page.space)} · {escape(page.started)}</p>'
        f'<p><strong class="{tone}">{escape(page.status)}</strong></p>{reason}'
    )


def _facts(page: NightPage) -> str:
    """How many facts were trained, and which were not and why."""
    dreamt = next((counts for name, _, counts in page.stages if name == "dream"), None)
    if dreamt is None:
        return ""
    told = [f"{dreamt.get('facts', 0):,.0f} trained tonight"]
    if n_waiting := dreamt.get("waiting", 0):
        told.append(f"{n_waiting:,.0f} left for the nights to come, the most salient first")
    if page.n_too_long:
        told.append(f"{page.n_too_long:,} too long for a training text, in the graph alone")
    return f"<p>Facts: {'; '.join(told)}.</p>"


def _gate(page: NightPage) -> str:
    if not page.gate:
        return ""
    rows = [
        (
            escape(check["number"]),
            _number(check["value"]),
            ("at least " if check["at_least"] else "at most ") + _number(check["limit"]),
            '<span class="good">passed</span>' if check["passed"] else '<span class="bad">failed</span>',
        )
        for check in page.gate
    ]
    return "<h2>Gate</h2>" + html_table(("number", "value", "limit", ""), rows, numeric=(1, 2))


def _exam(page: NightPage) -> str:
    if not page.exam:
        return "<h2>Exam</h2><p class='soft'>No exam: the night trained nothing.</p>"
    shown = [name for name in CONDITIONS if name in page.exam] or list(page.exam)
    rows = []
    for number in EXAM_NUMBERS:
        cells = [_cell(page.exam[name], number) for name in shown]
        rows.append((escape(number.replace("_", " ")), *cells))
    note = "<p class='soft'>The count each number was taken over stands beside it.</p>" + _before(page.before)
    return "<h2>Exam</h2>" + html_table(("", *shown), rows, numeric=range(1, len(shown) + 1)) + note


def _before(numbers: Mapping[str, Any]) -> str:
    """What the night began with, of its own questions about earlier nights."""
    if numbers.get("recall_earlier_nights") is None:
        return ""
    share = _cell(numbers, "recall_earlier_nights")
    return (
        f"<p>Of the questions about earlier nights, the vectors that served before it answered {share}.</p>"
    )


def _cell(numbers: Mapping[str, Any], number: str) -> str:
    count = (numbers.get("n") or {}).get(number)
    tail = f" <small>/ {count:g}</small>" if count else ""
    return _number(numbers.get(number)) + tail


def _questions(page: NightPage) -> str:
    judged = [line for line in page.questions if "weights" in line.answers]
    right = [line for line in judged if line.answers["weights"][1]]
    wrong = [line for line in judged if not line.answers["weights"][1]]
    if not judged:
        return ""
    return (
        "<h2>Questions</h2>"
        + f"<h3>Right from the weights alone ({len(right)})</h3>{_asked(right)}"
        + f"<h3>Wrong from the weights alone ({len(wrong)})</h3>{_asked(wrong)}"
    )


def _asked(lines: Sequence[ExamLine]) -> str:
    if not lines:
        return "<p class='soft'>None.</p>"
    shown = [name for name in CONDITIONS if name in lines[0].answers]
    rows = []
    for line in lines[:: -(-len(lines) // MAX_EXAMPLES)]:
        answers = (line.answers.get(name, ("", False)) for name in shown)
        cells = [
            f'<span class="{"good" if right else "bad"}">{escape(text)}</span>' for text, right in answers
        ]
        rows.append((escape(line.kind), escape(line.question), escape(" | ".join(line.accepted)), *cells))
    return html_table(("kind", "question", "accepted", *shown), rows, words=range(1, 3 + len(shown)))


def _prompts(page: NightPage) -> str:
    """What prompts cost with every fact that is found, and without those that the weights have mastered."""
    if not page.prompts.get("tokens"):
        return ""
    every, spared, n = (page.prompts[name] for name in ("tokens", "tokens_spared", "questions"))
    used = (
        "left out of prompts" if page.prompts["trusted"] else "still in prompts; memory.trust_weights is off"
    )
    rows = [
        ("with every fact that is found", f"{every}", f"{every / n:.0f}"),
        ("without those that are mastered", f"{spared}", f"{spared / n:.0f}"),
        ("saved", f"{every - spared} ({1 - spared / every:.0%})", f"{(every - spared) / n:.0f}"),
    ]
    note = f"<p class='soft'>Mastered by the weights: {page.prompts['mastered']} facts, {used}.</p>"
    table = html_table((f"prompts of {n} questions", "tokens", "each"), rows, numeric=(1, 2))
    return f"<h2>Prompts</h2>{table}{note}"


def _nights(page: NightPage) -> str:
    drawing = line_chart(page.nights, "share", unit="night", top=1.0, least=1)
    note = "<p class='soft'>From the weights alone, over the nights that were published, this one last.</p>"
    return f"<h2>Exams so far</h2>{drawing}{note}" if drawing else ""


def _training(page: NightPage) -> str:
    drawings = (
        line_chart(page.loss, "loss (nats per token)"),
        line_chart({"learnt": page.learnt}, "share of the texts learnt", top=1.0),
        line_chart({"rate": page.rate}, "learning rate"),
    )
    shown = "".join(f"<p>{drawing}</p>" for drawing in drawings if drawing)
    if page.backend is not None:
        why = f" ({escape(page.backend_reason)})" if page.backend_reason else ""
        shown = f"<p class='soft'>Trained by the back-end {escape(page.backend)}{why}.</p>{shown}"
    return f"<h2>Training</h2>{shown}" if shown else ""


def _styles(page: NightPage) -> str:
    return style_section(page.styles)


def _vectors(page: NightPage) -> str:
    return section(page.vectors) if page.vectors else ""


def _decisions(page: NightPage) -> str:
    if not page.decisions:
        return "<h2>Decisions</h2><p class='soft'>Nothing new to decide.</p>"
    blocks = []
    for kind in ("STORE", "MERGE", "CORRECT", "REJECT", "QUARANTINE"):
        lines = [line for line in page.decisions if line.kind == kind]
        if not lines:
            continue
        rows = [
            (escape(line.statement), escape("; ".join(line.reasons)), _number(line.salience))
            for line in lines[:MAX_DECISIONS]
        ]
        more = len(lines) - len(rows)
        rest = f"<p class='soft'>and {more} more in the ledger</p>" if more > 0 else ""
        table = html_table(("fact", "reasons", "salience"), rows, numeric=(2,), words=(0, 1))
        is_open = " open" if kind == "CORRECT" else ""
        blocks.append(f"<details{is_open}><summary>{kind} · {len(lines)}</summary>{table}{rest}</details>")
    return "<h2>Decisions</h2>" + "".join(blocks)


def _readout(page: NightPage) -> str:
    readout = page.readout
    if not readout:
        return "<h2>Readouts</h2><p class='soft'>No emotion has enough examples yet.</p>"
    layers = ", ".join(str(layer) for layer in readout["layers"])
    left_out = ", ".join(f"{escape(name)} ({count:g})" for name, count in readout["left_out"].items())
    note = f"<p class='soft'>Left out, too few examples: {left_out}</p>" if left_out else ""
    return (
        f"<h2>Readouts</h2><p class='soft'>Held-out AUROC per emotion, mean over layers {layers}; "
        f"the dashed line is chance.</p>{bar_chart(readout['auroc'], mark=0.5)}{note}{_turned(readout)}"
        f"<details><summary>Layers and cross-talk</summary>{picture_section(readout['pictures'])}</details>"
    )


def _turned(readout: Mapping[str, Any]) -> str:
    """How far the directions are from those that served before, the furthest first, and why they were made anew."""
    cosines = sorted(readout.get("stability", {}).items(), key=lambda item: item[1])
    anew = readout.get("anew")
    told = [f"The sums of earlier nights were not gone on with: {escape(anew)}."] if anew else []
    if cosines:
        named = ", ".join(f"{escape(concept)} {value:.2f}" for concept, value in cosines[:5])
        mean = sum(value for _, value in cosines) / len(cosines)
        told.append(
            f"Cosines with the directions that served before: {mean:.3f} on the mean; least: {named}."
        )
    return f"<p class='soft'>{' '.join(told)}</p>" if told else ""


def _constitutions(page: NightPage) -> str:
    blocks = []
    for person, principles in page.constitutions:
        rows = [(escape(item.kind), escape(item.text), str(len(item.evidence))) for item in principles]
        table = html_table(("kind", "principle", "messages"), rows, numeric=(2,), words=(1,))
        blocks.append(f"<h3>{escape(person)}</h3>{table}")
    return "<h2>Constitutions</h2>" + "".join(blocks) if blocks else ""


def _stages(page: NightPage) -> str:
    rows = [
        (
            escape(name),
            f"{seconds:.1f}",
            escape(", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in counts.items())),
        )
        for name, seconds, counts in page.stages
    ]
    settings = escape(json.dumps(page.settings, indent=1, sort_keys=True))
    return (
        "<h2>Stages</h2>"
        + time_chart({name: seconds for name, seconds, _ in page.stages})
        + html_table(("stage", "seconds", "counts"), rows, numeric=(1,))
        + f"<details><summary>Settings</summary><pre>{settings}</pre></details>"
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
