from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from consolidation import lease, runs
from consolidation.lease import hold, lease_name, this_process
from consolidation.night import NightReport, StageOutcome, run_night
from consolidation.stage import (
    STAGES,
    NightContext,
    NightSettings,
    NightTools,
    Progress,
    Stage,
    StageResult,
)
from db import leases
from db.errors import LeaseHeld
from memory import artifacts, ledger
from memory.ports import utc_now
from memory.registry import Registry

REPOSITORY = Path(__file__).parents[2]


class Steps:
    """Stages that only note that they were called; `trouble` is raised by the stage of that name, once."""

    def __init__(self, trouble: dict[str, BaseException] | None = None) -> None:
        self.called: list[str] = []
        self.trouble = trouble or {}

    def stages(self) -> dict[str, Stage]:
        return {name: self._stage(name) for name in STAGES}

    def _stage(self, name: str) -> Stage:
        def run(context: NightContext, progress: Progress) -> StageResult:
            self.called.append(name)
            if name in self.trouble:
                raise self.trouble.pop(name)
            progress(1, 1)
            return StageResult(counts={"n": 1}, output={"n_train": 1, "stage": name})

        return run


def sleep(chat: Any, steps: Steps, settings: NightSettings | None = None, **options: Any) -> NightReport:
    settings = settings or NightSettings()
    return run_night(
        chat.database, chat.space_id, chat.home, settings, chat.tools(), stages=steps.stages(), **options
    )


def test_a_night_runs_every_stage_once_in_order(chat: Any) -> None:
    steps = Steps()
    report = sleep(chat, steps)
    assert (report.status, tuple(steps.called)) == ("done", STAGES)
    assert [stage.name for stage in report.stages] == list(STAGES)
    assert runs.get_run(chat.database, chat.space_id, report.run_id).status == "done"


def test_the_night_that_runs_is_known_while_it_does(chat: Any) -> None:
    known: list[str | None] = []
    report = sleep(chat, Steps(), on_stage=lambda _: known.append(runs.running(chat.database, chat.space_id)))
    assert set(known) == {report.run_id}
    assert runs.running(chat.database, chat.space_id) is None


def test_a_failed_stage_fails_the_night_with_one_line(chat: Any) -> None:
    report = sleep(chat, Steps({"exam": RuntimeError("two\nlines")}))
    assert (report.status, report.reason) == ("failed", "RuntimeError: two lines")
    assert runs.stage_records(chat.database, report.run_id)["exam"].status == "failed"


def test_a_full_disk_is_named_and_the_next_night_begins_anew(chat: Any) -> None:
    first = sleep(chat, Steps({"train": OSError(errno.ENOSPC, "No space left on device")}))
    assert first.reason is not None
    assert first.reason.startswith("no space left on the disk")
    second = sleep(chat, Steps())
    assert second.run_id != first.run_id
    assert second.status == "done"


@pytest.mark.parametrize("stage", STAGES)
def test_a_night_stopped_in_any_stage_goes_on_there(chat: Any, stage: str) -> None:
    first = sleep(chat, Steps({stage: KeyboardInterrupt()}))
    steps = Steps()
    second = sleep(chat, steps)
    assert (first.status, second.status) == ("interrupted", "done")
    assert second.run_id == first.run_id
    assert tuple(steps.called) == STAGES[STAGES.index(stage) :]


def test_other_settings_close_the_stopped_night_and_begin_anew(chat: Any) -> None:
    first = sleep(chat, Steps({"dream": KeyboardInterrupt()}))
    second = sleep(chat, Steps(), NightSettings(seed=7))
    assert second.run_id != first.run_id
    assert runs.get_run(chat.database, chat.space_id, first.run_id).status == "failed"


def test_a_stage_whose_inputs_changed_is_done_again(chat: Any) -> None:
    first = sleep(chat, Steps({"report": KeyboardInterrupt()}))
    with chat.database.transaction() as session:
        record = session.get_one(runs.StageRun, (first.run_id, "dream"))
        record.output = {"n_train": 2}
    steps = Steps()
    sleep(chat, steps)
    assert steps.called == [*STAGES[STAGES.index("train") :]]


def test_without_anything_to_train_the_weights_are_left_alone(chat: Any) -> None:
    steps = Steps()
    stages = steps.stages() | {"dream": lambda _context, _progress: StageResult(output={"n_train": 0})}
    run_night(chat.database, chat.space_id, chat.home, NightSettings(), chat.tools(), stages=stages)
    assert not {"exam", "merge", "readout"} & set(steps.called)
    assert {"constitution", "publish", "report"} <= set(steps.called)


def test_a_second_night_is_refused_with_the_name_of_the_holder(chat: Any) -> None:
    with (
        hold(chat.database, chat.space_id, f"{this_process()} night abc", lost=threading.Event()),
        pytest.raises(LeaseHeld, match=f"{os.getpid()}@.*night abc"),
    ):
        sleep(chat, Steps())


def test_the_lease_of_a_dead_process_is_free_at_once(chat: Any) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    holder = f"{ended.pid}@{socket.gethostname()} night abc"
    leases.acquire(chat.database, lease_name(chat.space_id), holder, now=utc_now(), ttl_s=600)
    assert sleep(chat, Steps()).status == "done"


def test_reap_marks_a_run_that_nobody_works_on(chat: Any) -> None:
    runs.begin(chat.database, chat.space_id, "abandoned", NightSettings(), is_resumed=False, clock=utc_now)
    assert runs.reap(chat.database, chat.space_id) == ["abandoned"]
    assert runs.get_run(chat.database, chat.space_id, "abandoned").status == "interrupted"


def test_reap_leaves_a_run_alone_whose_lease_is_held(chat: Any) -> None:
    with hold(chat.database, chat.space_id, this_process(), lost=threading.Event()):
        runs.begin(chat.database, chat.space_id, "busy", NightSettings(), is_resumed=False, clock=utc_now)
        assert runs.reap(chat.database, chat.space_id) == []


def test_the_lease_is_renewed_while_the_night_works(chat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.02)
    lost = threading.Event()
    with hold(chat.database, chat.space_id, "me", lost=lost):
        end, until = utc_now() + timedelta(seconds=lease.LEASE_TTL_S), time.monotonic() + 90
        while leases.holder_of(chat.database, lease_name(chat.space_id), now=end) is None:
            assert time.monotonic() < until
            time.sleep(0.01)
    assert not lost.is_set()


def test_a_lost_lease_stops_the_night(chat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.02)
    lost = threading.Event()
    with hold(chat.database, chat.space_id, "me", lost=lost):
        leases.release(chat.database, lease_name(chat.space_id), "me")
        leases.acquire(chat.database, lease_name(chat.space_id), "thief", now=utc_now(), ttl_s=60)
        assert lost.wait(90)


def test_an_event_stops_the_night_at_the_next_progress(chat: Any) -> None:
    stop = threading.Event()
    report = sleep(chat, Steps(), stop=stop, on_stage=lambda outcome: outcome.name == "check" and stop.set())
    assert report.status == "interrupted"
    assert [stage.name for stage in report.stages][-1] == "check"


def test_a_signal_that_comes_among_callbacks_stops_the_night_and_leaves_no_traceback(
    chat: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    def end_of_a_stage(outcome: StageOutcome) -> None:
        if outcome.name == "check":
            kept = Steps()
            gone = weakref.ref(kept, lambda _: signal.raise_signal(signal.SIGTERM))
            del kept
            assert gone() is None

    report = sleep(chat, Steps(), on_stage=end_of_a_stage)
    assert report.status == "interrupted"
    assert [stage.name for stage in report.stages][-1] == "check"
    assert "Traceback" not in capfd.readouterr().err


NIGHT_IN_A_PROCESS = """
import sys, time
from pathlib import Path
from consolidation.night import run_night
from consolidation.stage import STAGES, NightSettings, NightTools, StageResult
from db.engine import open_database, sqlite_url
from memory.registry import Registry

home, space_id, slow = Path(sys.argv[1]), sys.argv[2], sys.argv[3]

def stage(name):
    def run(context, progress):
        if name == slow:
            (home / "reached").touch()
            time.sleep(30)
        return StageResult(output={"n_train": 1})
    return run

tools = NightTools(None, None, None, None, None, Registry.load())
database = open_database(sqlite_url(home / "graph.db"))
stages = {name: stage(name) for name in STAGES}
report = run_night(database, space_id, home, NightSettings(), tools, stages=stages)
print(report.status)
"""


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, "interrupted"), (signal.SIGKILL, "running")])
def test_a_night_whose_process_is_ended_can_be_resumed(chat: Any, sent: signal.Signals, status: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", NIGHT_IN_A_PROCESS, str(chat.home), chat.space_id, "train"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    deadline = time.monotonic() + 30
    while not (chat.home / "reached").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(sent)
    process.communicate(timeout=120)
    (run,) = runs.list_runs(chat.database, chat.space_id)
    assert run.status == status
    report = run_night(
        chat.database, chat.space_id, chat.home, NightSettings(), nothing(), stages=Steps().stages()
    )
    assert (report.run_id, report.status) == (run.id, "done")
    assert [stage.name for stage in report.stages if stage.is_resumed] == list(
        STAGES[: STAGES.index("train")]
    )


def nothing() -> NightTools:
    """No tools at all, as in the process above: the stages there use none."""
    return NightTools(None, None, None, None, None, Registry.load())  # type: ignore[arg-type]


WHOLE_NIGHT = """
import sys
from pathlib import Path
from agents.constitutions import HabitWriter
from agents.extractors.rules import RuleExtractor
from agents.judges import RuleJudge
from consolidation.night import run_night
from consolidation.stage import Gate, NightSettings, NightTools, TrainSettings
from db.engine import open_database, sqlite_url
from memory.embedders.hashing import HashingEmbedder
from memory.registry import Registry

class WordTagger:
    name = "words"
    def tag(self, texts):
        return [{"joy": 8.0} if "glad" in text else {} for text in texts]

home, space_id = Path(sys.argv[1]), sys.argv[2]
settings = NightSettings(
    max_facts=3,
    exam_wordings=1,
    train=TrainSettings(
        steps=6, facts_per_step=4, negatives_per_step=2, replay_per_step=1, kl_per_step=1, kl_texts=8
    ),
    gate=Gate(
        min_recall_paraphrase=0.0, max_ppl_change=0.5, max_kl_to_base=5.0,
        min_neighbour_intact=0.0, min_unknown_refused=0.0, max_stale_answered=1.0,
    ),
    readout_min_examples=2,
)
embedder = HashingEmbedder()
tools = NightTools(
    RuleExtractor(), WordTagger(), embedder, RuleJudge(embedder), HabitWriter(), Registry.load()
)
database = open_database(sqlite_url(home / "graph.db"))
print(run_night(database, space_id, home, settings, tools).status)
"""


def test_a_whole_night_cut_off_while_it_trains_ends_published(chat: Any) -> None:
    """On the embedded model, with the real parts: from unread messages to a pointer that has moved."""
    command = [sys.executable, "-c", WHOLE_NIGHT, str(chat.home), chat.space_id]
    first = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: any((chat.home / "runs").glob("*/train/metrics.jsonl")), first)
    first.send_signal(signal.SIGTERM)
    assert first.communicate(timeout=120)[0].strip() == "interrupted"
    (run,) = runs.list_runs(chat.database, chat.space_id)
    done = {
        name for name, stage in runs.stage_records(chat.database, run.id).items() if stage.status == "done"
    }
    assert done == set(STAGES[: STAGES.index("train")])

    second = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert second.stdout.strip() == "done", second.stderr[-500:]
    records = runs.stage_records(chat.database, run.id)
    assert {stage.status for stage in records.values()} == {"done"}
    assert records["dream"].output["n_train"] > 0
    assert set(records["exam"].output["exam"]) == {"base", "retrieval", "weights", "both"}
    serving = artifacts.pointer(chat.database, chat.space_id)
    assert serving is not None
    assert serving.run_id == run.id
    assert None not in (serving.recipe_id, serving.readout_id)
    assert (chat.home / records["report"].output["report"]).stat().st_size > 5000
    assert ledger.verify(chat.database, chat.space_id) == []


def wait_for(is_there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300
    while not is_there():
        assert process.poll() is None, "the night ended before it trained"
        assert time.monotonic() < deadline, "the night never came to train"
        time.sleep(0.1)
