"""`readout pairs`, `train`, `list` and `show`, on a home and through a daemon that asks for a token."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from memory.embedders.hashing import HashingEmbedder
from memory.emotions import add_tags
from memory.episodes import list_episodes
from memory.importing import import_file
from memory.types import EmotionTag
from service.components import Shared
from service.http.application import create_app
from service.settings import Settings
from service.wiring import Services

THINGS = ("boat", "shed", "garden", "market", "long road")


@pytest.fixture
def felt(empty: Any, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A home with 90 messages, every third of which is joyful and every third afraid."""
    monkeypatch.setenv("SLOWWAVE_NIGHT__BASE_MODEL", str(tiny_folder))
    monkeypatch.setattr(Shared, "embedder", HashingEmbedder(64))
    rows = [
        {
            "time": (datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=k)).isoformat(),
            "speaker": ("Bo Rask", "Ida Holm")[k % 2],
            "text": f"[BO] number {k}: we went with the {THINGS[k % 5]} as we always do{'!?.'[k % 3]}",
        }
        for k in range(90)
    ]
    chat = tmp_path / "chat.jsonl"
    chat.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with Services(Settings(home=empty.home)) as services:
        import_file(services.database, services.space_id, chat)
        episodes = list_episodes(services.database, services.space_id)
        tags = [
            EmotionTag(one.id, ("joy", "fear")[k % 3], 9.0, "j")
            for k, one in enumerate(episodes)
            if k % 3 < 2
        ]
        with services.database.transaction() as session:
            add_tags(session, services.space_id, tags)
    return empty


@contextmanager
def serving(home: Path, token: str) -> Iterator[str]:
    with Services(Settings(home=home)) as services:
        config = uvicorn.Config(create_app(services, token=token), port=0, log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True
        thread.join(30)


def test_examples_of_a_home_train_a_readout_that_can_serve(
    felt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paired = felt(
        "readout", "pairs", tmp_path / "pairs", "--concept", "joy", "--concept", "fear", "--concept", "awe"
    )
    assert paired.code == 0, paired.err
    assert "left out, too few examples: awe (0)" in paired.out
    lines = (tmp_path / "pairs" / "concepts" / "001-joy.jsonl").read_text().splitlines()
    assert len(lines) == 60
    assert not any("[BO]" in line for line in lines)

    trained = felt(
        "readout", "train", tmp_path / "pairs", "--target-layers", "1,2", "--dtype", "float32", "--json"
    )
    assert trained.code == 0, trained.err
    made = json.loads(trained.out)
    assert (made["concepts"], made["layers"], made["left_out"]) == (["joy", "fear"], [1, 2], {"awe": 0})
    assert "no readout yet" in felt("readout", "list").out
    monkeypatch.setenv("SLOWWAVE_READOUT_VECTORS", made["vectors"])
    monkeypatch.setenv("SLOWWAVE_READOUT_MANIFEST", made["manifest"])
    (listed,) = json.loads(felt("readout", "list", "--json").out)
    assert (listed["serves"], listed["path"]) == (True, made["vectors"])
    shown = felt("readout", "show")
    assert shown.code == 0, shown.err
    assert "joy" in shown.out


def test_a_daemon_gives_the_same_examples_to_whoever_has_its_token(
    felt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert felt("readout", "pairs", tmp_path / "here").code == 0
    with serving(felt.home, "secret") as url:
        refused = felt("readout", "pairs", tmp_path / "there", "--url", url)
        assert refused.line.endswith("it answered 401; set SLOWWAVE_TOKEN to its token")
        monkeypatch.setenv("SLOWWAVE_TOKEN", "secret")
        assert felt("readout", "pairs", tmp_path / "there", "--url", url).code == 0
    for name in ("001-fear.jsonl", "002-joy.jsonl"):
        here, there = (tmp_path / place / "concepts" / name for place in ("here", "there"))
        assert here.read_bytes() == there.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("pairs", "out", "--url", "http://127.0.0.1:9"),
            "start `slowwave serve` there, or check the address",
        ),
        (
            ("pairs", "out", "--concept", "envy"),
            "no text has one of the named concepts; the graph has: fear, joy",
        ),
        (("train", "."), "make one with `slowwave readout pairs`"),
        (("show",), "`slowwave readout train` one from a folder of examples"),
        (("show", "abc"), "no readout goes by abc; `slowwave readout list` names them"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    felt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert said in felt("readout", *arguments).refusal


def test_layers_that_are_not_there_and_files_of_another_model_are_refused(
    felt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert felt("readout", "pairs", tmp_path / "pairs").code == 0
    wrong = felt("readout", "train", tmp_path / "pairs", "--target-layers", "7")
    assert wrong.line.endswith("there is no layer 7: the model has layers 0 to 2; change --target-layers")
    made = json.loads(felt("readout", "train", tmp_path / "pairs", "--target-layers", "1", "--json").out)
    manifest = Path(made["manifest"])
    plain = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(plain | {"model_hash": "f" * 64}))
    monkeypatch.setenv("SLOWWAVE_READOUT_VECTORS", made["vectors"])
    monkeypatch.setenv("SLOWWAVE_READOUT_MANIFEST", made["manifest"])
    assert f"made with model ffffffffffff, not {made['model_hash'][:12]}" in felt("readout", "show").refusal
