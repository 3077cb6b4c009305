"""The benchmark of behaviours on a tiny model: what it composes is what a recipe wears, and it sums up what it promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from bench.behaviours import Bed, negated, summed_up
from tests.made_recipes import linear_shapes, make_vector


@pytest.fixture
def bed(talkative: Path, tmp_path: Path) -> Bed:
    return Bed(LanguageModel.load(ModelSpec(tmp_path / "cache", str(talkative), "float32")), tmp_path)


def test_vectors_are_composed_and_turned_round_as_recipes_do_it(bed: Bed, talkative: Path) -> None:
    shapes = linear_shapes(talkative)
    vectors = {name: make_vector(bed.model.base_hash, n, shapes, scale=0.3) for n, name in enumerate("ab")}
    ((merged, coefficient),) = bed.merged(vectors, "ties", 0.5)
    assert coefficient == 1.0
    assert set(merged.modules) == set(shapes)
    assert [vector.sha256 for vector, _ in bed.merged(vectors, "sum")] == [v.sha256 for v in vectors.values()]

    coefficient, cost = negated(bed, make_vector(bed.model.base_hash, 3, shapes, scale=0.001))
    assert coefficient == -1.0
    assert cost == {"ppl_ratio": pytest.approx(1, abs=0.02), "kl_to_base": pytest.approx(0, abs=0.1)}


def test_the_line_has_what_is_promised() -> None:
    turned = {"measure_before": 80.0, "measure_after": 90.0, "ppl_ratio": 1.01, "coefficient": -0.3}
    alone = {"before": 80.0, "after": 20.0, "ppl_ratio": 1.04, "train_s": 60.0}
    runs = [
        {
            "seed": seed,
            "alone": {"shorter": alone},
            "ties": {"kept": {"shorter": 0.9 + seed / 10}, "ppl_ratio": 1.03},
            "sum": {"kept": {"shorter": None}, "ppl_ratio": 1.05},
            "negation": {"shorter": turned},
        }
        for seed in (0, 1)
    ]
    line = summed_up(runs)
    assert line["kept"] == {"shorter": pytest.approx(0.95)}
    assert line["kept_by_sum"] == {"shorter": None}
    assert line["negation"] == {"shorter": pytest.approx(turned)}
    assert line["by_seed"] == runs
