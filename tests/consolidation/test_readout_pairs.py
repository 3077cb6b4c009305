from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consolidation.errors import BadReadout, ExportExists
from consolidation.readout_pairs import (
    MANIFEST_FILE,
    NEGATIVE,
    POSITIVE,
    Material,
    Text,
    choose_pairs,
    gather,
    stripped,
    write_pairs,
)
from consolidation.readout_settings import PairSettings
from consolidation.readout_training import read_examples
from memory.constitutions import write
from memory.embedders.hashing import HashingEmbedder
from memory.emotions import add_tags
from memory.registry import Registry
from memory.types import EmotionTag, Principle

TOPICS = ("the boat and its sails", "the oven and its bread", "the train and its delay")
EMBEDDER = HashingEmbedder(64)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[INES] we sail at nine", "we sail at nine"),
        ("[INES] one\n[MAX B.] two", "one\ntwo"),
        ("what a day\nwarmth:9 clarity:10", "what a day"),
        ("what a day warmth:9.5, clarity:10", "what a day"),
        ("what a day joy:8", "what a day"),
        ("meet me at gate:8", "meet me at gate:8"),
        ("it starts 9:30", "it starts 9:30"),
        ("[laughs] no", "[laughs] no"),
    ],
)
def test_labels_are_taken_off_and_words_are_left(text: str, expected: str) -> None:
    assert stripped(text) == expected


def material(n: int = 90) -> Material:
    """Texts about three topics by two people; every third text is joyful, at 9 or 10."""
    texts = tuple(
        Text(
            f"e{k:03}",
            ("mona", "karl")[k % 2],
            f"about {TOPICS[k % 5 % 3]}, number {k} {'and so on ' * (k % 4)}",
        )
        for k in range(n)
    )
    joy = {text.id: 9.0 + k % 2 for k, text in enumerate(texts) if k % 3 == 0}
    weak = {texts[1].id: 2.0}
    mentions = {"joy": Counter([*joy, *weak])}
    return Material(texts, {"joy": joy | weak, "awe": {"e001": 9.0}}, mentions, {**joy, **weak, "e001": 9.0})


def test_negatives_are_like_their_positives_in_speaker_length_and_topic() -> None:
    pairs = choose_pairs(material(), PairSettings(), EMBEDDER).by_concept["joy"]
    assert len(pairs) == 30
    assert all(pair.positive.speaker == pair.negative.speaker for pair in pairs)
    lengths = [abs(len(pair.positive.text) - len(pair.negative.text)) for pair in pairs]
    assert np.mean(lengths) < 8
    vectors = EMBEDDER.encode([pair.negative.text for pair in pairs])
    others = EMBEDDER.encode([pair.positive.text for pair in pairs])
    by_chance = float((others @ vectors.T)[~np.eye(len(pairs), dtype=bool)].mean())
    assert np.mean([pair.similarity for pair in pairs]) > by_chance
    assert len({pair.negative.id for pair in pairs}) == 30


def test_a_text_that_mentions_the_concept_is_no_negative() -> None:
    found = choose_pairs(material(), PairSettings(), EMBEDDER).by_concept["joy"]
    assert "e001" not in {pair.negative.id for pair in found}
    told = material()
    named = tuple(
        Text(one.id, one.speaker, f"{one.text} Joy!") if one.id == "e002" else one for one in told.texts
    )
    strict = choose_pairs(Material(named, told.scores, told.mentions, told.loudest), PairSettings(), EMBEDDER)
    assert "e002" not in {pair.negative.id for pair in strict.by_concept["joy"]}


def test_the_strongest_come_first_and_no_more_than_asked_for() -> None:
    pairs = choose_pairs(material(), PairSettings(max_examples_per_emotion=12), EMBEDDER).by_concept["joy"]
    assert [pair.score for pair in pairs] == [10.0] * 12


def test_a_concept_with_too_few_pairs_is_left_out_and_named() -> None:
    assert choose_pairs(material(), PairSettings(), EMBEDDER).left_out == {"awe": 1}
    named = choose_pairs(material(), PairSettings(concepts=("joy", "envy")), EMBEDDER)
    assert (list(named.by_concept), named.left_out) == (["joy"], {"envy": 0})
    with pytest.raises(BadReadout, match="the graph has: awe, joy"):
        choose_pairs(material(), PairSettings(concepts=("envy",)), EMBEDDER)


def test_the_folder_reads_back_and_replaces_none_but_its_own_kind(tmp_path: Path) -> None:
    folder, settings = tmp_path / "pairs", PairSettings()
    pairs = choose_pairs(material(), settings, EMBEDDER)
    manifest = write_pairs(pairs, folder, settings, "space default")
    assert json.loads((folder / MANIFEST_FILE).read_text()) == json.loads(json.dumps(manifest))
    lines = [json.loads(line) for line in (folder / manifest["concepts"][0]["file"]).read_text().splitlines()]
    assert Counter(line["polarity"] for line in lines) == {POSITIVE: 30, NEGATIVE: 30}
    examples = read_examples(folder)
    assert len(examples.contrasts["joy"].positive) == len(examples.contrasts["joy"].negative) == 30
    assert (examples.left_out, len(examples.neutral)) == ({"awe": 1}, len(pairs.neutral))
    write_pairs(pairs, folder, settings, "space default")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("dear")
    with pytest.raises(ExportExists):
        write_pairs(pairs, tmp_path / "letters", settings, "space default")


def test_a_folder_that_was_changed_is_refused(tmp_path: Path) -> None:
    settings = PairSettings()
    manifest = write_pairs(choose_pairs(material(), settings, EMBEDDER), tmp_path / "pairs", settings, "x")
    (tmp_path / "pairs" / manifest["concepts"][0]["file"]).write_text("{}")
    with pytest.raises(BadReadout, match=r"001-joy\.jsonl was changed"):
        read_examples(tmp_path / "pairs")
    with pytest.raises(BadReadout, match="make one with `slowwave readout pairs`"):
        read_examples(tmp_path)


def test_concepts_come_from_tags_and_from_the_lines_of_a_constitution(chat: Any) -> None:
    mona = chat.episodes[0]
    with chat.database.transaction() as session:
        add_tags(
            session,
            chat.space_id,
            [EmotionTag(mona.id, "joy", 9.0, "j"), EmotionTag(mona.id, "joy", 8.0, "k")],
        )
        line = Principle("value", "family comes first", (chat.episodes[2].id,))
        write(session, chat.space_id, mona.speaker_id, [line], run_id=None)
    settings = PairSettings(min_content_chars=10, kinds=("tags", "principles", "patterns"))
    found = gather(chat.database, chat.space_id, Registry.load(), settings)
    assert found.scores == {
        "joy": {mona.id: 9.0},
        "Mona Berg: family comes first": {chat.episodes[2].id: 10.0},
    }
    assert found.mentions["joy"][mona.id] == 2
    assert len(found.texts) == sum(len(one.text) >= 10 for one in chat.episodes)
