from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.encoder_changes import sha256
from agents.errors import BadHead
from agents.span_examples import Example, Material
from agents.span_head import (
    MAX_BEFORE,
    MAX_TEXT,
    ME,
    SpanHead,
    SpanWeights,
    Turn,
    TurnTokenizer,
    decoded,
)
from agents.span_training import TrainingSettings, batch_of, rows_of, train_head
from memory.embedders.minilm import WEIGHTS, MiniLM

WORDS = Material(
    (), {"city": ("Brno", "Lyon", "Quito", "Accra", "Porto")}, ("well,",), ("haha",), ("how are you?",)
)
SMALL = TrainingSettings(
    rank=4, epochs=16, batch=8, lr=5e-3, warm_up=5, mean_decay=0.5, masked=0.0, dropout=0.0
)
TURNS = (
    Turn("where do you live now?", False, "brno, since march"),
    Turn("", False, "my sister Ines is a nurse at St Brigid's"),
    Turn("guess what", True, "we got a puppy!! her name is Pickle 🐶"),
)


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM.load()


def test_each_token_knows_its_place_in_the_message_that_it_is_from(encoder: MiniLM) -> None:
    (tokens, *_) = TurnTokenizer(encoder.folder)(TURNS)
    before, text = (
        [TURNS[0].before[a:b] for a, b in tokens.spans[3 : tokens.n_first - 1]],
        [TURNS[0].text[a:b] for a, b in tokens.spans[tokens.n_first : -1]],
    )
    assert before == ["where", "do", "you", "live", "now", "?"]
    assert "".join(text) == "brno,sincemarch"


def test_of_a_long_message_before_the_end_is_read_and_of_a_long_text_the_start(encoder: MiniLM) -> None:
    (tokens,) = TurnTokenizer(encoder.folder)([Turn("a " * 90 + "z", False, "b " + "y " * 200)])
    assert tokens.n_first == MAX_BEFORE + 2
    assert len(tokens.ids) == tokens.n_first + MAX_TEXT + 1
    place = tokens.spans[tokens.n_first - 2]
    assert ("a " * 90 + "z")[slice(*place)] == "z"
    assert tokens.spans[tokens.n_first] == (0, 1)


def test_the_head_reads_what_the_network_in_training_reads(encoder: MiniLM) -> None:
    import torch

    from agents.span_network import Shape, SpanNetwork

    network = SpanNetwork(encoder.folder, Shape(4, 2.0, 3), 0, torch.float32)
    with torch.no_grad():
        for weight in network.trained.values():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
        rows = rows_of(
            [Example(t.before, t.is_same, t.text, ()) for t in TURNS], TurnTokenizer(encoder.folder)
        )
        scores_BTF = network.scores(network.merged(), batch_of(rows)).numpy()
    learnt = {name: weight.detach().numpy() for name, weight in network.trained.items()}
    head = SpanHead(
        SpanWeights.of_trained(learnt, SMALL.scale, sha256(encoder.folder / WEIGHTS), {}), encoder
    )
    for spans, row, scores_TF in zip(head.read(TURNS), rows, scores_BTF, strict=True):
        wanted = list(decoded(row.tokens, scores_TF[: len(row.tokens.ids)]))
        assert [(s.start, s.end, s.predicate, s.change, s.subject) for s in spans] == [
            (s.start, s.end, s.predicate, s.change, s.subject) for s in wanted
        ]
        np.testing.assert_allclose([s.probability for s in spans], [s.probability for s in wanted], atol=1e-3)
    assert any(head.read(TURNS))


def test_the_shipped_head_reads_what_is_told_sideways(encoder: MiniLM) -> None:
    read = SpanHead.load(encoder).read(
        [
            Turn("where are you living now?", False, "porto, since the summer"),
            Turn("", False, "got the keys!! officially in Lyon now"),
            Turn("and what does she do?", False, "she's a nurse"),
        ]
    )
    told = [(span.predicate, span.subject) for spans in read for span in spans]
    assert told == [("lives_in", ME), ("lives_in", ME), ("job", (False, 0))]


def test_the_shipped_head_finds_nothing_in_small_talk(encoder: MiniLM) -> None:
    said = (
        "haha no way",
        "see you on friday then",
        "dinner on saturday?",
        "the bus is late again",
    )
    assert SpanHead.load(encoder).read([Turn("", False, text) for text in said]) == [[], [], [], []]


def test_the_same_lines_and_seed_train_the_same_head() -> None:
    settings = replace(SMALL, epochs=1)
    heads = [train_head(["i live in {lives_in:$city}"] * 8, WORDS, [], settings) for _ in range(2)]
    np.testing.assert_array_equal(heads[0].out, heads[1].out)


def test_a_damaged_head_is_refused_with_the_command_that_trains_it(encoder: MiniLM, tmp_path: Path) -> None:
    head = train_head(["hello $city"] * 4, WORDS, [], replace(SMALL, epochs=1))
    head.save(tmp_path / "span_head.safetensors")
    (tmp_path / "span_head.safetensors").write_bytes(b"nothing")
    with pytest.raises(BadHead, match="span_training"):
        SpanHead.load(encoder, tmp_path / "span_head.safetensors")
