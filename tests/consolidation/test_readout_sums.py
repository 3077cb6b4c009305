from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consolidation import readout_sums, readouts
from consolidation.errors import BrokenReadout
from consolidation.readout_sums import Basis, Fresh, Members, Neutral, RunningSums
from consolidation.readouts import Activations, Contrast, Provenance
from memory.ports import FloatMatrix

LAYERS, HIDDEN = (4, 5, 6), 24
BASIS = Basis("base" * 16, "template", LAYERS, "mean of content tokens", 5.0, seed=0)
CONCEPTS = ("joy", "fear", "pride")
PROVENANCE = Provenance(BASIS.model_hash, BASIS.template_hash, "recipes/x.json", {}, seed=0)


def planted(n: int, strength: float = 2.0) -> FloatMatrix:
    """Noise, and in layer 5 alone three directions of which text i carries number i % 4 (3: none)."""
    acts_NLD = np.random.default_rng(0).normal(size=(n, len(LAYERS), HIDDEN)).astype(np.float32)
    for row in range(n):
        if row % 4 < 3:
            acts_NLD[row, 1, row % 4] += strength
    return acts_NLD


def name(row: int) -> str:
    return f"e{row:04}"


def members(rows: Sequence[int]) -> dict[str, Members]:
    found = {}
    for k, concept in enumerate(CONCEPTS):
        positive = tuple(name(row) for row in rows if row % 4 == k)
        negative = tuple(name(row) for row in rows if row % 4 not in (k, 3))
        found[concept] = Members(positive, negative, len(positive))
    return found


def neutral(rows: Sequence[int]) -> Neutral:
    return Neutral(tuple(readout_sums.sample([name(row) for row in rows if row % 4 == 3], 40, BASIS.seed)))


def fresh(acts_NLD: FloatMatrix, rows: Sequence[int]) -> Fresh:
    return Fresh(tuple(name(row) for row in rows), acts_NLD[list(rows)])


def after(acts_NLD: FloatMatrix, *nights: Sequence[int]) -> RunningSums:
    """The sums after nights that each brought these rows; neutral texts are read anew each night."""
    sums, so_far = RunningSums.empty(BASIS, HIDDEN), []
    for rows in nights:
        so_far = sorted({*so_far, *rows})
        sums = sums.add(members(rows), neutral(so_far), fresh(acts_NLD, so_far), "recipes/x.json")
    return sums


def tonight(sums: RunningSums, acts_NLD: FloatMatrix) -> FloatMatrix:
    return acts_NLD[[int(key[1:]) for key in sums.neutral.ids]]


def test_nights_one_after_the_other_give_what_one_pass_over_all_gives() -> None:
    acts = planted(480)
    once, nightly = (
        after(acts, range(480)),
        after(acts, range(100), range(100, 200), range(200, 430), range(430, 480)),
    )
    whole, summed = once.directions(tonight(once, acts)), nightly.directions(tonight(nightly, acts))
    for field in ("vectors_LKD", "steering_LKD", "raw_norms_LK", "auroc_LK"):
        np.testing.assert_allclose(getattr(summed, field), getattr(whole, field), atol=1e-5)
    assert once.witnesses == nightly.witnesses
    assert once.episodes == nightly.episodes


@pytest.mark.parametrize("widest", [HIDDEN, HIDDEN - 1])
def test_sums_give_the_directions_of_the_texts_themselves(
    widest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whitened where the hidden size allows the second moment, by differences of means alone where it does not."""
    monkeypatch.setattr(readout_sums, "MAX_WHITENED", widest)
    acts, rows = planted(300), range(300)
    sums = after(acts, range(200), range(200, 300))
    contrasts = [
        Contrast(tuple(int(key[1:]) for key in one.positive), tuple(int(key[1:]) for key in one.negative))
        for one in members(rows).values()
    ]
    quiet = [int(key[1:]) for key in sums.neutral.ids]
    seen = sorted(
        {row for contrast in contrasts for row in (*contrast.positive, *contrast.negative)} | {*quiet}
    )
    place = {row: index for index, row in enumerate(seen)}
    moved = [
        Contrast(tuple(place[r] for r in c.positive), tuple(place[r] for r in c.negative)) for c in contrasts
    ]
    expected = readouts.find_directions(
        acts[seen], moved, [place[row] for row in quiet], seed=0, method=sums.method
    )
    found = sums.directions(tonight(sums, acts))
    np.testing.assert_allclose(found.vectors_LKD, expected.vectors_LKD, atol=1e-5)
    np.testing.assert_allclose(found.steering_LKD, expected.steering_LKD, atol=1e-5)
    np.testing.assert_allclose(found.raw_norms_LK, expected.raw_norms_LK, rtol=1e-4)


def test_held_out_auroc_finds_the_layer_that_carries_the_concept_and_gives_noise_chance() -> None:
    acts = planted(480)
    carried = after(acts, range(240), range(240, 480))
    auroc_LK = carried.directions(tonight(carried, acts)).auroc_LK
    assert auroc_LK[1].min() > 0.8
    noise = planted(480, strength=0.0)
    nothing = after(noise, range(480))
    assert abs(float(nothing.directions(tonight(nothing, noise)).auroc_LK.mean()) - 0.5) < 0.08


def test_a_file_comes_back_as_it_was_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    acts = planted(120)
    sums = after(acts, range(120))
    sums.save(tmp_path)
    again = RunningSums.load(tmp_path)
    assert (again.members, again.neutral, again.basis) == (sums.members, sums.neutral, sums.basis)
    np.testing.assert_array_equal(
        again.directions(tonight(again, acts)).vectors_LKD, sums.directions(tonight(sums, acts)).vectors_LKD
    )
    content = (tmp_path / readout_sums.FILE).read_bytes()
    (tmp_path / readout_sums.FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(BrokenReadout):
        RunningSums.load(tmp_path)


def test_whose_activations_are_in_the_sums_is_known_even_of_a_concept_that_was_dropped() -> None:
    acts = planted(120)
    sums = after(acts, range(120))
    kept = {"joy": Members(n_found=30), "fear": Members(n_found=30)}
    later = sums.add(kept, sums.neutral, Fresh((), acts[:0]), "recipes/y.json")
    assert tuple(later.members) == ("joy", "fear")
    assert later.episodes == sums.episodes
    assert later.recipes == ("recipes/x.json", "recipes/y.json")


def test_drift_counts_what_texts_do_not_have_in_common() -> None:
    acts = planted(240)
    sums = after(acts, range(240))
    quiet = tonight(sums, acts)
    assert sums.drift(Fresh(sums.neutral.ids, quiet + 3)) < 1e-5
    turned = quiet.copy()
    turned[::2] += 3
    assert sums.drift(Fresh(sums.neutral.ids, turned)) > 0.3


def test_the_readout_reads_neutral_texts_as_zero_with_spread_one() -> None:
    acts = planted(240)
    sums = after(acts, range(240))
    quiet = Activations(tonight(sums, acts), np.ones(3, np.float32), LAYERS)
    readout = sums.readout(sums.directions(quiet.acts_NLD), (5,), quiet, PROVENANCE)
    joy = np.array([one["joy"] for one in readout.read(quiet.acts_NLD[:, [1]])])
    assert abs(joy.mean()) < 1e-4
    assert joy.std() == pytest.approx(1, abs=1e-3)
    assert readout.manifest.n_positive == (60, 60, 60)
    assert np.mean([one["joy"] for one in readout.read(acts[0::4][:, [1]])]) > 1


def test_texts_that_stand_in_for_neutral_ones_take_no_components_out() -> None:
    acts = planted(240)
    sums = after(acts, range(240))
    stand_in = replace(sums, neutral=replace(sums.neutral, is_stand_in=True))
    quiet = Activations(tonight(sums, acts), np.ones(3, np.float32), LAYERS)
    readout = stand_in.readout(stand_in.directions(quiet.acts_NLD), LAYERS, quiet, PROVENANCE)
    assert readout.manifest.n_components == 0
