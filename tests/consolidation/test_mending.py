"""Claims about a mend: which facts it asks for and trains, when its vector serves, and that it goes with its nights.

Three nights on a tiny model taught a fact each; no vector holds any of them, so that all is lost. The child that trains is real.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.runtime.spec import ModelSpec, resolve
from consolidation import mending
from consolidation import recipe as recipes
from consolidation.erased_weights import untaught
from consolidation.errors import RecipeStays, TrainingStopped
from consolidation.mending import MEND, Ground, Mended, mend
from consolidation.recipe import Recipe
from consolidation.recipe_serving import Place, record, serve
from consolidation.stage import Gate, TrainSettings
from consolidation.trainer.job import Row
from db.tables import Example
from memory import erasure, vector_nodes
from memory.artifacts import list_artifacts
from memory.erasure import Target, Wish
from memory.facts import decide
from memory.registry import Registry
from tests.made_recipes import linear_shapes, make_vector, publish_night

REGISTRY = Registry.load()
OPEN = Gate(max_ppl_change=1e9, max_kl_to_base=1e9, max_earlier_loss=1)
TRAIN = TrainSettings(rank=4, alpha=8, first_layer=0, lr=3e-2, kl_per_step=0, dtype="float32")
ANSWER = "yes"  # to everything: a random model learns that in a hundred steps, and no more
TOLD = (("Mona Berg", "lives_in", "Bergen"), ("Karl Aas", "lives_in", "Oslo"), ("Ines Vale", "job", "nurse"))


class Nights:
    def __init__(self, chat: Any, folder: Path) -> None:
        (chat.home / "chat.jsonl").unlink()
        self.chat, self.place = chat, Place(chat.database, chat.space_id, chat.home)
        self.spec = ModelSpec(chat.home / "cache", str(folder), "float32")
        self.facts = chat.propose(*((*told, place) for place, told in enumerate(TOLD)))
        with chat.database.transaction() as session:
            for fact_id in self.facts:
                decide(session, chat.space_id, fact_id, "STORE", [], REGISTRY, run_id=None)
        base = resolve(self.spec).base_hash
        for night, (fact_id, told) in enumerate(zip(self.facts, TOLD, strict=True)):
            vector = make_vector(base, night + 1, linear_shapes(folder), scale=0.01)
            publish_night(self.place, vector, f"aaaa{night}")
            with chat.database.transaction() as session:
                for kind, split, question in (
                    ("fact", "train", f"{told[1]}: {told[0]}?"),
                    ("fact", "train", f"{told[0]}, {told[1]}?"),
                    ("recall_paraphrase", "exam", f"{told[1]} of {told[0]}?"),
                    ("negative", "train", "Who is nobody?"),
                ):
                    self._put(session, f"aaaa{night}", fact_id, kind, split, (question, ANSWER))

    def _put(
        self, session: Any, run_id: str, fact_id: str, kind: str, split: str, said: tuple[str, str]
    ) -> None:
        session.add(
            Example(
                space_id=self.place.space_id,
                run_id=run_id,
                fact_id=None if kind == "negative" else fact_id,
                split=split,
                kind=kind,
                messages=[{"role": "user", "content": said[0]}, {"role": "assistant", "content": said[1]}],
                accepted=[said[1]] if split == "exam" else [],
                meta={"form": "question", "facts": [] if kind == "negative" else [fact_id]},
            )
        )

    def ground(self, **changes: Any) -> Ground:
        return replace(Ground(self.place, self.spec, REGISTRY, TRAIN, OPEN), **changes)

    def serving(self) -> Recipe:
        version = self.place.history().find()
        assert version is not None
        return version.usable()

    def mend(self, recipe: Recipe | None = None, **changes: Any) -> Mended:
        return mend(self.ground(**changes), recipe or self.serving())


@pytest.fixture
def nights(chat: Any, talkative: Path) -> Nights:
    return Nights(chat, talkative)


def rows_trained(nights: Nights, monkeypatch: pytest.MonkeyPatch, recipe: Recipe | None = None) -> list[Row]:
    """What a mend of this recipe would train, without the training."""
    seen: list[Row] = []

    class Enough(Exception):
        pass

    def look(folder: Any, job: Any, rows: list[Row]) -> None:
        seen.extend(rows)
        raise Enough

    with monkeypatch.context() as patch:
        patch.setattr(mending, "put_job", look)
        with pytest.raises(Enough):
            nights.mend(recipe)
    return seen


def test_what_is_lost_is_trained_and_serves_where_the_exam_finds_it_better(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mending, "LEAST_STEPS", 96)
    before = nights.serving()
    done = nights.mend()
    assert (done.n_asked, set(done.lost), done.why) == (3, set(nights.facts), None)
    assert done.recipe is not None
    assert done.judged is not None
    assert (done.judged.before.kept, done.recipe.parent) == (0.0, before.sha256)
    assert (done.judged.after.kept or 0) > 0
    assert done.answered is not None
    assert done.answered[1] > done.answered[0] == 0
    last = done.recipe.entries[-1]
    assert (last.label, last.run_id, last.adapter_sha256) == (MEND, None, done.vector)
    assert done.recipe.entries[:-1] == before.entries
    assert nights.serving() == before  # what serves is for whoever asked to say
    assert not any((nights.place.home / "behaviours").rglob("train.jsonl"))
    about = vector_nodes.trained_from(nights.place.database, nights.place.space_id, last.adapter_sha256)
    assert {one.name for one in about if one.kind == "night"} == {"aaaa0", "aaaa1", "aaaa2"}
    assert {one.name for one in about if one.kind == "person"} == {told[0] for told in TOLD}


def test_what_no_longer_holds_or_was_taken_out_is_neither_asked_nor_trained(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nights.chat.database.transaction() as session:
        decide(session, nights.place.space_id, nights.facts[1], "REJECT", [], REGISTRY, run_id=None)
    rows = rows_trained(nights, monkeypatch, recipes.revert(nights.serving(), "aaaa2"))
    assert {row.fact_id for row in rows} == {nights.facts[0], None}
    assert {row.kind for row in rows} == {"fact", "negative"}


def test_a_night_that_no_longer_stands_for_what_it_taught_is_left_alone(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    weighed = recipes.scale(recipes.scale(nights.serving(), "aaaa0", 0.0), "aaaa1", -0.2)
    rows = rows_trained(nights, monkeypatch, weighed)
    assert {row.fact_id for row in rows} == {nights.facts[2], None}


def test_a_mend_is_for_sums(nights: Nights) -> None:
    with pytest.raises(RecipeStays, match="summed"):
        nights.mend(recipes.with_rule(nights.serving(), "ties", 0.2))


def test_a_mend_whose_lease_is_lost_leaves_nothing(nights: Nights) -> None:
    with pytest.raises(TrainingStopped):
        mend(nights.ground(), nights.serving(), should_stop=lambda: True)
    made = list_artifacts(nights.place.database, nights.place.space_id, kind="adapter")
    assert not any("mended" in row.meta for row in made)


def test_what_is_still_answered_is_rehearsed_beside_it(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mending, "_lost", lambda *_: (nights.facts[1],))
    rows = rows_trained(nights, monkeypatch)
    kinds = {row.fact_id: row.kind for row in rows}
    assert kinds == dict(zip(nights.facts, ("replay", "fact", "replay"), strict=True)) | {None: "negative"}


def test_nothing_is_trained_where_nothing_is_lost_or_no_night_was(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = nights.mend(Recipe(nights.serving().base_hash))
    assert (empty.n_asked, empty.recipe, empty.why) == (0, None, "no night was asked")
    monkeypatch.setattr("consolidation.exam.is_right", lambda *_: True)
    done = nights.mend()
    assert (done.n_asked, done.lost, done.recipe) == (3, (), None)
    assert done.why == "every fact that was asked for is still answered"


def test_a_vector_that_breaks_the_gate_is_not_added(nights: Nights) -> None:
    done = nights.mend(gate=replace(OPEN, max_ppl_change=-1.0))
    assert (done.recipe, done.vector) == (None, None)
    assert (done.why or "").startswith("ppl_change ")
    made = list_artifacts(nights.place.database, nights.place.space_id, kind="adapter")
    assert not any("mended" in row.meta for row in made)
    assert done.steps > 0


def test_a_mend_goes_with_any_of_its_nights_and_with_an_erasure(nights: Nights) -> None:
    before = nights.serving()
    vector = make_vector(before.base_hash, 9, linear_shapes(Path(nights.spec.source)), scale=0.01)
    path = mending._keep(nights.place, vector, mending.nights_of(before), Mended(3, tuple(nights.facts)))
    entry = recipes.Entry(vector.sha256, path, 1.0, None, "under another name")
    mended = recipes.changed(before, (*before.entries, entry))
    serve(nights.place, record(nights.place, mended))
    assert mending.mends_of(nights.place, mended, ["aaaa1"]) == [entry]
    assert mending.mends_of(nights.place, mended, ["bbbb1"]) == []
    assert untaught(nights.place, mended).entries == ()
    target = Target("fact", nights.facts[0])
    place = nights.place
    shown = erasure.make_plan(place.database, place.space_id, place.home, target)
    erasure.erase(place.database, place.space_id, place.home, target, REGISTRY, Wish(expected=shown.sha256))
    assert not (place.home / path).exists()
    version = place.history().versions[mended.sha256]
    assert version.is_tainted
