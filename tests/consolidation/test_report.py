from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from consolidation import check, constitution, decide, publish, report, runs
from consolidation.charts import bar_chart, heat_map, line_chart
from consolidation.page import DecisionLine, ExamLine, NightPage, render
from consolidation.readout_pictures import Picture
from consolidation.recipe_serving import Place
from consolidation.stage import StageResult, no_progress
from db.tables import ExamAnswer, Example
from memory.types import Principle
from tests.made_recipes import make_vector, publish_night

CROSS_TALK = Picture("Cross-talk of joy", heat_map(["joy"], [[1.0]]), ("", "joy"), (("joy", "1.00"),))
PAGE = NightPage(
    run_id="abc",
    space="default",
    started="2026-01-01 12:00 UTC",
    status="done",
    reason=None,
    settings={"seed": 0},
    stages=[("select", 0.1, {"unread": 3})],
    exam={
        "base": {"recall_paraphrase": 0.05, "n": {"recall_paraphrase": 40}},
        "weights": {"recall_paraphrase": 0.75, "ppl_change": None, "n": {"recall_paraphrase": 40}},
    },
    gate=[{"number": "recall_paraphrase", "value": 0.75, "limit": 0.5, "passed": True, "at_least": True}],
    decisions=[DecisionLine("STORE", "Mona · lives in · Bergen", ("supported",), 0.7)],
    questions=[
        ExamLine(
            "paraphrase",
            "Where is Mona's home?",
            ("Bergen",),
            {"base": ("Paris", False), "weights": ("Bergen", True)},
        )
    ],
    backend="peft",
    backend_reason="unsloth: there is <none>",
    loss={"answers": [(1, 3.0), (2, 1.5), (3, 0.4)], "refusals": [(2, 1.0), (3, 0.5)]},
    readout={
        "layers": (14,),
        "auroc": {"joy": 0.81},
        "left_out": {"awe": 3},
        "pictures": [CROSS_TALK],
        "stability": {"joy": 0.97, "fear": 0.91},
        "anew": "a message in them is gone",
    },
    constitutions=[("Mona", [Principle("habit", "greets in the morning", ("e1",))])],
    before={"recall_earlier_nights": 0.65, "n": {"recall_earlier_nights": 60}},
)


class Balanced(HTMLParser):
    """Fails where tags do not close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_shows_every_part_and_is_well_formed() -> None:
    html = render(PAGE)
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    for words in (
        "Bergen",
        "0.750",
        "/ 40",
        "passed",
        "<polyline",
        "Trained by the back-end peft (unsloth: there is &lt;none&gt;).",
        "joy",
        "awe (3)",
        "not gone on with: a message in them is gone",
        "0.940 on the mean; least: fear 0.91, joy 0.97",
        "Cross-talk of joy",
        "greets in the morning",
        "served before it answered 0.650 <small>/ 60</small>",
        "dark",
    ):
        assert words in html


def test_the_page_asks_nothing_of_the_outside() -> None:
    html = render(PAGE)
    assert not re.search(r"(?:src|href)\s*=|url\(|@import|https?://", html)


@pytest.mark.parametrize(
    "page",
    [
        replace(PAGE, questions=[replace(PAGE.questions[0], question="<script>x</script>")]),
        replace(PAGE, decisions=[DecisionLine("STORE", "<script>x</script>", ("<script>x</script>",), None)]),
        replace(PAGE, constitutions=[("<script>x</script>", [Principle("habit", "<script>x</script>", ())])]),
        replace(PAGE, reason="<script>x</script>"),
    ],
)
def test_the_words_of_a_chat_are_never_markup(page: NightPage) -> None:
    assert "<script>" not in render(page)


def test_an_empty_night_has_a_page_too() -> None:
    html = render(NightPage("a", "s", "t", "done", "nothing to train", {}, [], {}))
    assert "nothing to train" in html


def test_charts_draw_nothing_out_of_nothing_and_stay_inside() -> None:
    assert line_chart({}, "loss") == line_chart({"a": [(1, 2)]}, "loss") == ""
    assert line_chart({"a": [(1, 0.0), (2, 0.0)]}, "loss")
    widths = re.findall(r'width="([\d.]+)"', bar_chart({"a": 1.7, "b": -3.0}))
    assert [float(width) for width in widths] == [430.0, 0.0]


def test_metrics_that_a_kill_cut_short_are_still_drawn(chat: Any) -> None:
    rows = [
        json.dumps({"step": step, "loss_answer": 1 / step, "lr": 0.1, "norm": 1.0}) for step in (1, 2, 2, 3)
    ]
    (chat.home / "metrics.jsonl").write_text("\n".join([*rows, '{"step": 4, "lo']), encoding="utf-8")
    assert report.curves_of(chat.home) == {
        "loss_answer": [(1, 1.0), (2, 0.5), (3, 1 / 3)],
        "lr": [(1, 0.1), (2, 0.1), (3, 0.1)],
    }


def test_a_refused_night_is_reported_with_its_number_and_its_answers(chat: Any) -> None:
    numbers = {"recall_paraphrase": 0.1, "ppl_change": 0.0, "kl_to_base": 0.0, "n": {"recall_paraphrase": 1}}
    outputs = {"dream": {"n_train": 1}, "exam": {"exam": {"weights": numbers}}}
    context = chat.context(outputs=outputs)
    (fact_id,) = chat.propose(("Mona Berg", "lives_in", "Bergen", 0))
    for stage in (check, decide, constitution, publish):
        name = stage.__name__.rpartition(".")[2]
        record(context, name, stage.run(context, no_progress))
    record(context, "exam", StageResult(output=outputs["exam"]))
    answer(context, fact_id)
    result = report.run(context, no_progress)
    assert report.run(context, no_progress).output == result.output
    html = (chat.home / result.output["report"]).read_text(encoding="utf-8")
    for words in (
        "refused",
        "recall_paraphrase 0.100 is under 0.300",
        "Where does Mona live?",
        "Mona Berg · lives in · Bergen",
    ):
        assert words in html


def test_a_recipe_of_two_vectors_is_drawn_until_one_of_them_is_erased(place: Place) -> None:
    for number in (1, 2):
        publish_night(place, make_vector("b" * 64, number), f"aaaa{number}")

    def page(run_id: str) -> str:
        return render(report.gather(report.Night(place.database, place.space_id, place.home, run_id)))

    assert "<h2>Vectors</h2>" not in page("aaaa1")
    drawn = page("aaaa2")
    assert "<h2>Vectors</h2>" in drawn
    assert "2 · 3 facts, aaaa2" in drawn
    shutil.rmtree(place.home / "adapters")
    assert "<h2>Vectors</h2>" not in page("aaaa2")


def record(context: Any, stage: str, result: StageResult) -> None:
    runs.begin_stage(context.database, context.space_id, context.run_id, stage, "h", clock=context.clock)
    runs.end_stage(context.database, context.run_id, stage, result, 0.1)


def answer(context: Any, fact_id: str) -> None:
    with context.database.transaction() as session:
        example = Example(
            space_id=context.space_id,
            run_id=context.run_id,
            fact_id=fact_id,
            split="exam",
            kind="paraphrase",
            messages=[{"role": "user", "content": "Where does Mona live?"}],
            accepted=["Bergen"],
            meta={},
        )
        session.add(example)
        session.flush()
        session.add(
            ExamAnswer(
                run_id=context.run_id,
                example_id=example.id,
                condition="weights",
                space_id=context.space_id,
                answer="In Oslo.",
                is_right=False,
            )
        )
