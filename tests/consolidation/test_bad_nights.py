"""Nights with one fact, with far too many, with facts that fit no text; and nights that are cut off anywhere."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from bench.tiny_model import OPEN_GATE
from consolidation import dream, report, runs, train, training_child
from consolidation.errors import StageFailed
from consolidation.night import NightReport, run_night
from consolidation.recipe import current_recipe, recipe_adapters
from consolidation.stage import (
    STAGES,
    NightContext,
    NightSettings,
    Progress,
    Stage,
    StageResult,
    TrainSettings,
    no_progress,
)
from db.tables import Artifact, Example, Fact, LedgerEntry
from memory import ledger
from memory.facts import decide
from memory.registry import Registry

REGISTRY = Registry.load()
FEW = TrainSettings(
    rank=2,
    alpha=4,
    steps=3,
    max_minutes=1000.0,  # a machine that is busy must not change the plan
    facts_per_step=4,
    negatives_per_step=2,
    kl_per_step=0,
    dtype="float32",
)


def store(chat: Any, *proposals: tuple[str, str, str, int]) -> list[str]:
    """Stored facts, the first the most salient."""
    ids: list[str] = chat.propose(*proposals)
    with chat.database.transaction() as session:
        for place, fact_id in enumerate(ids):
            decide(session, chat.space_id, fact_id, "STORE", [], REGISTRY, run_id=None)
            session.get_one(Fact, fact_id).salience = 1 - 0.5 * place / len(ids)
    return ids


def taught(context: NightContext) -> set[str]:
    query = select(Example.fact_id).where(Example.run_id == context.run_id, Example.kind == "fact")
    with context.database.reading() as session:
        return {fact_id for fact_id in session.scalars(query) if fact_id}


def test_one_fact_is_a_curriculum_and_an_exam(chat: Any) -> None:
    (fact_id,) = store(chat, ("Mona Berg", "lives_in", "Bergen", 0))
    context = chat.context()
    result = dream.run(context, no_progress)
    assert (result.output["n_facts"], result.output["n_waiting"]) == (1, 0)
    assert result.output["n_exam"] > 3
    assert taught(context) == {fact_id}


def test_more_facts_than_a_night_holds_are_taken_by_salience_and_the_rest_is_told(chat: Any) -> None:
    ids = store(chat, *((f"Person{n} Vale", "hometown", f"Town{n}", n % 12) for n in range(40)))
    context = chat.context(settings=NightSettings(max_facts=5))
    result = dream.run(context, no_progress)
    assert (result.output["n_facts"], result.output["n_waiting"]) == (5, 35)
    assert taught(context) == set(ids[:5])
    record(context, "dream", result)
    page = page_of(context)
    assert "5 trained tonight; 35 left for the nights to come, the most salient first" in page


@pytest.mark.parametrize("value", ["word " * 21, "村" * 120, "x" * 300], ids=["words", "script", "no spaces"])
def test_a_fact_that_fits_no_text_is_left_out_and_told(chat: Any, value: str) -> None:
    store(chat, ("Mona Berg", "likes", value.strip(), 0), ("Karl Aas", "lives_in", "Oslo", 1))
    context = chat.context()
    result = dream.run(context, no_progress)
    assert result.output["n_facts"] == 1
    record(context, "dream", result)
    page = page_of(context)
    assert "1 too long for a training text" in page
    assert report.run(context, no_progress).counts["too_long_to_train"] == 1


def record(context: NightContext, stage: str, result: StageResult) -> None:
    runs.begin_stage(context.database, context.space_id, context.run_id, stage, "h", clock=context.clock)
    runs.end_stage(context.database, context.run_id, stage, result, 0.1)


def page_of(context: NightContext) -> str:
    path = report.run(context, no_progress).output["report"]
    return (context.home / path).read_text(encoding="utf-8")


# ---- kills


def test_a_training_child_that_is_killed_goes_on_to_the_same_weights(
    chat: Any, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(chat, ("Mona Berg", "lives_in", "Bergen", 0))
    settings = NightSettings(base_model=str(tiny_folder), train=replace(FEW, steps=30))
    whole = chat.context(settings=settings)
    dream.run(whole, no_progress)
    unbroken = train.run(whole, no_progress).output["sha256"]
    broken = chat.context(settings=settings)
    dream.run(broken, no_progress)
    children = watch_children(monkeypatch)

    def kill_the_first(done: int, total: int, note: str = "") -> None:
        if len(children) == 1 and done >= 1:
            children[0].kill()

    assert train.run(broken, kill_the_first).output["sha256"] == unbroken
    assert len(children) <= 2  # one, where it was done before it could be killed


def test_a_training_child_that_is_killed_again_fails_the_stage(
    chat: Any, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(chat, ("Mona Berg", "lives_in", "Bergen", 0))
    context = chat.context(settings=NightSettings(base_model=str(tiny_folder), train=FEW))
    dream.run(context, no_progress)
    children = watch_children(monkeypatch, lambda child: child.kill())
    with pytest.raises(StageFailed, match="was killed twice"):
        train.run(context, no_progress)
    assert len(children) == 2
    assert not (context.home / "adapters").exists()


def watch_children(
    monkeypatch: pytest.MonkeyPatch, on_start: Callable[[Any], None] = lambda child: None
) -> list[subprocess.Popen[bytes]]:
    """The training children that are started from now on."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def watched(*given: Any, **options: Any) -> Any:
        child = popen(*given, **options)
        started.append(child)
        on_start(child)
        return child

    monkeypatch.setattr(training_child.subprocess, "Popen", watched)
    return started


class Killed(BaseException):
    """What a kill looks like from within: nothing behind it is done."""


def killed_behind(name: str) -> Stage:
    def run(context: NightContext, progress: Progress) -> StageResult:
        importlib.import_module(f"consolidation.{name}").run(context, progress)
        raise Killed

    return run


def is_whole(chat: Any) -> bool:
    """Whether whatever serves is there with all its files."""
    serving = current_recipe(chat.database, chat.space_id, chat.home)
    return serving is None or len(recipe_adapters(chat.home, serving)) == len(serving.entries) > 0


def test_a_night_killed_behind_every_stage_ends_as_an_unbroken_one(chat: Any, talkative: Path) -> None:
    """Each stage has done its work, and is killed before that is on record: the worst moment."""
    store(chat, ("Mona Berg", "lives_in", "Bergen", 0), ("Karl Aas", "lives_in", "Oslo", 1))
    settings = NightSettings(base_model=str(talkative), exam_wordings=1, train=FEW, gate=OPEN_GATE)

    def sleep(stages: dict[str, Stage]) -> NightReport:
        return run_night(chat.database, chat.space_id, chat.home, settings, chat.tools(), stages=stages)

    for name in STAGES:
        with pytest.raises(Killed):
            sleep({name: killed_behind(name)})
        assert is_whole(chat)
    broken = sleep({})
    assert broken.status == "done", broken.reason
    (run,) = runs.list_runs(chat.database, chat.space_id)
    assert (run.id, run.is_published) == (broken.run_id, True)
    with chat.database.reading() as session:
        count = select(Artifact.kind, func.count()).group_by(Artifact.kind)
        kinds = {row[0]: row[1] for row in session.execute(count)}
        moves = session.scalar(select(func.count()).where(LedgerEntry.kind == "pointer"))
    assert (kinds["adapter"], kinds["recipe"], moves) == (1, 1, 1)
    assert ledger.verify(chat.database, chat.space_id) == []
