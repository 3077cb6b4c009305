"""Claims about a vector worn alone: its effect beside base and recipe, what it does to other nights, and the gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation import recipe as recipes
from consolidation.behaviour import Yardstick
from consolidation.exam import Counter
from consolidation.recipe import Recipe
from consolidation.recipe_serving import Place
from consolidation.stage import Gate
from consolidation.vector_exam import N_OTHERS, N_OWN, Effect, Four, Plan, VectorExam, plan_for
from tests.made_recipes import begin, linear_shapes, make_vector, put_question

SAID = "a" * 24  # what the model answers to everything, until a large vector is put on
QUIET, LOUD = 0.02, 0.5
YARDSTICK = Yardstick(
    "shorter",
    "words_per_reply",
    "less",
    tuple(({"role": "user", "content": f"Hello {n}"},) for n in range(4)),
)


@pytest.fixture(scope="module")
def model(talkative: Path, tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(ModelSpec(tmp_path_factory.mktemp("cache"), str(talkative)))


@pytest.fixture
def vectors(model: LanguageModel, talkative: Path) -> list[Any]:
    """Of two nights, of a behaviour, and of nobody knows what; the second is loud."""
    shapes = linear_shapes(talkative)
    made = [
        make_vector(model.base_hash, seed, shapes, scale=LOUD if seed == 1 else QUIET) for seed in range(4)
    ]
    made[2] = replace(made[2], meta=YARDSTICK.as_json())
    return [(vector, 1.0) for vector in made]


@pytest.fixture
def recipe(vectors: list[Any], place: Place) -> Recipe:
    made = Recipe(vectors[0][0].base_hash)
    for number, (vector, _) in enumerate(vectors):
        night = f"aaaa{number}" if number < 2 else None
        made = recipes.add(made, vector, path=f"adapters/{number}", run_id=night, label="a vector")
    for night, n in (("aaaa0", 3), ("aaaa1", 1)):
        begin(place, night)
        for number in range(n):
            put_question(place, night, f"Where does Ada live, {number}?", SAID if number < 2 else "Lagos")
    return made


def test_each_vector_is_judged_by_what_it_is_for_and_by_what_it_does_besides(
    model: LanguageModel,
    vectors: list[Any],
    recipe: Recipe,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consolidation.behaviour.REPLY_TOKENS", 8)
    plan = plan_for(place.database, recipe, vectors)
    steps: list[int] = []
    model.apply([vectors[1]])  # what was worn before does not count
    counter = Counter(lambda done, total, note="": steps.append(done), plan.n_answers)
    exam = VectorExam(model, plan, vectors, Gate(), counter)
    rest = [vectors[:place] + vectors[place + 1 :] for place in range(4)]
    quiet, loud, behaviour, unknown = (exam.judge(at, one, rest[at]) for at, one in enumerate(vectors))
    two_of_three = pytest.approx(2 / 3)
    assert quiet.effect == Effect("recall", 3, Four(two_of_three, two_of_three, 0.0, 0.0))
    assert quiet.others == Effect("recall", 1, Four(1.0, 1.0, 0.0, 0.0))
    assert quiet.is_kept
    assert loud.effect == Effect("recall", 1, Four(1.0, 0.0, 0.0, 1.0))
    assert loud.others == Effect("recall", 3, Four(two_of_three, 0.0, 0.0, two_of_three))
    assert loud.failed.startswith("kl_to_base ")
    assert behaviour.effect is not None
    assert (behaviour.effect.measure, behaviour.effect.n) == ("words_per_reply", 4)
    assert behaviour.effect.numbers.base == behaviour.effect.numbers.alone == 1.0
    assert behaviour.others == Effect("recall", 4, Four(0.75, 0.75, 0.0, 0.0))
    assert unknown.effect is None
    assert unknown.as_json()["others"] == {
        "measure": "recall",
        "n": 4,
        "base": 0.75,
        "alone": 0.75,
        "together": 0.0,
        "without": 0.0,
    }
    assert (exam.together.kl_to_base or 0) > 1
    assert steps[-1] == plan.n_answers == 2 * 4 + 2 * (4 + 4 + 4 + 4)


def test_questions_are_spread_over_nights_and_bounded(
    recipe: Recipe, vectors: list[Any], place: Place
) -> None:
    for number in range(30):
        put_question(place, "aaaa0", f"What is {number}?", SAID)
    plan: Plan = plan_for(place.database, recipe, vectors)
    assert len(plan.of(recipe.entries[0])) == N_OWN
    assert len(plan.others(recipe.entries[1])) == N_OWN <= N_OTHERS
    assert plan.of(recipe.entries[3]) == ()
    assert len(plan.others(recipe.entries[3])) == N_OWN + 1


def test_a_recipe_without_nights_asks_nothing(vectors: list[Any], place: Place) -> None:
    made = recipes.add(
        Recipe(vectors[0][0].base_hash), vectors[3][0], path="adapters/3", run_id=None, label="x"
    )
    plan = plan_for(place.database, made, vectors[3:])
    assert (plan.questions, plan.n_answers, dict(plan.yardsticks)) == ([], 0, {})
