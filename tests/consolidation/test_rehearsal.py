"""Claims about which earlier facts are rehearsed."""

from __future__ import annotations

from typing import Any

from consolidation.rehearsal import WEAK, Trace, shares, traces
from db.tables import ExamAnswer, Example


def test_what_was_trained_long_ago_or_seldom_is_likelier_forgotten() -> None:
    assert Trace(1.0, 3).forgetting > Trace(1.0, 1).forgetting > Trace(4.0, 1).forgetting > 0


def test_the_likelier_forgotten_fact_gets_more_texts_and_none_gets_nothing() -> None:
    known = {"old": Trace(0.5, 4), "firm": Trace(12.0, 1), "fresh": Trace(1.0, 1)}
    given = shares(known, known, 12, 8)
    assert given["old"] > given["fresh"] > given["firm"] >= 1
    assert shares(["unheard"], {}, 100, 8) == {"unheard": 8}


def _night(chat: Any, taught: dict[str, str], answered: dict[str, bool]) -> str:
    """A night that trained facts (id -> kind of text) and asked about some."""
    context = chat.context()
    with chat.database.transaction() as session:
        for place, (fact_id, kind) in enumerate(taught.items()):
            session.add(
                Example(
                    id=f"{context.run_id}-t{place}", space_id=chat.space_id, run_id=context.run_id, fact_id=fact_id,
                    split="train", kind=kind, messages=[], accepted=[], meta={"facts": [fact_id]},
                )
            )  # fmt: skip
        session.flush()
        for place, (fact_id, is_right) in enumerate(answered.items()):
            question = f"{context.run_id}-x{place}"
            session.add(
                Example(
                    id=question, space_id=chat.space_id, run_id=context.run_id, fact_id=fact_id,
                    split="exam", kind="recall_paraphrase", messages=[], accepted=[], meta={},
                )
            )  # fmt: skip
            session.flush()
            session.add(
                ExamAnswer(
                    run_id=context.run_id, example_id=question, condition="weights", space_id=chat.space_id,
                    answer="", is_right=is_right,
                )
            )  # fmt: skip
    return str(context.run_id)


def test_strength_grows_with_every_training_and_falls_where_an_exam_found_a_loss(chat: Any) -> None:
    a, b = chat.propose(("Mara", "lives_in", "Lisbon", 0), ("Mara", "job", "baker", 0))
    first = _night(chat, {a: "fact", b: "fact"}, {a: True, b: True})
    second = _night(chat, {a: "replay"}, {b: False})
    found = traces(chat.database, (first, second))
    assert found[a].strength > 1
    assert found[a].gap == 1
    assert (found[b].strength, found[b].gap) == (WEAK, 2)
    assert found[b].forgetting > found[a].forgetting
