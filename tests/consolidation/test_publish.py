from __future__ import annotations

from typing import Any

import pytest

from consolidation import publish, runs
from consolidation.errors import NothingPublished, UnknownRun
from consolidation.publish import cut_short, hold_against, roll_back
from consolidation.stage import Gate, StageResult, no_progress
from memory.artifacts import pointer, record_artifact
from memory.ledger import entries, verify

GOOD = {"recall_paraphrase": 0.8, "ppl_change": 0.01, "kl_to_base": 0.05, "recall_earlier_nights": None}


def failed(numbers: dict[str, Any], earlier: float | None = None) -> list[str]:
    return [check.number for check in hold_against(Gate(), numbers, earlier) if not check.is_passed]


def test_good_numbers_pass() -> None:
    assert failed(GOOD) == []


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("recall_paraphrase", 0.29),
        ("recall_paraphrase", None),
        ("ppl_change", 0.051),
        ("ppl_change", float("nan")),
        ("kl_to_base", float("inf")),
        ("kl_to_base", "0.1"),
    ],
)
def test_one_bad_or_missing_number_fails_by_name(number: str, value: Any) -> None:
    assert failed(GOOD | {number: value}) == [number]


@pytest.mark.parametrize(("now", "fails"), [(0.65, False), (0.55, True), (None, True)])
def test_forgetting_the_nights_before_fails(now: float | None, fails: bool) -> None:
    assert failed(GOOD | {"recall_earlier_nights": now}, 0.7) == (["recall_earlier_nights"] if fails else [])


@pytest.mark.parametrize(
    ("number", "kept", "broken"),
    [("neighbour_intact", 0.5, 0.49), ("unknown_refused", 0.5, 0.0), ("stale_answered", 0.25, 0.3)],
)
def test_what_the_night_did_not_teach_is_held_where_enough_was_asked(
    number: str, kept: float, broken: float
) -> None:
    assert failed(GOOD | {number: kept, "n": {number: 12}}) == []
    assert failed(GOOD | {number: broken, "n": {number: 12}}) == [number]
    assert failed(GOOD | {number: None, "n": {number: 12}}) == [number]
    assert failed(GOOD | {number: broken, "n": {number: 11}}) == []


def test_a_night_that_answers_for_strangers_is_not_published(chat: Any) -> None:
    run_id = night(chat, GOOD | {"unknown_refused": 0.1, "n": {"unknown_refused": 36}})
    assert pointer(chat.database, chat.space_id) is None
    result = runs.stage_records(chat.database, run_id)["publish"].output
    assert "unknown_refused 0.100 is under 0.500" in result["reason"]


def test_what_is_lost_is_lost_against_the_same_questions(chat: Any) -> None:
    """The night before remembered 0.8 of its own exam's questions, and answers 0.6 of those that tonight asks."""
    night(chat)
    asked = GOOD | {"recall_earlier_nights": 0.55, "n": {"recall_earlier_nights": 60}}
    second = night(chat, asked, before={"recall_earlier_nights": 0.6, "n": {"recall_earlier_nights": 60}})
    assert pointer(chat.database, chat.space_id).run_id == second
    night(chat, asked, before={"recall_earlier_nights": 0.7, "n": {"recall_earlier_nights": 60}})
    assert pointer(chat.database, chat.space_id).run_id == second


def night(
    chat: Any, numbers: dict[str, Any] = GOOD, n_train: int = 5, before: dict[str, Any] | None = None
) -> str:
    """A night that comes to publish with these numbers; its run id."""
    outputs: dict[str, dict[str, Any]] = {
        "dream": {"n_train": n_train},
        "exam": {"exam": {"weights": numbers}, "before": before or {}},
    }
    context = chat.context(outputs=outputs)
    with chat.database.transaction() as session:
        made = {
            kind: record_artifact(
                session,
                chat.space_id,
                run_id=context.run_id,
                kind=kind,
                path=f"{kind}/{context.run_id}",
                sha256="0",
                meta={},
            )
            for kind in ("recipe", "readout")
        }
    outputs["merge"] = {"recipe_id": made["recipe"]}
    outputs["readout"] = {"readout_id": made["readout"]}
    record(context, "exam", StageResult(output=outputs["exam"]))
    record(context, "publish", publish.run(context, no_progress))
    assert (
        publish.run(context, no_progress).output
        == runs.stage_records(chat.database, context.run_id)["publish"].output
    )
    return str(context.run_id)


def record(context: Any, stage: str, result: StageResult) -> None:
    runs.begin_stage(context.database, context.space_id, context.run_id, stage, "h", clock=context.clock)
    runs.end_stage(context.database, context.run_id, stage, result, 0.1)


def test_a_passed_gate_moves_pointer_and_ledger_together_and_once(chat: Any) -> None:
    run_id = night(chat)
    serving = pointer(chat.database, chat.space_id)
    assert serving is not None
    assert serving.run_id == run_id
    assert runs.get_run(chat.database, chat.space_id, run_id).is_published
    assert [row.kind for row in entries(chat.database, chat.space_id, 100)].count("pointer") == 1
    assert verify(chat.database, chat.space_id) == []


def test_a_failed_gate_leaves_the_night_before_and_names_the_number(chat: Any) -> None:
    first = night(chat)
    second = night(chat, GOOD | {"ppl_change": 0.2, "recall_earlier_nights": 0.8, "n": {}})
    serving = pointer(chat.database, chat.space_id)
    assert serving is not None
    assert serving.run_id == first
    result = runs.stage_records(chat.database, second)["publish"].output
    assert result["status"] == "refused"
    assert "ppl_change 0.200 is over 0.050" in result["reason"]


def test_a_night_without_training_keeps_what_serves(chat: Any) -> None:
    first = night(chat)
    second = night(chat, n_train=0)
    serving = pointer(chat.database, chat.space_id)
    assert serving is not None
    assert serving.run_id == first
    output = runs.stage_records(chat.database, second)["publish"].output
    assert output["status"] == "done"
    assert output["reason"].startswith("nothing to train")


def test_rolling_back_goes_night_by_night_to_the_plain_base(chat: Any) -> None:
    earlier = {"recall_earlier_nights": 0.8}
    first, second = night(chat), night(chat, GOOD | earlier)
    back = roll_back(chat.database, chat.space_id)
    assert back.run_id == first
    assert back.recipe_id is not None
    base = roll_back(chat.database, chat.space_id)
    assert (base.run_id, base.recipe_id, base.readout_id) == (None, None, None)
    with pytest.raises(NothingPublished):
        roll_back(chat.database, chat.space_id)
    assert roll_back(chat.database, chat.space_id, second).run_id == second
    assert verify(chat.database, chat.space_id) == []


def test_only_a_published_night_can_be_rolled_back_to(chat: Any) -> None:
    night(chat)
    refused = night(chat, GOOD | {"kl_to_base": 9.0})
    for run_id in (refused, "nosuchnight"):
        with pytest.raises(UnknownRun):
            roll_back(chat.database, chat.space_id, run_id)


def test_a_training_that_time_cut_short_is_told_with_what_gives_it_longer() -> None:
    assert "44 of 148 steps" in cut_short({"steps": 44, "wanted": 148, "plans": [[16, 50], [32, 44]]})
    assert cut_short({"steps": 140, "wanted": 148, "plans": [[16, 140]]}) == ""
    assert cut_short({"steps": 44, "wanted": 148, "plans": []}) == ""  # past its best
    assert cut_short({"steps": 60, "wanted": 60}) == ""
    assert cut_short({"steps": 12}) == ""
