"""Claims about merging task vectors: right to float64, whatever the ranks and modules, and the same bits every time."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from agents.errors import BaseChanged
from agents.runtime.adapter import Adapter
from consolidation import merging, weighed
from consolidation.errors import BadRule, BadVector
from consolidation.merging import Rule, Vector, combine

BASE = "b" * 64
TIES = Rule("ties", 0.3)
DARE = Rule("dare", 0.4, seed=7)


def adapter(
    seed: int, *, base: str = BASE, rank: int = 4, names: Sequence[str] = ("one", "two"), n_in: int = 24
) -> Adapter:
    rng = np.random.default_rng(seed)

    def factor(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return Adapter(base, rank, 8.0, {name: (factor(rank, n_in), factor(16, rank)) for name in names})


@dataclass(frozen=True)
class Dense:
    """A vector of full deltas, as a checkpoint gives it."""

    deltas: dict[str, np.ndarray]
    base_hash: str = BASE
    sha256: str = "d" * 64

    @property
    def modules(self) -> Sequence[str]:
        return sorted(self.deltas)

    def delta(self, module: str) -> np.ndarray:
        return self.deltas[module]


def exact(vector: Vector, name: str) -> np.ndarray:
    """The delta in float64 out of the float32 that is stored."""
    if isinstance(vector, Adapter):
        a, b = (factor.astype(np.float64) for factor in vector.modules[name])
        return vector.alpha / vector.rank * b @ a
    return vector.delta(name).astype(np.float64)


def textbook_ties(deltas: Sequence[np.ndarray], density: float) -> np.ndarray:
    """Sort, cut, vote, average: number by number, in float64."""
    trimmed = []
    for delta in deltas:
        order = sorted(range(delta.size), key=lambda place: (-abs(delta.flat[place]), place))
        kept = np.zeros(delta.size)
        for place in order[: max(1, int(density * delta.size))]:
            kept[place] = delta.flat[place]
        trimmed.append(kept)
    merged = []
    for voices in zip(*trimmed, strict=True):
        elected = np.sign(sum(voices))
        agreeing = [voice for voice in voices if voice and np.sign(voice) == elected]
        merged.append(sum(agreeing) / len(agreeing) if agreeing else 0.0)
    return np.array(merged).reshape(deltas[0].shape)


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


VECTORS: list[tuple[Vector, float]] = [
    (adapter(1), 1.0),
    (adapter(2, rank=7, names=("two", "three")), -0.5),
    (adapter(3, rank=1), 0.3),
    (Dense({"two": np.random.default_rng(4).normal(size=(16, 24)).astype(np.float32)}), 0.7),
]


def of_module(name: str) -> list[np.ndarray]:
    return [c * exact(vector, name) for vector, c in VECTORS if name in vector.modules]


def test_the_sum_agrees_with_float64_over_other_ranks_and_modules() -> None:
    merged = dict(combine(VECTORS, Rule()))
    assert list(merged) == ["one", "three", "two"]
    for name, delta in merged.items():
        assert delta.dtype == np.float32
        assert relative_error(delta, sum(of_module(name))) < 1e-6


def test_ties_agrees_with_a_textbook_in_float64_over_other_ranks_and_modules() -> None:
    for name, delta in combine(VECTORS, TIES):
        assert relative_error(delta, textbook_ties(of_module(name), TIES.density)) < 1e-6


@pytest.mark.parametrize(
    ("rule", "theirs"), [(TIES, "ties"), (Rule("sum"), "task_arithmetic")], ids=["ties", "sum"]
)
def test_a_merge_agrees_with_mergekit_where_it_installs(rule: Rule, theirs: str) -> None:
    """Of a base of zeros, so that its rounding of checkpoints is no part of it."""
    registry = pytest.importorskip("mergekit.merge_methods.registry")
    group = importlib.import_module("mergekit.merge_methods.base").TensorGroup
    torch = importlib.import_module("torch")
    vectors: list[tuple[Vector, float]] = [(adapter(seed, rank=seed), 1.0) for seed in (2, 3, 5)]
    merged = dict(combine(vectors, rule))
    places = range(1, len(vectors) + 1)
    wanted = {"weight": dict.fromkeys(places, 1.0), "density": dict.fromkeys(places, rule.density)}
    wanted |= {"normalize": rule is TIES, "rescale": False, "int8_mask": False, "lambda": 1.0}
    for name, found in merged.items():
        tuned = [torch.from_numpy(vector.delta(name)) for vector, _ in vectors]
        tensors = group.from_tensors([torch.zeros(found.shape), *tuned], base_index=0)
        expected = registry.get(theirs).merge_group(tensors, **wanted).numpy()
        assert relative_error(found, expected) < 1e-6


def test_ties_agrees_with_float64_where_rounding_alone_would_swap_numbers() -> None:
    """Large modules of close numbers: float32 alone keeps others at the limit, and elects others where signs balance."""
    vectors = [(adapter(seed, n_in=2000), 1.0) for seed in range(4)]
    vectors += [(merging.scale(vector, -1.0000001), 1.0) for vector, _ in vectors[:2]]
    (_, delta), *_ = combine(vectors, TIES)
    deltas = [exact(vector, "one") for vector, _ in vectors]
    assert relative_error(delta, textbook_ties(deltas, TIES.density)) < 1e-6


@given(
    st.lists(
        arrays(np.float32, (3, 5), elements=st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([0.1, 0.4, 0.75, 1.0]),
)
@settings(max_examples=60, deadline=None)
def test_equal_magnitudes_are_trimmed_by_their_place(deltas: list[np.ndarray], density: float) -> None:
    vectors = [(Dense({"one": delta}), 1.0) for delta in deltas]
    ((_, merged),) = combine(vectors, Rule("ties", density))
    np.testing.assert_allclose(merged, textbook_ties(deltas, density), rtol=1e-6)


@given(st.integers(0, 2**32 - 1), st.sampled_from([Rule(), TIES, DARE]))
@settings(max_examples=30, deadline=None)
def test_merging_negated_vectors_negates_the_merge(seed: int, rule: Rule) -> None:
    vectors = [(adapter(seed), 1.0), (adapter(seed + 1, rank=3), 0.5)]
    merged = dict(combine(vectors, rule))
    for name, delta in combine([(vector, -c) for vector, c in vectors], rule):
        assert np.array_equal(delta, -merged[name])


@pytest.mark.parametrize("rule", [Rule(), TIES])
def test_a_vector_and_its_negation_leave_nothing(rule: Rule) -> None:
    vector = adapter(1)
    assert not any(delta.any() for _, delta in combine([(vector, 1.0), (merging.negate(vector), 1.0)], rule))


def test_ties_that_keeps_everything_of_one_vector_is_the_vector() -> None:
    vector = adapter(1)
    for name, delta in combine([(vector, 1.0)], Rule("ties", 1.0)):
        assert relative_error(delta, exact(vector, name)) < 1e-6


def test_ties_keeps_the_share_that_was_asked_for() -> None:
    ((_, delta),) = combine([(adapter(1, names=("one",)), 1.0)], TIES)
    assert np.count_nonzero(delta) == int(TIES.density * delta.size)


def test_a_coefficient_weighs_before_the_election() -> None:
    loud, faint = (Dense({"one": np.full((1, 1), sign, np.float32)}) for sign in (1, -1))
    merged = [dict(combine([(loud, c), (faint, 1.0)], Rule("ties", 1.0)))["one"].item() for c in (2.0, 0.5)]
    assert merged == [2.0, -1.0]


def test_at_zero_a_vector_is_left_out() -> None:
    other = adapter(2)
    with_it = dict(combine([(other, 1.0), (adapter(1), 0.0)], TIES))
    without = dict(combine([(other, 1.0)], TIES))
    assert all(np.array_equal(with_it[name], without[name]) for name in without)


def test_dare_drops_the_share_that_was_asked_for_and_keeps_the_expected_value() -> None:
    vector = Dense({"one": np.ones((300, 200), np.float32)})
    ((_, delta),) = combine([(vector, 1.0)], DARE)
    assert set(np.unique(delta)) == {0.0, np.float32(1 / DARE.density)}
    assert delta.mean() == pytest.approx(1.0, abs=0.03)


def test_dares_lots_hang_on_seed_vector_and_module_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    vector, other = adapter(1), adapter(2, names=("two", "zero"))
    alone = dict(combine([(vector, 1.0)], DARE))
    beside = dict(combine([(other, 1.0), (vector, 1.0)], DARE))
    assert np.array_equal(alone["one"], beside["one"])
    assert not np.array_equal(alone["one"] != 0, alone["two"] != 0)
    assert not np.array_equal(alone["one"], dict(combine([(vector, 1.0)], Rule("dare", 0.4, seed=8)))["one"])
    monkeypatch.setattr(weighed, "STRETCH", 3 * 24)  # other stretches, the same lots
    assert np.array_equal(dict(combine([(vector, 1.0)], DARE))["one"] != 0, alone["one"] != 0)


@pytest.mark.parametrize("rule", [Rule(), TIES, DARE])
def test_merging_again_gives_the_same_bits_on_any_number_of_cores(
    rule: Rule, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors: list[tuple[Vector, float]] = [(adapter(seed, n_in=40_000), 0.5) for seed in range(3)]
    first = dict(combine(vectors, rule))
    monkeypatch.setattr(merging, "MOST_WORKERS", 1)
    assert all(delta.tobytes() == first[name].tobytes() for name, delta in combine(vectors, rule))


def test_no_vectors_are_the_base() -> None:
    assert list(combine([], TIES)) == []
    assert list(combine([(adapter(1), 0.0)], TIES)) == []


def test_another_base_is_refused_with_both_hashes() -> None:
    other = adapter(2, base="c" * 64)
    with pytest.raises(BaseChanged, match=f"{'c' * 12}.*{BASE[:12]}"):
        next(combine([(adapter(1), 1.0), (other, 1.0)], Rule()))


@pytest.mark.parametrize("rule", [Rule(), TIES, DARE])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(rule: Rule, number: float) -> None:
    broken = adapter(1)
    broken.modules["two"][0][0, 0] = number
    dense = Dense({"one": np.full((16, 24), number, np.float32)})
    for vector in (broken, dense):
        with pytest.raises(BadVector, match="not finite"):
            list(combine([(adapter(2), 1.0), (vector, 1.0)], rule))
    with pytest.raises(BadVector, match="coefficient"):
        next(combine([(adapter(1), number)], rule))


def test_what_grows_beyond_float32_is_refused() -> None:
    with pytest.raises(BadVector, match="beyond what float32 holds"):
        next(combine([(adapter(1), 1e38)], Rule()))


def test_modules_of_other_shapes_are_refused_by_name() -> None:
    for other in (adapter(2, n_in=20), Dense({"one": np.zeros((4, 4), np.float32)})):
        with pytest.raises(BadVector, match="one is"):
            list(combine([(adapter(1), 1.0), (other, 1.0)], TIES))


@pytest.mark.parametrize(
    ("name", "density"), [("mean", 1.0), ("ties", 0.0), ("ties", 1.5), ("dare", float("nan"))]
)
def test_a_rule_that_is_none_is_refused(name: str, density: float) -> None:
    with pytest.raises(BadRule):
        Rule(name, density)


# ---- sums kept as factors


def test_the_factored_sum_is_exact_over_other_ranks_and_modules() -> None:
    vectors = [(adapter(1), 1.0), (adapter(2, rank=7, names=("two", "three")), -0.3)]
    total = merging.add(vectors)
    assert total.rank == 11
    for name, delta in combine(vectors, Rule()):
        assert relative_error(total.delta(name), delta) < 1e-6


@given(st.integers(0, 1000), st.floats(-8, 8, allow_subnormal=False))
@settings(max_examples=30, deadline=None)
def test_scaling_keeps_the_factors_and_negating_twice_is_the_vector(seed: int, coefficient: float) -> None:
    vector = adapter(seed)
    scaled = merging.scale(vector, coefficient)
    for name in vector.modules:
        assert np.array_equal(np.abs(scaled.modules[name][1]), np.abs(vector.modules[name][1]))
        np.testing.assert_allclose(
            scaled.delta(name), coefficient * exact(vector, name), rtol=1e-4, atol=1e-5
        )
    assert merging.negate(merging.negate(vector)).sha256 == vector.sha256


def test_an_analogy_is_b_less_a_plus_c() -> None:
    a, b, c = adapter(1), adapter(2, rank=2), adapter(3)
    made = merging.analogy(a, b, c)
    for name in made.modules:
        expected = exact(b, name) - exact(a, name) + exact(c, name)
        assert relative_error(made.delta(name), expected) < 1e-6
    assert [sha for sha, _ in made.meta["of"]] == [b.sha256, a.sha256, c.sha256]


def test_factored_arithmetic_refuses_what_merging_refuses() -> None:
    broken = adapter(1)
    broken.modules["one"][1][0, 0] = np.nan
    with pytest.raises(BadVector):
        merging.negate(broken)
    with pytest.raises(BaseChanged):
        merging.add([(adapter(1), 1.0), (adapter(2, base="c" * 64), 1.0)])
