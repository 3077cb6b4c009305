"""Kill -9 at random moments, and what is left: `python -m bench.faults --kills 200 --seed 0`.

A home is made with two nights on a random model. Then import, night, publish, erasure, backup and restore are begun on copies
of it, one at a time, and killed: at a moment drawn over what each takes undisturbed, of a night over a stage that is drawn
first, so that short stages are met as often as long ones; the training child is killed with its parent, or alone. Whoever
opens the home afterwards does what the docs say (`forget resume`, `clean`), and then all of this is counted:

    clean           kills after which the whole `slowwave verify` found nothing, and no leftover stayed
    lost            things that were acknowledged before the kill and are not there, or half there
    half_published  kills after which what serves did not load, or pointer, night and ledger did not agree

Every fourth killed night is slept to its end, which has to be published.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import fault_work
from bench.fault_judging import Judge
from bench.report import now_and_then, print_result
from bench.tiny_model import write_talkative_model, write_tiny_model
from consolidation.stage import STAGES
from service.daemon import lasting

# of ten kills, so many of each kind
SHARES = {"import": 2, "night": 3, "publish": 1, "erasure": 2, "backup": 1, "restore": 1}
LATE = {"exam": "trained", "merge": "examined", "readout": "examined"} | dict.fromkeys(
    ("constitution", "publish", "report"), "examined"
)  # stages that begin from a home whose night has come so far
WAIT_S = 180.0  # for a stage to come


@dataclass
class Yard:
    """Homes to copy, and how long each kind of work takes undisturbed."""

    root: Path
    durations: dict[str, float] = field(default_factory=dict)

    @property
    def model(self) -> Path:
        return self.root / "model"

    def template(self, name: str) -> Path:
        return self.root / name

    def copy(self, name: str) -> tuple[Path, Path]:
        """A folder to work in and the home in it, and another home to restore over."""
        folder = self.root / "work"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.root / "given", folder)
        shutil.copytree(self.template(name), folder / "home", symlinks=True)
        shutil.copytree(self.template("two"), folder / "held", symlinks=True)
        return folder, folder / "home"


def build(root: Path, *, has_nights: bool = True) -> Yard:
    """Homes: of two nights, and of a second night before it, trained and examined; or one without nights or a model."""
    yard = Yard(root)
    (root / "given").mkdir()
    (root / "cache").mkdir()
    fault_work.write_chats(root / "given" / "chats")
    home = yard.template("before")
    home.mkdir()
    (home / "cache").symlink_to(root / "cache")
    _bring(yard, "before", fault_work.LINES[:6])
    if has_nights:
        _sleep_twice(yard)
    else:
        home.rename(yard.template("two"))
    services = fault_work.opened(yard.template("two"), yard.model)
    services.index.refresh()
    lasting.back_up(services, root / "given" / "whole.zip")
    fault_work.shut(services)
    return yard


def _sleep_twice(yard: Yard) -> None:
    (yard.root / "tiny").mkdir()
    write_talkative_model(write_tiny_model(yard.root / "tiny"), yard.model)
    nights = [_night(yard, "before", None)]
    _bring(yard, "before", fault_work.LINES[6:])
    for name, last in (("trained", "train"), ("examined", "exam"), ("two", None)):
        shutil.copytree(yard.template("before"), yard.template(name), symlinks=True)
        found = _night(yard, name, last)
    (yard.root / "given" / "nights.json").write_text(json.dumps([*nights, found]), encoding="utf-8")


def _bring(yard: Yard, name: str, lines: Any) -> None:
    services = fault_work.opened(yard.template(name), yard.model)
    chat = yard.root / "chat.jsonl"
    fault_work.write_chat(chat, lines, datetime(2025, 3, len(lines), tzinfo=UTC))
    services.import_file(chat)
    fault_work.shut(services)


def _night(yard: Yard, name: str, last: str | None) -> str:
    """One night, whole or up to a stage; its id."""
    stop = threading.Event()
    services = fault_work.opened(yard.template(name), yard.model)
    report = services.sleep(stop=stop, on_stage=lambda stage: stop.set() if stage.name == last else None)
    fault_work.shut(services)
    if report.is_published != (last is None):
        raise SystemExit(f"the night of the template {name} ended as {report.status}: {report.reason}")
    return report.run_id


@dataclass
class Done:
    """One piece of work as its pipe told it."""

    said: list[tuple[Any, ...]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    was_killed: bool = False

    def hear(self, words: tuple[Any, ...]) -> None:
        self.said.append(words)
        self.times.append(time.monotonic())

    @property
    def acknowledged(self) -> list[Any]:
        return [words[1:] for words in self.said if words[0] == "did"]

    def seconds(self, begin: tuple[Any, ...]) -> float:
        """From what was said to what was said next of a stage, or to the end."""
        at = self.said.index(begin)
        later = [
            when
            for words, when in zip(self.said[at + 1 :], self.times[at + 1 :], strict=True)
            if words[0] in ("stage", "end")
        ]
        return (later[0] if begin[0] == "stage" and later else self.times[-1]) - self.times[at]


def work(yard: Yard, kind: str, name: str, moment: tuple[tuple[Any, ...], float, str] | None) -> Done:
    """Do it on a fresh copy; `moment` is after which words, how many seconds later, and who is killed."""
    folder, home = yard.copy(name)
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=fault_work.run, args=(kind, home, yard.model, folder, theirs))
    process.start()
    theirs.close()
    done, due, given_up = Done(), None, time.monotonic() + WAIT_S
    while True:
        wait = max(0.0, (due or given_up) - time.monotonic())
        if not ours.poll(wait):
            if due is None:
                _kill_group(process.pid)
                raise SystemExit(f"{kind} said nothing more after {done.said[-1:]}")
            done.was_killed = _kill(process.pid, moment[2] if moment else "all")
            break
        try:
            done.hear(ours.recv())
        except (EOFError, OSError):
            break
        if moment is not None and done.said[-1] == moment[0]:
            due = time.monotonic() + moment[1]
    if moment is None or not done.was_killed or moment[2] != "child":
        process.join(WAIT_S)
    _drain(ours, done, process)
    _kill_group(process.pid)
    return done


def _drain(pipe: Any, done: Done, process: Any) -> None:
    """What was said before the kill; after the training child alone was killed, what the night says until it ends."""
    with suppress(EOFError, OSError):
        while pipe.poll(WAIT_S):
            done.hear(pipe.recv())
    process.join(WAIT_S)


def _kill(pid: int | None, whom: str) -> bool:
    """Whether somebody was killed: `all` of the group, the process `alone`, or its training `child`."""
    if pid is None:
        return False
    if whom == "child":
        children = Path(f"/proc/{pid}/task/{pid}/children")
        found = children.read_text().split() if children.exists() else []
        for child in found:
            os.kill(int(child), signal.SIGKILL)
        return bool(found)
    try:
        (os.killpg if whom == "all" else os.kill)(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _kill_group(pid: int | None) -> None:
    """Nobody of it works on afterwards: a training child that lost its parent ends by itself, a little later."""
    if pid is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def measure(yard: Yard, kinds: Sequence[str]) -> None:
    """How long each kind and each stage takes undisturbed."""
    for kind in kinds:
        done = work(yard, kind, "before" if kind == "night" else "two", None)
        yard.durations[kind] = done.seconds(("go",))
        if ("end",) not in done.said:
            raise SystemExit(f"{kind} did not end by itself; run it alone to see why")
        if kind == "night":
            for stage in STAGES:
                yard.durations[stage] = done.seconds(("stage", stage))


def draw(yard: Yard, kind: str, dice: random.Random) -> tuple[str, tuple[tuple[Any, ...], float, str]]:
    """The home to begin from, and the moment of the kill."""
    if kind != "night":
        return "two", (("go",), dice.uniform(0, yard.durations[kind]), "all")
    stage = dice.choice(STAGES)
    whom = dice.choice(("all", "alone", "child")) if stage == "train" else "all"
    return LATE.get(stage, "before"), (
        ("stage", stage),
        dice.uniform(0, yard.durations[stage]),
        whom,
    )


def kill_all(
    yard: Yard, n_kills: int, seed: int, kinds: Sequence[str], until: float = math.inf
) -> dict[str, Any]:
    """Kill so often, or until that moment of `time.monotonic()`."""
    judge = Judge(yard.root, yard.model)
    counts: Counter[str] = Counter()
    by_kind: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    bag = [kind for kind in kinds for _ in range(SHARES[kind])]
    show, notes = now_and_then("kills"), []
    dice = random.Random(seed)
    while counts["kills"] < n_kills and time.monotonic() < until:
        kind = bag[(counts["kills"] + seed) % len(bag)]
        name, moment = draw(yard, kind, dice)
        done = work(yard, kind, name, moment)
        if not done.was_killed:  # it was quicker than before
            counts["too_late"] += 1
            continue
        found = judge.judge(kind, done.acknowledged, resumes=kind == "night" and counts["kills"] % 4 == 0)
        counts.update({"kills": 1, "clean": int(found.is_clean), "lost": found.n_lost})
        counts.update({"half_published": int(found.is_half), "slept_on": int(found.is_resumed)})
        by_kind[kind].update({"kills": 1, "clean": int(found.is_clean), "leftovers": found.n_leftovers})
        if found.notes:
            notes.append(f"kill {counts['kills']}: {kind} at {moment}: {'; '.join(found.notes)}")
            print(notes[-1], file=sys.stderr, flush=True)
        show(counts["kills"], n_kills, kind)
    return {
        **{
            name: counts[name]
            for name in ("kills", "clean", "lost", "half_published", "slept_on", "too_late")
        },
        "kinds": {kind: dict(found) for kind, found in by_kind.items()},
        "undisturbed_s": {name: round(value, 2) for name, value in yard.durations.items()},
        "findings": notes,
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(SHARES), help="which kinds of work, with commas")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end by then, with fewer kills")
    given = parser.parse_args(arguments)
    started, until = time.perf_counter(), time.monotonic() + 60 * given.minutes
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["bench.fault_work", "service.daemon.lasting", "consolidation.exam", "torch"]
    )
    with tempfile.TemporaryDirectory(prefix="slowwave-faults-") as folder:
        yard = build(Path(folder))
        kinds = given.kinds.split(",")
        measure(yard, kinds)
        numbers = kill_all(yard, given.kills, given.seed, kinds, until)
    print_result(numbers, seed=given.seed, started=started)


if __name__ == "__main__":
    main(sys.argv[1:])
