"""The work that `bench.faults` kills, each kind as a function of an opened home that says over a pipe what it has done.

What is said is acknowledged: whoever hears it may rely on it after any kill. The real parts of a home do the work: a store
on disk, a random model of three layers (`bench.tiny_model`), the hashing encoder, rules that extract and judge.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.tiny_model import OPEN_GATE
from consolidation import publish
from consolidation.stage import NightSettings, Progress, StyleSettings, TrainSettings
from memory.embedders.hashing import HashingEmbedder
from memory.episodes import append_turn
from memory.people import get_or_create_node
from memory.ports import Embedder, EmotionTagger, Entailer, utc_now
from service.components import Shared
from service.daemon import lasting
from service.entrances import forgetting
from service.settings import BackendSettings, Settings
from service.wiring import Services

ERASED = "Sindre Holm"
SECRET = "quibblewort"  # a word that only the erased person says
N_FILES, N_MESSAGES = 24, 30
LINES = (
    ("Mona Berg", "I moved to Bergen last week, so glad about it"),
    ("Karl Aas", "finally! I still live in Oslo"),
    ("Mona Berg", "I work as a nurse at Haukeland"),
    ("Karl Aas", "I work as a carpenter"),
    (ERASED, f"I live in Tromso, and I grow {SECRET} there"),
    (ERASED, "I work as a fisherman"),
    ("Karl Aas", "I have a dog, glad to say"),
    ("Mona Berg", "I am afraid of boats"),
)


class WordTagger:
    """Joy where a text says `glad`, fear where it says `afraid`."""

    name = "words"

    def tag(self, texts: Sequence[str]) -> list[dict[str, float]]:
        concepts = {"glad": "joy", "afraid": "fear"}
        return [{concept: 8.0 for word, concept in concepts.items() if word in text} for text in texts]


class SmallShared(Shared):
    """What needs no large model."""

    @cached_property
    def embedder(self) -> Embedder:
        return HashingEmbedder(64)

    @cached_property
    def tagger(self) -> EmotionTagger:
        return WordTagger()

    @cached_property
    def entailer(self) -> Entailer | None:
        return None


def settings_of(home: Path, model: Path) -> Settings:
    train = TrainSettings(
        rank=2,
        alpha=4,
        steps=3,
        max_minutes=1000.0,
        facts_per_step=4,
        negatives_per_step=2,
        replay_per_step=0,
        kl_per_step=0,
        dtype="float32",
    )
    night = NightSettings(
        base_model=str(model),
        max_facts=2,
        exam_wordings=1,
        train=train,
        style=StyleSettings(is_on=False),
        gate=OPEN_GATE,
        readout_min_examples=1,
    )
    return Settings(home=home, backend=BackendSettings(extractor="rules"), count_asked=False, night=night)


def opened(home: Path, model: Path) -> Services:
    """Close it with its `shared`: it owns none."""
    settings = settings_of(home, model)
    return Services(settings, shared=SmallShared(settings))


def shut(services: Services) -> None:
    services.close()
    services.shared.close()


def write_chat(path: Path, lines: Sequence[tuple[str, str]], start: datetime) -> None:
    rows = (
        {"time": (start + timedelta(hours=place)).isoformat(), "speaker": speaker, "text": text}
        for place, (speaker, text) in enumerate(lines)
    )
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def write_chats(folder: Path) -> None:
    """Files of N_MESSAGES each, whose names sort in the order in which they are imported."""
    folder.mkdir()
    for number in range(N_FILES):
        lines = [(f"Guest {number % 5}", f"message {number} {place}, glad") for place in range(N_MESSAGES)]
        start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)
        write_chat(folder / f"{number:02}.jsonl", lines, start)


@dataclass(frozen=True, slots=True)
class Given:
    """Where the work is done, and where it says what is done: `("did", ...)` and `("stage", name)`."""

    home: Path
    model: Path
    folder: Path  # beside the home: chats to import, backups to restore
    say: Callable[..., None]


def importing(given: Given) -> None:
    services = opened(given.home, given.model)
    given.say("go")
    for path in sorted((given.folder / "chats").glob("*.jsonl")):
        report, _ = services.import_file(path)
        given.say("did", path.name, report.n_new)


def sleeping(given: Given) -> None:
    services = opened(given.home, given.model)
    given.say("go")

    def watch(stage: str) -> Progress:
        given.say("stage", stage)
        return lambda done, total, note="": None

    report = services.sleep(watch=watch)
    if report.is_published:
        given.say("did", report.run_id)


def publishing(given: Given) -> None:
    """The pointer goes from one published night to the other and back."""
    services = opened(given.home, given.model)
    nights = json.loads((given.folder / "nights.json").read_text(encoding="utf-8"))
    given.say("go")
    for turn in range(60):
        run_id = nights[turn % 2]
        publish.roll_back(services.database, services.space_id, run_id)
        given.say("did", run_id)


def erasing(given: Given) -> None:
    services = opened(given.home, given.model)
    target = forgetting.target(services, "person", ERASED, mentions="redact")
    given.say("go")
    outcome = forgetting.erase(services, target)
    given.say("did", outcome.certificate.seq)


def backing_up(given: Given) -> None:
    """Three backups, while another thread writes a turn after the other."""
    services = opened(given.home, given.model)
    given.say("go")
    threading.Thread(target=_talk, args=(services, given), daemon=True).start()
    for number in range(3):
        target = given.folder / f"{number}.zip"
        lasting.back_up(services, target)
        given.say("did", str(target))


def _talk(services: Services, given: Given) -> None:
    with services.database.transaction() as session:
        node_id = get_or_create_node(session, services.space_id, "Mona Berg", is_speaker=True)
    for number in range(10_000):
        append_turn(
            services.database,
            services.space_id,
            conversation="live",
            speaker_id=node_id,
            text=f"turn {number}",
            origin="observed",
            time=utc_now(),
        )
        given.say("turn", number)


def restoring(given: Given) -> None:
    """Into a folder that is not there, then over one that holds something."""
    file = given.folder / "whole.zip"
    given.say("go")
    for name in ("fresh", "held"):
        lasting.restore(settings_of(given.folder / name, given.model), file, force=name == "held")
        given.say("did", name)


WORK: dict[str, Callable[[Given], None]] = {
    "import": importing,
    "night": sleeping,
    "publish": publishing,
    "erasure": erasing,
    "backup": backing_up,
    "restore": restoring,
}


def run(kind: str, home: Path, model: Path, folder: Path, pipe: Connection) -> None:
    """In a process group of its own, so that a training child can be killed with it."""
    os.setsid()
    said = threading.Lock()

    def say(*words: Any) -> None:
        with said:
            pipe.send(words)

    WORK[kind](Given(home, model, folder, say))
    say("end")
