"""Stage `publish`: hold the exam against the gate, then move the pointer, or leave it and say which number failed.

Nothing fails open: a number that was not measured fails like one that is too low, except what a first night
cannot have (earlier nights), and what few questions ask (neighbours, strangers, what is over): too few tell nothing
from chance. The pointer and its ledger entry are one transaction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from consolidation.checks import Check
from consolidation.errors import NothingPublished, StageFailed, UnknownRun
from consolidation.runs import stage_records
from consolidation.stage import Gate, NightContext, Progress, StageResult
from consolidation.style_night import serve_styles
from db.engine import Database
from db.tables import SleepRun
from memory import artifacts
from memory.artifacts import PointerRow
from memory.ports import Clock, utc_now

CONDITION = "weights"  # the gate judges what the weights alone know
ENOUGH_QUESTIONS = 12  # of a kind, from which on its share is held against a limit
ENOUGH_STEPS = 0.75  # share of the steps wanted from which on a training was no shorter than it should be


def hold_against(gate: Gate, numbers: Mapping[str, Any], earlier_recall: float | None) -> list[Check]:
    """Every number of the gate. `earlier_recall` is what served before answers of the same questions about earlier nights, if any."""
    taught = _at_least("recall_paraphrase", numbers, gate.min_recall_paraphrase)
    return [taught, *side_effects(gate, numbers, earlier_recall), *_not_taught(gate, numbers)]


def _not_taught(gate: Gate, numbers: Mapping[str, Any]) -> list[Check]:
    """The numbers about questions that the night's facts do not answer, of those kinds that were asked often enough."""
    counts = numbers.get("n") or {}
    checks = [
        _at_least("neighbour_intact", numbers, gate.min_neighbour_intact),
        _at_least("unknown_refused", numbers, gate.min_unknown_refused),
        _at_most("stale_answered", numbers, gate.max_stale_answered),
    ]
    return [check for check in checks if (counts.get(check.number) or 0) >= ENOUGH_QUESTIONS]


def side_effects(gate: Gate, numbers: Mapping[str, Any], earlier_recall: float | None) -> list[Check]:
    """The numbers of the gate about what was there before: the model's own ways, and what earlier nights taught."""
    checks = [
        _at_most("ppl_change", numbers, gate.max_ppl_change),
        _at_most("kl_to_base", numbers, gate.max_kl_to_base),
    ]
    if earlier_recall is not None:
        checks.append(
            _at_least("recall_earlier_nights", numbers, max(0.0, earlier_recall - gate.max_earlier_loss))
        )
    return checks


def _at_least(number: str, numbers: Mapping[str, Any], limit: float) -> Check:
    value = _measured(numbers, number)
    return Check(number, value, limit, value is not None and value >= limit, is_at_least=True)


def _at_most(number: str, numbers: Mapping[str, Any], limit: float) -> Check:
    value = _measured(numbers, number)
    return Check(number, value, limit, value is not None and value <= limit, is_at_least=False)


def _measured(numbers: Mapping[str, Any], number: str) -> float | None:
    value = numbers.get(number)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def run(context: NightContext, progress: Progress) -> StageResult:
    """Repeatable: a night whose pointer was moved is not judged again."""
    progress(0, 1)
    if not context.output("dream").get("n_train"):
        n_styles = serve_styles(context)
        reason = "no new facts to train" if n_styles else "nothing to train"
        return _result("done", f"{reason}; the published artifacts still serve{_with(n_styles)}", [])
    numbers = (context.output("exam").get("exam") or {}).get(CONDITION) or {}
    checks = hold_against(context.settings.gate, numbers, earlier_recall(context))
    failed = [check for check in checks if not check.is_passed]
    if failed:
        reasons = "; ".join(check.sentence() for check in failed)
        still = f"the night before still serves{_with(serve_styles(context))}"
        why = f"the gate refused: {reasons}{cut_short(context.output('train'))}; {still}"
        return _result("refused", why, checks)
    serving = _move(context)
    progress(1, 1)
    return _result("done", None, checks, serving)


def cut_short(trained: Mapping[str, Any]) -> str:
    """What to do about a training that time ended, for the end of a clause; "" where it had most of its steps."""
    steps, wanted = int(trained.get("steps", 0)), int(trained.get("wanted", 0))
    plans = trained.get("plans") or [(0, wanted)]
    if plans[-1][1] >= ENOUGH_STEPS * wanted:  # what ended sooner than that had learnt what there was
        return ""
    return f" (time was up after {steps} of {wanted} steps of training; `slowwave sleep --minutes` gives it longer)"


def _with(n_styles: int) -> str:
    return f", with {n_styles} new {'style' if n_styles == 1 else 'styles'}" if n_styles else ""


def _result(
    status: str, reason: str | None, checks: list[Check], serving: PointerRow | None = None
) -> StageResult:
    is_published = serving is not None
    return StageResult(
        counts={
            "published": int(is_published),
            "failed_numbers": sum(not check.is_passed for check in checks),
        },
        output={
            "status": status,
            "reason": reason,
            "is_published": is_published,
            "gate": [check.as_json() for check in checks],
            "recipe_id": serving and serving.recipe_id,
            "readout_id": serving and serving.readout_id,
        },
    )


def earlier_recall(context: NightContext) -> float | None:
    """What the vectors that serve answer of the questions about earlier nights that tonight's exam asks; None where there
    are none."""
    return _measured(context.output("exam").get("before") or {}, "recall_earlier_nights")


def _move(context: NightContext) -> PointerRow:
    """Where the pointer stands afterwards. Without a readout of its own the night keeps the one that serves."""
    recipe_id = context.output("merge").get("recipe_id")
    readout_id = context.output("readout").get("readout_id")
    if recipe_id is None:
        raise StageFailed("publish", "the merge left no recipe; run `slowwave sleep` again")
    with context.database.transaction() as session:
        serving = artifacts.pointer_in(session, context.space_id)
        run = session.get_one(SleepRun, context.run_id)
        if run.is_published and serving is not None:
            return serving
        run.is_published = True
        return artifacts.move_pointer(
            session,
            context.space_id,
            run_id=context.run_id,
            recipe_id=recipe_id,
            readout_id=readout_id or (serving.readout_id if serving else None),
            clock=context.clock,
        )


def roll_back(
    database: Database, space_id: str, to_run: str | None = None, *, clock: Clock = utc_now
) -> PointerRow:
    """Point to an earlier published night again; without `to_run` to the one before the night that serves, or to that
    night's own recipe where one that was made from it by hand serves.

    Nights whose weights hold what was erased are passed over; behind the first night lies the plain base. Raises
    NothingPublished, UnknownRun for a night that never was published, or TaintedArtifact for one that was asked for by
    name and is tainted. No artifact is deleted.
    """
    serving = artifacts.pointer(database, space_id)
    if serving is None or (serving.recipe_id is None and to_run is None):
        raise NothingPublished
    target = _published(database, space_id, to_run) if to_run else _back_from(database, space_id, serving)
    published = stage_records(database, target)["publish"].output if target else {}
    recipe_id, readout_id = published.get("recipe_id"), published.get("readout_id")
    if recipe_id is not None:
        artifacts.servable(database, recipe_id)
    if readout_id is not None and artifacts.get_artifact(database, readout_id).tainted_at is not None:
        readout_id = None
    with database.transaction() as session:
        return artifacts.move_pointer(
            session,
            space_id,
            run_id=target,
            recipe_id=recipe_id,
            readout_id=readout_id,
            reason="roll_back",
            clock=clock,
        )


def _published(database: Database, space_id: str, run_id: str) -> str:
    with database.reading() as session:
        run = session.get(SleepRun, run_id)
        if run is None or run.space_id != space_id or not run.is_published:
            raise UnknownRun(run_id)
        return run.id


def _back_from(database: Database, space_id: str, serving: PointerRow) -> str | None:
    """The night that serves changed by hand, or else the published night before it."""
    run_id = serving.run_id
    if run_id is not None and "publish" in (records := stage_records(database, run_id)):
        is_changed = records["publish"].output.get("recipe_id") != serving.recipe_id
        if is_changed and _is_servable(database, run_id):
            return run_id
    return _before(database, space_id, run_id)


def _before(database: Database, space_id: str, run_id: str | None) -> str | None:
    """The published night before, whose weights may serve."""
    with database.reading() as session:
        started = select(SleepRun.started_at).where(SleepRun.id == run_id).scalar_subquery()
        earlier = select(SleepRun.id).where(
            SleepRun.space_id == space_id, SleepRun.is_published, SleepRun.started_at < started
        )
        nights = session.scalars(earlier.order_by(SleepRun.started_at.desc())).all()
    return next((night for night in nights if _is_servable(database, night)), None)


def _is_servable(database: Database, run_id: str) -> bool:
    recipe_id = stage_records(database, run_id)["publish"].output.get("recipe_id")
    return recipe_id is not None and artifacts.get_artifact(database, recipe_id).tainted_at is None
