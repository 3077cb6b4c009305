"""The fidelity report as one self-contained HTML text. It quotes people, and is for whoever may read their chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from consolidation.charts import number_chart
from consolidation.html_page import html_page, html_table
from simulator.fidelity import BOTH, PROMPT, Fidelity, Judged
from simulator.held_out import Exchange
from simulator.style_distance import UNITS

MAX_EXAMPLES = 12
TITLES = {"base": "base", "prompt": "prompt only", "adapter": "weights only", "adapter_memory": "both"}
_NONE = "<p class='soft'>Not measured: too few replies.</p>"


def render(found: Fidelity, notes: Mapping[str, str]) -> str:
    """`notes` are what is said under the title: what the report was made of."""
    parts = (
        _head(found, notes),
        _likelihood(found),
        _who(found),
        _style(found),
        _lines(found),
        _facts(found),
    )
    return html_page(f"Fidelity of {found.name}", "\n".join((*parts, _examples(found))))


def _head(found: Fidelity, notes: Mapping[str, str]) -> str:
    rows = [(escape(name), escape(text)) for name, text in notes.items()]
    reached = f"{len(found.exchanges)} of {found.n_held_out} held-out replies"
    return (
        f"<h1>How much is the persona like {escape(found.name)}?</h1>"
        f"<p class='soft'>{reached}. No weight has seen them; each stands after what was said before it, and nothing "
        f"later.</p>{html_table(('made of', ''), rows, words=(1,))}"
    )


def _likelihood(found: Fidelity) -> str:
    numbers = {
        TITLES[name]: (one.per_character, *one.interval(found.seed))
        for name, one in found.likelihoods.items()
    }
    told = ""
    if {PROMPT, BOTH} <= found.likelihoods.keys():
        both, prompt = found.likelihoods[BOTH], found.likelihoods[PROMPT]
        low, high = both.reduction_interval(prompt, found.seed)
        told = (
            f"<p>Weights and memory together save {both.reduction(prompt):.1%} of the prompt's bits "
            f"(95 % of bootstrap samples: {low:.1%} to {high:.1%}).</p>"
        )
    return (
        "<h2>Their real next messages</h2><p class='soft'>Bits per character; fewer is better. The red line is the "
        f"middle 95 % of bootstrap samples of replies.</p>{number_chart(numbers, 'bits per character')}{told}"
    )


def _judged(found: Fidelity) -> dict[str, Judged]:
    return {"really said": found.real, **{TITLES[name]: one for name, one in found.made.items()}}


def _who(found: Fidelity) -> str:
    shares = {name: one.recognised for name, one in _judged(found).items() if one.recognised is not None}
    if not shares:
        return ""
    rows = [(escape(name), f"{share:.2f}") for name, share in shares.items()]
    return (
        "<h2>Who said it?</h2><p class='soft'>Share of replies that a judge of letters puts down to them. It learnt from "
        f"real replies of before and saw none of these.</p>{html_table(('replies', 'share'), rows, numeric=(1,))}"
    )


def _style(found: Fidelity) -> str:
    tables = {TITLES[name]: {one.name: one for one in judged.style} for name, judged in found.made.items()}
    made = list(tables)
    if not made or not tables[made[0]]:
        return f"<h2>Style</h2>{_NONE}"
    rows = []
    for side, unit in UNITS.items():
        bounds = tables[made[0]][side]
        cells = [f"{tables[name][side].value:.3f}" if tables[name] else "–" for name in made]
        rows.append(
            (
                escape(side.replace("_", " ")),
                f"{bounds.floor:.3f}",
                *cells,
                f"{bounds.ceiling:.3f}",
                escape(unit),
            )
        )
    head = ("", "floor", *made, "ceiling", "unit")
    return (
        "<h2>Style</h2><p class='soft'>Distance of made replies to the real ones. The floor is what two halves of "
        "their own real replies differ by, the ceiling what they and their partners do; near the floor is theirs, near the "
        f"ceiling somebody else's.</p>{html_table(head, rows, numeric=range(1, len(head) - 1))}"
    )


def _lines(found: Fidelity) -> str:
    judged = _judged(found)
    lines = list(found.real.adherence.kept)
    unmeasured = "".join(f"<li>{escape(line)}</li>" for line in found.real.adherence.unmeasured)
    rest = (
        f"<details><summary>{len(found.real.adherence.unmeasured)} lines that no count settles</summary>"
        f"<ul>{unmeasured}</ul></details>"
        if unmeasured
        else ""
    )
    if not lines:
        return f"<h2>Constitution</h2>{_NONE}{rest}"
    rows = [
        (escape(line), *(_mark(one.adherence.kept.get(line)) for one in judged.values())) for line in lines
    ]
    return (
        "<h2>Constitution</h2><p class='soft'>Lines on how they write and what they do in words: does measurement find "
        f"them in the replies?</p>{html_table(('line', *judged), rows, words=(0,))}{rest}"
    )


def _mark(is_kept: bool | None) -> str:
    if is_kept is None:
        return "–"
    return '<span class="good">kept</span>' if is_kept else '<span class="bad">not shown</span>'


def _facts(found: Fidelity) -> str:
    counted = {name: one.agreement for name, one in _judged(found).items() if one.agreement is not None}
    if not counted:
        return ""
    rows = [
        (escape(name), f"{one.agrees}", f"{one.contradicts}", f"{one.new}", f"{one.replies}")
        for name, one in counted.items()
    ]
    head = ("replies", "agree", "contradict", "new", "of")
    return (
        "<h2>Facts</h2><p class='soft'>Facts that the replies state, beside what the person could know then. New is what "
        f"nobody had told: real people tell it too.</p>{html_table(head, rows, numeric=range(1, 5))}"
    )


def _examples(found: Fidelity) -> str:
    made = list(found.made)
    rows = [_example(found, place, made) for place in range(min(MAX_EXAMPLES, len(found.exchanges)))]
    head = ("after", "really said", *(TITLES[name] for name in made))
    return (
        "<h2>Replies</h2><details><summary>The first of the replies, beside what was really said</summary>"
        f"{html_table(head, rows, words=range(len(head)))}</details>"
    )


def _example(found: Fidelity, place: int, made: Sequence[str]) -> tuple[str, ...]:
    exchange = found.exchanges[place]
    replies = (escape("\n".join(found.made[name].replies[place])) for name in made)
    return escape(_last_heard(exchange)), escape("\n".join(exchange.lines)), *replies


def _last_heard(exchange: Exchange) -> str:
    heard = [turn for turn in exchange.before if turn.speaker != exchange.person]
    return f"{heard[-1].speaker}: {heard[-1].text}" if heard else "(they began)"


def summary(found: Fidelity) -> list[tuple[Any, ...]]:
    """A row for each condition, as a table for people: name, bits per character, said by them, constitution, style,
    facts (the share that agrees, of those of which something is known)."""
    rows: list[tuple[Any, ...]] = []
    for name, judged in [("", found.real), *found.made.items()]:
        bits = found.likelihoods[name].per_character if name else None
        style = _mean_relative(judged) if name else 0.0
        share = judged.adherence.share
        facts = judged.agreement.consistent if judged.agreement else None
        rows.append(
            (
                TITLES.get(name, "really said"),
                *(
                    "" if one is None else f"{one:.3f}"
                    for one in (bits, judged.recognised, share, style, facts)
                ),
            )
        )
    return rows


def _mean_relative(judged: Judged) -> float | None:
    """Mean over the sides of style that two people differ in: 0 at the floor, 1 at the ceiling."""
    known = [one.relative for one in judged.style if one.relative is not None]
    return sum(known) / len(known) if known else None
