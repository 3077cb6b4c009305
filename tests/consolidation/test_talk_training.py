"""Claims about the talk that styles begin with: whole, nobody's, split by pair, and shown as styles are."""

from __future__ import annotations

import random
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec, resolve
from agents.runtime.template import Template
from consolidation import primer, talk_training
from consolidation.primer import style_start
from consolidation.stage import TrainSettings
from consolidation.talk_training import TALK, _stretches, read_talk, training_rows
from consolidation.trainer.texts import make_texts
from consolidation.windows import Known
from memory.types import Episode

SMALL = """# 2025-03-02 19:40 | Alma, Bruno
Alma: are you up
Bruno: no
Bruno: why

# 2025-03-04 08:00 | Bruno, Alma
Bruno: found the key!
Alma: where: the car?
"""


@pytest.fixture(scope="module")
def talks() -> list[list[Episode]]:
    return read_talk(TALK.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def rows(talks: list[list[Episode]]) -> list[Any]:
    return training_rows(talks, 0)


def test_a_pairs_talks_are_one_conversation_with_a_pause() -> None:
    (talk,) = read_talk(SMALL)
    assert [(e.speaker, e.text) for e in talk] == [
        ("Alma", "are you up"),
        ("Bruno", "no"),
        ("Bruno", "why"),
        ("Bruno", "found the key!"),
        ("Alma", "where: the car?"),
    ]
    assert [e.time for e in talk] == sorted(e.time for e in talk)
    assert (talk[3].time - talk[2].time).days == 1


@pytest.mark.parametrize("line", ["Cora: who am I", "no speaker at all", "Alma: "])
def test_a_line_of_nobody_is_named_by_its_number(line: str) -> None:
    with pytest.raises(ValueError, match="line 3 "):
        read_talk(f"# 2025-03-02 19:40 | Alma, Bruno\nAlma: hi\n{line}\n")


def test_there_is_enough_of_it_by_people_who_do_not_exist(talks: list[list[Episode]]) -> None:
    people = tomllib.loads(TALK.with_name("primer_people.toml").read_text(encoding="utf-8"))
    assert {e.speaker for talk in talks for e in talk} <= set(people["first"])
    assert len(talks) > 80
    assert sum(map(len, talks)) > 8000
    said = Counter(e.text.casefold() for talk in talks for e in talk if len(e.text) > 60)
    assert max(said.values()) == 1


def test_pairs_that_watch_are_not_learnt(talks: list[list[Episode]], rows: list[Any]) -> None:
    learnt = "\n".join(message["content"] for row in rows if row.kind == "style" for message in row.messages)
    watching = [row.messages[-1]["content"] for row in rows if row.kind == "validation"]
    assert len(watching) == talk_training.MAX_WATCHED
    long = [text for text in watching if len(text) > 60 and "\n" not in text]
    assert long
    assert not any(text in learnt for text in long)


def test_a_round_of_stretches_teaches_every_message_once_and_in_order(talks: list[list[Episode]]) -> None:
    known = {name: Known() for name in {e.speaker for e in talks[0]}}
    taught = []
    for messages in _stretches(talks[0], known, random.Random(0)):
        tag = messages[-2]["content"].rpartition("\n")[2]
        taught += f"{tag} {messages[-1]['content']}".split("\n")
    assert taught == [f"[{e.speaker.upper()}] {e.text}" for e in talks[0]]


def test_hardly_a_text_is_longer_than_what_is_read_of_it(rows: list[Any], model_cache: Path) -> None:
    folder = resolve(ModelSpec(model_cache, "embedded")).path
    template = Template(AutoTokenizer.from_pretrained(folder, local_files_only=True))
    lengths = [len(text.ids) for text in make_texts(rows, template, 10_000)]
    assert len(lengths) == len(rows)
    assert sum(length > talk_training.SETTINGS.max_tokens for length in lengths) < 0.02 * len(rows)


def test_it_begins_only_what_has_its_rank_scale_and_depth(
    model_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(primer, "STARTS", tmp_path / "none")
    assert style_start("0" * 64, TrainSettings()) is None
    monkeypatch.undo()
    (folder,) = primer.STARTS.iterdir()
    adapter = Adapter.load(folder)
    assert adapter.meta["source"] == "talk"
    assert adapter.base_hash == resolve(ModelSpec(model_cache, "embedded")).base_hash
    assert all(np.isfinite(factor).all() for factors in adapter.modules.values() for factor in factors)
    assert style_start(adapter.base_hash, TrainSettings()) == (folder, adapter.sha256)
    assert style_start(adapter.base_hash, TrainSettings(rank=8)) is None
    assert style_start(adapter.base_hash, TrainSettings(first_layer=0.0)) is None


def test_the_same_seed_makes_the_same_texts(talks: list[list[Episode]], rows: list[Any]) -> None:
    assert training_rows(talks, 0) == rows
    assert training_rows(talks, 1) != rows
