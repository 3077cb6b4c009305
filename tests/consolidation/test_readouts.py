from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from consolidation import readouts
from consolidation.errors import BrokenReadout
from consolidation.readout_settings import LDA
from consolidation.readouts import (
    Activations,
    Contrast,
    Provenance,
    Readout,
    auroc,
    build,
    find_directions,
)
from memory.ports import FloatMatrix

PROVENANCE = Provenance("base" * 16, "template", "recipes/x.json", {"awe": 3}, seed=0)


def planted(n: int = 60, n_layers: int = 3, width: int = 32, strength: float = 2.0) -> FloatMatrix:
    """Noise, and in layer 1 alone three directions of which row i carries number i % 4 (3: none)."""
    random = np.random.default_rng(0)
    acts = random.normal(size=(n, n_layers, width)).astype(np.float32)
    directions = np.eye(width, dtype=np.float32)[:3]
    for row in range(n):
        if row % 4 < 3:
            acts[row, 1] += strength * directions[row % 4]
    return acts


def contrasts(n: int = 60) -> dict[str, Contrast]:
    rows = range(n)
    return {
        name: Contrast(
            tuple(row for row in rows if row % 4 == k), tuple(row for row in rows if row % 4 != k)[: n // 4]
        )
        for k, name in enumerate(("joy", "fear", "pride"))
    }


def test_vectors_are_unit_rows_of_differences_without_their_mean() -> None:
    acts, given = planted(), list(contrasts().values())
    found = find_directions(acts, given, seed=0)
    raw = np.stack([acts[list(c.positive), 1].mean(0) - acts[list(c.negative), 1].mean(0) for c in given])
    centred = raw - raw.mean(0)
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(found.vectors_LKD[1], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.raw_norms_LK[1], np.linalg.norm(centred, axis=1), rtol=1e-4)


def test_held_out_auroc_finds_the_layer_that_carries_the_concept() -> None:
    found = find_directions(planted(300), list(contrasts(300).values()), seed=0)
    assert found.auroc_LK[1].min() > 0.85
    assert found.auroc_LK[[0, 2]].mean() < 0.7
    assert readouts.choose_layers(found, (4, 5, 6), n_kept=1) == (5,)


def test_a_manifest_keeps_the_held_out_auroc_of_every_layer_that_was_tried() -> None:
    acts = planted(300)
    seen = Activations(acts, np.ones(3, np.float32), (4, 5, 6))
    manifest = build(seen, contrasts(300), (), PROVENANCE, n_layers=1).manifest
    assert (manifest.layers, manifest.tried) == ((5,), (4, 5, 6))
    assert manifest.tried_auroc[1] == manifest.auroc[0]
    assert np.mean(manifest.tried_auroc[0]) < np.mean(manifest.tried_auroc[1])


def test_layers_are_chosen_apart_where_there_is_a_choice() -> None:
    auroc_LK = np.array([[0.7], [0.8], [0.9], [0.89], [0.88], [0.6], [0.7], [0.5], [0.5]], np.float32)
    vectors = np.zeros((9, 1, 4), np.float32)
    found = readouts.Directions(vectors, auroc_LK, auroc_LK, vectors)
    assert readouts.choose_layers(found, range(10, 19), n_kept=1) == (12,)
    assert readouts.choose_layers(found, range(10, 19), n_kept=2) == (12, 16)
    assert readouts.choose_layers(found, range(10, 19), n_kept=9) == tuple(range(10, 19))
    few = readouts.Directions(vectors[:3], auroc_LK[:3], auroc_LK[:3], vectors[:3])
    assert readouts.choose_layers(few, (3, 4, 9), n_kept=3) == (3, 4, 9)


def test_noise_scores_chance_on_texts_held_out() -> None:
    """In sample, 32 dimensions would separate these few rows by far."""
    found = find_directions(planted(strength=0.0), list(contrasts().values()), seed=0)
    assert abs(float(found.auroc_LK.mean()) - 0.5) < 0.12


def test_what_neutral_texts_differ_in_is_taken_out() -> None:
    acts, neutral = planted(200), [row for row in range(200) if row % 4 == 3]
    found = find_directions(acts, list(contrasts(200).values()), neutral, seed=0)
    for layer in range(acts.shape[1]):
        common = readouts.components(acts[neutral, layer])
        assert len(common) == 10
        assert np.abs(found.vectors_LKD[layer] @ common.T).max() < 1e-5


def test_a_dimension_that_swings_with_the_topic_does_not_hide_the_concept() -> None:
    acts, neutral = planted(200), [row for row in range(200) if row % 4 == 3]
    acts[:, :, 20] += 300 * np.random.default_rng(1).normal(size=(200, 1)).astype(np.float32)
    given = list(contrasts(200).values())
    plain = find_directions(acts, given, seed=0).auroc_LK[1].mean()
    cleared = find_directions(acts, given, neutral, seed=0).auroc_LK[1].mean()
    assert cleared > plain + 0.15


@pytest.mark.parametrize(
    ("positive", "negative", "expected"), [([2, 3], [0, 1], 1.0), ([0], [1], 0.0), ([1], [1], 0.5)]
)
def test_auroc_counts_ties_half(positive: list[float], negative: list[float], expected: float) -> None:
    assert auroc(np.array(positive, np.float32), np.array(negative, np.float32)) == expected


def test_neutral_text_reads_as_zero_with_spread_one() -> None:
    acts = planted(200)
    neutral = [row for row in range(200) if row % 4 == 3]
    readout = build(
        Activations(acts, np.ones(3, np.float32), (4, 5, 6)), contrasts(200), neutral, PROVENANCE, n_layers=1
    )
    read = readout.read(acts[:, [1]])
    joy = np.array([row["joy"] for row in read])
    assert abs(joy[neutral].mean()) < 1e-4
    assert joy[neutral].std() == pytest.approx(1, abs=1e-3)
    assert joy[0::4].mean() > 1


def test_a_file_comes_back_as_it_was_and_is_named_by_content(tmp_path: Path) -> None:
    readout = build(
        Activations(planted(), np.ones(3, np.float32), (4, 5, 6)), contrasts(), (), PROVENANCE, n_layers=2
    )
    folder, sha256 = readouts.write_readout(readout, tmp_path)
    assert readouts.write_readout(readout, tmp_path) == (folder, sha256)
    assert folder.name == sha256[:12]
    again = readouts.read_readout(folder)
    assert again.manifest == readout.manifest
    assert all(
        np.array_equal(again.vectors[layer], readout.vectors[layer]) for layer in readout.manifest.layers
    )


def test_the_file_has_the_form_that_the_design_names(tmp_path: Path) -> None:
    readout = build(Activations(planted(), np.ones(3, np.float32), (4, 5, 6)), contrasts(), (), PROVENANCE)
    folder, _ = readouts.write_readout(readout, tmp_path)
    tensors = load_file(folder / readouts.VECTORS_FILE)
    manifest = json.loads((folder / readouts.MANIFEST_FILE).read_text(encoding="utf-8"))
    assert {name: tensor.shape for name, tensor in tensors.items()} == {
        f"layer_{layer}.vectors": (3, 32) for layer in (4, 5, 6)
    }
    assert (manifest["concepts"], manifest["layers"]) == (["joy", "fear", "pride"], [4, 5, 6])
    np.testing.assert_allclose(np.array(manifest["cross_talk"])[:, range(3), range(3)], 1, atol=1e-4)


def test_a_damaged_or_foreign_file_is_refused(tmp_path: Path) -> None:
    readout = build(Activations(planted(), np.ones(3, np.float32), (4, 5, 6)), contrasts(), (), PROVENANCE)
    folder, _ = readouts.write_readout(readout, tmp_path)
    with pytest.raises(BrokenReadout, match="made with model basebasebase"):
        readouts.read_readout(folder).check_model("other")
    (folder / readouts.VECTORS_FILE).write_bytes(b"cut")
    with pytest.raises(BrokenReadout):
        readouts.read_readout(folder)


def test_a_whitened_direction_reads_what_a_swinging_dimension_hides_without_neutral_texts() -> None:
    acts = planted(400)
    acts[:, :, 20] += 300 * np.random.default_rng(1).normal(size=(400, 1)).astype(np.float32)
    given = list(contrasts(400).values())
    plain = find_directions(acts, given, seed=0).auroc_LK[1].mean()
    white = find_directions(acts, given, seed=0, method=LDA).auroc_LK[1].mean()
    assert white > plain + 0.15


def whitened() -> Readout:
    return build(
        Activations(planted(), np.ones(3, np.float32), (4, 5, 6)),
        contrasts(),
        (),
        PROVENANCE,
        n_layers=2,
        method=LDA,
    )


def test_a_whitened_readout_carries_the_plain_differences_to_steer_by(tmp_path: Path) -> None:
    plain = build(
        Activations(planted(), np.ones(3, np.float32), (4, 5, 6)), contrasts(), (), PROVENANCE, n_layers=3
    )
    folder, _ = readouts.write_readout(whitened(), tmp_path)
    again = readouts.read_readout(folder)
    assert again.manifest.method == "lda"
    assert len(again.manifest.shrinkage) == 2
    for layer in again.manifest.layers:
        np.testing.assert_allclose(again.to_steer()[layer], plain.vectors[layer], atol=1e-6)
        assert np.abs((again.vectors[layer] ** 2).sum(axis=1) - 1).max() < 1e-5
        assert not np.allclose(again.vectors[layer], plain.vectors[layer], atol=0.05)
    assert plain.to_steer() is plain.vectors


def test_two_files_alone_are_read_but_do_not_steer(tmp_path: Path) -> None:
    folder, _ = readouts.write_readout(whitened(), tmp_path)
    (folder / readouts.STEERING_FILE).unlink()
    with pytest.raises(BrokenReadout, match=r"steering\.safetensors is missing"):
        readouts.read_readout(folder).to_steer()


def test_another_readouts_directions_to_steer_by_are_refused(tmp_path: Path) -> None:
    folder, _ = readouts.write_readout(whitened(), tmp_path)
    (folder / readouts.STEERING_FILE).write_bytes((folder / readouts.VECTORS_FILE).read_bytes())
    with pytest.raises(BrokenReadout):
        readouts.read_readout(folder)


def test_a_file_from_before_methods_had_names_is_read(tmp_path: Path) -> None:
    readout = build(Activations(planted(), np.ones(3, np.float32), (4, 5, 6)), contrasts(), (), PROVENANCE)
    folder, _ = readouts.write_readout(readout, tmp_path)
    path = folder / readouts.MANIFEST_FILE
    old = json.loads(path.read_text(encoding="utf-8"))
    for name in ("method", "shrinkage", "steering_sha256"):
        del old[name]
    path.write_text(json.dumps(old), encoding="utf-8")
    assert readouts.read_readout(folder).manifest == readout.manifest


def test_the_environment_names_files_and_our_names_win() -> None:
    theirs = {"VLLM_READOUT_VECTORS": "a", "VLLM_READOUT_MANIFEST": "b"}
    ours = {"SLOWWAVE_READOUT_VECTORS": "c", "SLOWWAVE_READOUT_MANIFEST": "d"}
    assert readouts.paths_from({}) is None
    assert readouts.paths_from(theirs) == (Path("a"), Path("b"))
    assert readouts.paths_from(theirs | ours) == (Path("c"), Path("d"))
