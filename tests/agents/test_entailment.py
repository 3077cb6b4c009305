from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.encoder_changes import sha256
from agents.entailment import (
    CONTRADICTION,
    ENTAILMENT,
    HEAD_PATH,
    LABELS,
    EntailmentHead,
    EntailmentWeights,
    PairTokenizer,
    as_dialogue,
    as_hypothesis,
    as_premise,
)
from agents.entailment_pairs import Pair, make_pairs
from agents.entailment_training import (
    TrainingSettings,
    _rows,
    _tensors,
    hold_out,
    measure,
    read_pairs,
    scores,
    train_head,
)
from agents.errors import BadHead
from memory.embedders.minilm import WEIGHTS, MiniLM

PREMISES = (
    "<A> we sold the boat last spring <B> oh that is a pity <A> yeah I miss it",
    "Marta lives in Leuven.",
    "Pavel: i work as a welder Inga: since when?",
)
HYPOTHESES = ("Person A still owns the boat.", "Marta lives in Antwerp.", "Pavel works as a welder.")
SMALL = TrainingSettings(
    rank=2, epochs=6, batch=8, lr=5e-3, warm_up=5, n_facts=0, held_out=0.2, mean_decay=0.5
)


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM.load()


@pytest.fixture(scope="module")
def head(encoder: MiniLM) -> EntailmentHead:
    return EntailmentHead.load(encoder)


@pytest.fixture(scope="module")
def easy() -> list[Pair]:
    """Pairs whose label the hypothesis gives away."""
    endings = ("this is so", "nobody knows", "this is false")
    return [Pair(f"<A> number {i} <B> mm", endings[i % 3], i % 3) for i in range(48)]


@pytest.fixture(scope="module")
def trained(easy: list[Pair]) -> EntailmentWeights:
    return train_head(easy, SMALL)


def test_numpy_and_torch_agree(encoder: MiniLM) -> None:
    import torch

    from agents.entailment_network import PairNetwork

    rng = torch.Generator().manual_seed(1)
    network = PairNetwork(encoder.folder, rank=2, scale=2.0, seed=1, dtype=torch.float32)
    with torch.no_grad():
        for weight in network.trained.values():
            weight.add_(torch.randn(weight.shape, generator=rng) * 0.02)
    learnt = {name: weight.detach().numpy() for name, weight in network.trained.items()}
    scale = TrainingSettings(rank=2).scale
    weights = EntailmentWeights.of_trained(learnt, scale, sha256(encoder.folder / WEIGHTS), {})
    pairs = [Pair(p, h, 0) for p, h in zip(PREMISES, HYPOTHESES, strict=True)]
    with torch.no_grad():
        batch = _tensors(_rows(pairs, PairTokenizer(encoder.folder)))
        expected = network.logits(network.merged(), batch).softmax(dim=1).numpy()
    np.testing.assert_allclose(
        EntailmentHead(weights, encoder).judge(PREMISES, HYPOTHESES), expected, atol=1e-4
    )


def test_rows_are_probabilities_and_no_pairs_give_no_rows(head: EntailmentHead) -> None:
    found = head.judge(PREMISES, HYPOTHESES)
    assert found.shape == (3, len(LABELS))
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert head.judge([], []).shape == (0, 3)


def test_a_pair_is_judged_the_same_in_any_company(head: EntailmentHead) -> None:
    alone = np.concatenate([head.judge([p], [h]) for p, h in zip(PREMISES, HYPOTHESES, strict=True)])
    np.testing.assert_allclose(head.judge(PREMISES, HYPOTHESES), alone, atol=1e-4)


def test_the_shipped_head_tells_facts_that_exclude_each_other(head: EntailmentHead) -> None:
    found = head.judge(PREMISES, HYPOTHESES)
    assert found.argmax(axis=1).tolist() == [CONTRADICTION, CONTRADICTION, ENTAILMENT]


def test_the_shipped_head_is_small_and_tells_where_it_comes_from(head: EntailmentHead) -> None:
    manifest = json.loads(HEAD_PATH.with_suffix(".json").read_text(encoding="utf-8"))
    assert HEAD_PATH.stat().st_size < 2_000_000
    assert {"base_sha256", "train_sha256", "dev_sha256", "settings", "dev", "source"} <= manifest.keys()
    assert manifest["parameters"] == head.weights.n_parameters


def test_the_end_of_a_long_talk_is_read(head: EntailmentHead) -> None:
    long = as_dialogue([("Ola", "and then we talked about the garden and the roses"), ("Per", "mm")] * 60)
    said = f"{long} Ola: I live in Odense."
    assert head.judge([said], ["Ola lives in Aarhus. " * 100]).shape == (1, 3)
    late, early = head.judge([said, f"Ola: I live in Odense. {long}"], ["Ola lives in Odense."] * 2)
    assert late[ENTAILMENT] > early[ENTAILMENT]


def test_lists_of_different_length_are_refused(head: EntailmentHead) -> None:
    with pytest.raises(ValueError, match="2 premises for 1 hypotheses"):
        head.judge(["a", "b"], ["c"])


def test_tags_of_transcripts_become_speakers() -> None:
    assert as_premise("<A> yeah in <Mother> well then") == "speaker A: yeah in Mother: well then"
    assert as_hypothesis("Person A asks a person") == "speaker A asks a person"
    assert as_premise(as_dialogue([("Ola", "5 < 6")])) == "Ola: 5 < 6"


def test_saved_and_loaded_heads_agree(trained: EntailmentWeights, encoder: MiniLM, tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    trained.save(path)
    before = EntailmentHead(trained, encoder).judge(PREMISES, HYPOTHESES)
    after = EntailmentHead.load(encoder, path).judge(PREMISES, HYPOTHESES)
    np.testing.assert_allclose(before, after, atol=2e-2)


def test_a_damaged_head_or_another_encoder_is_refused(
    trained: EntailmentWeights, encoder: MiniLM, tmp_path: Path
) -> None:
    path = tmp_path / "head.safetensors"
    with pytest.raises(BadHead, match=r"python -m agents\.entailment_training"):
        EntailmentHead.load(encoder, path)
    for suffix in (".safetensors", ".json"):
        shutil.copy(HEAD_PATH.with_suffix(suffix), path.with_suffix(suffix))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(BadHead, match="describes another file"):
        EntailmentHead.load(encoder, path)
    with pytest.raises(BadHead, match="trained on other weights"):
        EntailmentHead(replace(trained, changes=replace(trained.changes, base_sha256="0" * 64)), encoder)


def test_judging_leaves_torch_unloaded() -> None:
    code = (
        "import sys; from agents.entailment import EntailmentHead; from memory.embedders.minilm import MiniLM; "
        "EntailmentHead.load(MiniLM.load()).judge(['a'], ['b']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_training_learns_and_is_deterministic(
    easy: list[Pair], trained: EntailmentWeights, encoder: MiniLM
) -> None:
    assert measure(EntailmentHead(trained, encoder), easy)["macro_f1"] > 0.9
    again = train_head(easy, replace(SMALL, epochs=1))
    once_more = train_head(easy, replace(SMALL, epochs=1))
    assert np.array_equal(again.out, once_more.out)
    assert all(
        np.array_equal(again.changes.lora[name][1], once_more.changes.lora[name][1])
        for name in again.changes.lora
    )


def test_no_dialogue_is_on_both_sides() -> None:
    pairs = [Pair(f"talk {i // 3}", f"claim {i}", i % 3) for i in range(400)]
    learnt, aside = hold_out(pairs, 0.1, seed=0)
    assert 40 <= len(aside) <= 44
    assert len(learnt) + len(aside) == 400
    assert not {pair.premise for pair in learnt} & {pair.premise for pair in aside}


def test_rows_without_a_label_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(
        "<A> mm \tA agrees.\tEntailment\nno label\there\n\n<A> no\tA agrees.\tcontradiction\n", "utf-8"
    )
    assert [pair.label for pair in read_pairs(path)] == [ENTAILMENT, CONTRADICTION]


def test_macro_f1_is_the_mean_over_labels() -> None:
    found = scores(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]))
    assert found["per_label"] == {"entailment": 0.6667, "neutral": 0.5, "contradiction": 0.0}
    assert found["macro_f1"] == 0.3889


def test_invented_pairs_repeat_under_a_seed_and_labels_are_level() -> None:
    pairs = make_pairs(300, seed=4)
    assert pairs == make_pairs(300, seed=4)
    assert pairs != make_pairs(300, seed=5)
    assert [sum(pair.label == label for pair in pairs) for label in range(3)] == [100, 100, 100]
    assert all(pair.premise.strip() and "{" not in pair.premise + pair.hypothesis for pair in pairs)


def test_values_held_out_are_not_learnt() -> None:
    learnt = " ".join(pair.premise + pair.hypothesis for pair in make_pairs(3000, seed=0))
    aside = " ".join(pair.premise + pair.hypothesis for pair in make_pairs(600, seed=0, is_held_out=True))
    for value in ("Zadar", "Riverside Gym", "Jolanta", "receptionist"):
        assert value in aside
        assert value not in learnt
