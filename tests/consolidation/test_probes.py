"""Probes on planted activations: each method finds what is there, finds nothing where nothing is, and says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents.runtime.token_rules import LAST
from consolidation import probe_fits
from consolidation.errors import BadProbe, BrokenProbe, UnusableProbe
from consolidation.probe_fits import CORRECTED, FITS, LOGISTIC, MASS_MEAN, TWO_D
from consolidation.probe_sets import LabelledSet, LabelledText, is_negated, read_set
from consolidation.probe_training import (
    Readings,
    Source,
    accuracy_on,
    activations,
    build,
    choose_method,
    closed,
    folds_of,
    joined,
    layers_to_try,
    readings_of,
    train,
)
from consolidation.probes import (
    LABELS,
    TRUTH,
    Accuracy,
    Probe,
    read_probe,
    verdict,
    wilson_bound,
    write_probe,
)
from consolidation.readouts import MANIFEST_FILE, VECTORS_FILE
from memory.ports import FloatMatrix

SOURCE = Source("base" * 16, "template", None, LAST)
WIDTH = 24


def planted(
    *, n: int = 240, strength: float = 3.0, flips: float = 0.0, negated: bool = True, seed: int = 0
) -> Readings:
    """Two layers of noise; in the second truth is along dimension 0, and along dimension 1 turned round where negated.

    Dimension 2 says whether the statement is negated.
    """
    rng = np.random.default_rng(seed)
    is_true, is_not = np.arange(n) % 2 == 0, (np.arange(n) // 2) % 2 == 0
    is_not &= negated
    acts = rng.normal(size=(n, 2, WIDTH)).astype(np.float32)
    sign, polarity = np.where(is_true, 1, -1), np.where(is_not, -1, 1)
    acts[:, 1, 0] += strength * sign
    acts[:, 1, 1] += flips * sign * polarity
    acts[:, :, 2] += 4 * polarity[:, None]
    texts = tuple(
        LabelledText(f"statement {i}", int(is_true[i]), bool(is_not[i]), f"group {i // 2}") for i in range(n)
    )
    return Readings(f"planted {seed}", TRUTH, texts, acts, np.ones(2, np.float32), (4, 7))


def graded(*, strength: float = 3.0, middle: float = 1.0) -> Readings:
    """Labels 1 to 5 along dimension 0; `middle` scales how far 2 to 4 are apart."""
    rng = np.random.default_rng(3)
    labels = np.arange(250) % 5 + 1
    acts = rng.normal(size=(250, 2, WIDTH)).astype(np.float32)
    along = np.where(np.isin(labels, (1, 5)), labels - 3, middle * (labels - 3))
    acts[:, 1, 0] += strength / 2 * along
    texts = tuple(LabelledText(f"message {i}", int(label), False, f"m{i}") for i, label in enumerate(labels))
    return Readings("warmth", LABELS, texts, acts, np.ones(2, np.float32), (4, 7))


@pytest.mark.parametrize("method", list(FITS))
def test_every_method_finds_a_planted_direction_at_its_layer(method: str) -> None:
    trained = train(planted(), method, seed=0)
    assert trained.layer == 7
    right = (trained.held_out_logits_N > 0) == planted().is_yes
    assert right.mean() > 0.95
    assert accuracy_on(trained.linear, trained.layer, planted(seed=1)).accuracy > 0.95


@pytest.mark.parametrize("method", list(FITS))
def test_a_layer_chosen_among_noise_gains_nothing_on_held_out_texts(method: str) -> None:
    noise = planted(strength=0.0)
    accuracy = ((train(noise, method, seed=0).held_out_logits_N > 0) == noise.is_yes).mean()
    assert abs(accuracy - 0.5) < 0.1


def test_the_covariance_takes_out_a_loud_dimension_that_says_nothing() -> None:
    rng = np.random.default_rng(0)
    rows, other = planted(strength=1.0), planted(strength=1.0, seed=1)
    for one in (rows, other):  # a dimension with a large variance that the one that tells leaks into
        loud = 10 * rng.normal(size=len(one.texts)).astype(np.float32)
        one.acts_NLD[:, 1, 5] += loud
        one.acts_NLD[:, 1, 0] += loud
    plain = FITS[MASS_MEAN](rows.acts_NLD[:, 1], rows.is_yes, rows.is_negated)
    tilted = FITS[CORRECTED](rows.acts_NLD[:, 1], rows.is_yes, rows.is_negated)
    assert accuracy_on(tilted, 7, other).accuracy > accuracy_on(plain, 7, other).accuracy + 0.1


def test_two_dimensions_hold_where_one_direction_flips_with_the_polarity() -> None:
    both = planted(flips=4.0)
    affirmed = both.at(~both.is_negated)
    alone = train(affirmed, MASS_MEAN, seed=0).linear
    two = train(both, TWO_D, seed=0).linear
    denied = planted(flips=4.0, seed=1)
    denied = denied.at(denied.is_negated)
    assert accuracy_on(alone, 7, denied).accuracy < 0.5
    assert accuracy_on(two, 7, denied).accuracy > 0.9
    truth, polarity = np.abs(two.directions_KD)
    assert int(truth.argmax()) == 0
    assert int(polarity.argmax()) == 2


def test_the_logistic_probe_is_where_its_loss_has_no_slope() -> None:
    rows = planted(n=60, strength=0.5)
    acts = rows.acts_NLD[:, 1].astype(np.float64)
    linear = FITS[LOGISTIC](rows.acts_NLD[:, 1], rows.is_yes, rows.is_negated)
    standard = (acts - acts.mean(0)) / acts.std(0)
    weights = linear.directions_KD[0] * linear.coefficients[0] * acts.std(0)
    pull = 1 / (1 + np.exp(-linear.logits(rows.acts_NLD[:, 1]))) - rows.is_yes
    np.testing.assert_allclose(standard.T @ pull + probe_fits.RIDGE * weights, 0, atol=1e-3)


def test_the_shrunk_covariance_is_the_covariance_where_there_are_many_rows() -> None:
    rng = np.random.default_rng(0)
    factor, vector = rng.normal(size=(6, 6)), rng.normal(size=6)
    found = probe_fits.solve_shrunk(rng.normal(size=(3000, 6)) @ factor, vector)
    expected = np.linalg.solve(factor.T @ factor, vector)
    assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) > 0.98


def test_few_rows_are_shrunk_as_ledoit_and_wolf_write_it() -> None:
    """Lemma 3.2 to 3.5 of the paper, word for word, with matrices of every dimension."""
    rng = np.random.default_rng(1)
    rows, vector = rng.normal(size=(8, 12)) * np.arange(1, 13), rng.normal(size=12)
    sample = rows.T @ rows / 8
    m = np.trace(sample) / 12
    d2 = ((sample - m * np.eye(12)) ** 2).sum() / 12
    b2 = min(d2, sum(((np.outer(row, row) - sample) ** 2).sum() / 12 for row in rows) / 8**2)
    shrunk = b2 / d2 * m * np.eye(12) + (d2 - b2) / d2 * sample + 1e-6 * m * np.eye(12)
    np.testing.assert_allclose(
        probe_fits.solve_shrunk(rows, vector), np.linalg.solve(shrunk, vector), rtol=1e-4
    )


def test_groups_are_never_parted_and_labels_are_spread() -> None:
    rows = planted()
    folds = folds_of(rows, 5)
    for group in set(rows.groups):
        assert len({fold for fold, one in zip(folds, rows.groups, strict=True) if one == group}) == 1
    assert min(rows.is_yes[folds == fold].mean() for fold in range(3)) > 0.4
    assert np.array_equal(folds, folds_of(rows, 5))


def test_training_repeats_under_its_seed() -> None:
    one, two = (build("truth", planted(), [planted(seed=1)], SOURCE, seed=4) for _ in range(2))
    assert one.manifest == two.manifest
    assert np.array_equal(one.vectors[7], two.vectors[7])


def test_the_method_goes_by_what_the_labels_allow() -> None:
    assert choose_method(planted()) == TWO_D
    assert choose_method(planted(negated=False)) == MASS_MEAN
    assert choose_method(graded()) == CORRECTED


def test_a_truth_probe_is_usable_only_when_it_holds_on_every_other_set() -> None:
    held = build("truth", planted(), [planted(seed=1)], SOURCE)
    assert held.manifest.usable
    untested = build("truth", planted(), [], SOURCE)
    assert not untested.manifest.usable
    assert "no other set" in untested.manifest.reason
    missed = build("truth", planted(), [planted(seed=1), planted(seed=2, strength=0.0)], SOURCE)
    assert not missed.manifest.usable
    assert "planted 2" in missed.manifest.reason


def test_labels_train_on_the_extremes_and_are_tested_on_the_middle() -> None:
    found = build("warmth", graded(), [], SOURCE).manifest
    assert found.usable
    assert found.trained_on == {"warmth": 100}
    assert found.labels == {str(label): 50 for label in range(1, 6)}
    assert found.rank is not None
    assert found.rank.at_least > 0.3
    turned = build("warmth", graded(middle=-1.0), [], SOURCE).manifest
    assert not turned.usable
    assert "not in order" in turned.reason


def test_a_probe_at_chance_states_it_and_reads_nothing() -> None:
    chance = build("truth", planted(strength=0.0), [planted(strength=0.0, seed=1)], SOURCE)
    assert not chance.manifest.usable
    with pytest.raises(UnusableProbe, match=r"held-out texts .* by the commoner label"):
        chance.read(planted().acts_NLD[:, 1])


def test_probabilities_are_neither_sure_of_noise_nor_shy_of_truth() -> None:
    usable = build("truth", planted(strength=1.0), [planted(strength=1.0, seed=1)], SOURCE)
    other = planted(strength=1.0, seed=2)
    read = np.array(usable.read(other.acts_NLD[:, 1]))
    sure = np.maximum(read, 1 - read).mean()
    assert sure == pytest.approx(((read > 0.5) == other.is_yes).mean(), abs=0.05)
    with pytest.raises(BrokenProbe, match="not finite"):
        usable.read(np.full((1, WIDTH), np.nan, np.float32))


def test_many_of_one_label_are_no_accuracy() -> None:
    is_yes = np.arange(100) >= 90
    always = Accuracy.of("all no", np.full(100, -1.0), is_yes)
    assert (always.accuracy, always.majority, always.auroc) == (0.9, 0.9, 0.5)
    assert not always.clears
    assert verdict(LABELS, always, None, ())[0] is False
    assert wilson_bound(0.9, 100) == pytest.approx(0.8397, abs=1e-3)  # the interval of the textbooks


def test_a_file_comes_back_as_it_was_and_is_named_by_content(tmp_path: Path) -> None:
    probe = build("truth", planted(), [planted(seed=1)], SOURCE)
    folder, sha256 = write_probe(probe, tmp_path)
    assert write_probe(probe, tmp_path) == (folder, sha256)
    assert [one.name for one in tmp_path.iterdir()] == [sha256[:12]]
    again = read_probe(folder)
    assert again.manifest == probe.manifest
    assert np.array_equal(again.vectors[7], probe.vectors[7])
    np.testing.assert_allclose(np.linalg.norm(again.vectors[7], axis=1), 1, atol=1e-5)


def test_damaged_files_and_other_models_are_refused(tmp_path: Path) -> None:
    probe = build("truth", planted(), [planted(seed=1)], SOURCE)
    with pytest.raises(BrokenProbe, match="made with model basebasebase, not otherother"):
        probe.check_base("otherotherother")
    with pytest.raises(BrokenProbe, match="layers 0 to 6 of width 24"):
        probe.check_shape(7, WIDTH)
    folder, _ = write_probe(probe, tmp_path)
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    for change in ({"format": "other"}, {"layers": [3]}, {"coefficients": [1.0]}, {"held_out": None}):
        (folder / MANIFEST_FILE).write_text(json.dumps(manifest | change))
        with pytest.raises(BrokenProbe):
            read_probe(folder)
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    (folder / VECTORS_FILE).write_bytes(b"cut")
    with pytest.raises(BrokenProbe):
        read_probe(folder)


def only(readings: Readings, n_yes: int, n_no: int) -> Readings:
    yes, no = np.flatnonzero(readings.is_yes)[:n_yes], np.flatnonzero(~readings.is_yes)[:n_no]
    rows = np.zeros(len(readings.texts), dtype=bool)
    rows[[*yes, *no]] = True
    return readings.at(rows)


@pytest.mark.parametrize(("n_yes", "n_no"), [(40, 0), (40, 11), (3, 40)])
def test_too_few_of_one_label_are_refused(n_yes: int, n_no: int) -> None:
    with pytest.raises(BadProbe, match=f"{n_yes} texts are labelled 1 and {n_no} are labelled 0"):
        train(only(planted(), n_yes, n_no), MASS_MEAN, seed=0)


def test_one_polarity_or_one_group_is_refused() -> None:
    with pytest.raises(BadProbe, match="negated"):
        train(planted(negated=False), TWO_D, seed=0)
    rows = planted()
    texts = tuple(replace(one, group="the same") for one in rows.texts)
    with pytest.raises(BadProbe, match="groups"):
        train(replace(rows, texts=texts), MASS_MEAN, seed=0)


def test_kinds_are_not_mixed_and_layers_have_to_exist() -> None:
    with pytest.raises(BadProbe, match="different kinds"):
        joined([planted(), graded()])
    with pytest.raises(BadProbe, match="no layer 30: the model has layers 0 to 29"):
        layers_to_try((3, 30), 30)
    assert layers_to_try((9, 3), 30) == (3, 9)
    for n_layers in (1, 2, 3, 12, 30, 64):
        tried = layers_to_try((), n_layers)
        assert tried
        assert set(tried) <= set(range(n_layers))


class Broken:
    """A model whose numbers overflow."""

    def residual_statistics(
        self, texts: list[str], layers: list[int], *, token_rule: str
    ) -> tuple[FloatMatrix, FloatMatrix]:
        acts = np.full((len(texts), len(layers), WIDTH), np.nan, np.float32)
        return acts, np.ones(len(layers), np.float32)


def test_activations_that_are_not_finite_are_refused() -> None:
    given = LabelledSet("s", TRUTH, planted().texts[:4])
    with pytest.raises(BadProbe, match="not finite"):
        readings_of(Broken(), given, (0,), LAST)
    with pytest.raises(BadProbe, match="not finite"):
        activations(Broken(), ["x"], (0,), LAST)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rains", "It rains."),
        ("It rains. ", "It rains."),
        ('He said "yes."', 'He said "yes."'),
        ("Why?", "Why?"),
    ],
)
def test_a_statement_is_closed_with_a_mark(text: str, expected: str) -> None:
    assert closed(text) == expected


def test_negations_are_found_by_the_words() -> None:
    assert is_negated("Oslo is not in Chile.")
    assert is_negated("Nobody can't swim.")
    assert not is_negated("Oslo is a knot of roads.")


def test_files_are_read_as_csv_and_as_json_lines(tmp_path: Path) -> None:
    table = tmp_path / "facts.csv"
    table.write_text('statement,label,group\n"Oslo is in Norway.",1,Oslo\nOslo is not in Norway,0,Oslo\n')
    truth = read_set(table)
    assert (truth.name, truth.kind, truth.counts) == ("facts", TRUTH, {0: 1, 1: 1})
    assert [(one.group, one.is_negated) for one in truth.texts] == [("Oslo", False), ("Oslo", True)]
    lines = tmp_path / "warm.jsonl"
    rows = [
        {"text": "so kind", "label": 5},
        {"episode": "e1", "label": 2, "by": "model/x"},
        {"episode": "e2", "label": 3},
    ]
    lines.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    labels = read_set(lines)
    assert (labels.kind, labels.counts, labels.episodes) == (LABELS, {2: 1, 3: 1, 5: 1}, ["e1", "e2"])
    spoken = labels.with_words({"e1": "it is not far"})
    assert [(one.text, one.label, one.by) for one in spoken.texts] == [
        ("so kind", 5, "file"),
        ("it is not far", 2, "model/x"),
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no labelled text"),
        ("statement,label\na,1\nb,1\n", "every label in f is 1"),
        ("statement,label\na,1\nb,\n", "row 2 has no label"),
        ("statement,label\na,1\nb,7\n", "row 2 has no label"),
        ("statement,label\na,0\nb,3\n", "mixes labels 0 and 3"),
        ("words,label\na,0\n", "row 1 has no statement"),
        ('{"text": "a", "label": 1}\n{"text"\n', "row 2 is no JSON"),
        ('{"text": "a", "label": 1}\n[2]\n', "row 2 is no object"),
    ],
)
def test_files_that_cannot_be_used_are_refused_in_one_line(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "f"
    path.write_text(content)
    with pytest.raises(BadProbe, match=why) as refused:
        read_set(path)
    assert "\n" not in str(refused.value)


def test_the_same_words_again_count_once(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("text,label\nThe same,1\nthe  same,0\nOther,0\n")
    assert [one.label for one in read_set(path).texts] == [1, 0]


def test_a_probe_is_made_of_frozen_parts() -> None:
    probe = build("truth", planted(), [planted(seed=1)], SOURCE)
    assert isinstance(probe, Probe)
    assert probe.manifest.concepts == ("truth", "affirmed")
    assert probe.linear.coefficients[0] > 0
