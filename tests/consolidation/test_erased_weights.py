"""Claims about weights after an erasure: what serves, why, and what the certificate says of it.

Three nights on a tiny model: the first and the third taught what Karl says, the second what Mona says, and its vector has
learnt it. Mona is erased.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agents.runtime.adapter import Adapter
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation.erased_weights import NOT_LEARNT, Ground, settle, untaught, witness
from consolidation.recipe import Entry, changed
from consolidation.recipe_serving import Place, record, serve
from consolidation.stage import Gate
from consolidation.weights_certificate import probes_of
from db.tables import Example
from memory import erasure, ledger
from memory.erasure import Target, Wish
from memory.facts import decide, list_facts
from memory.registry import Registry
from memory.types import Fact
from tests.made_recipes import linear_shapes, make_vector, publish_night, put_question

REGISTRY = Registry.load()
OPEN = Gate(max_ppl_change=1e9, max_kl_to_base=1e9, max_earlier_loss=1)
MODULE = "model.layers.2.mlp.down_proj"
SMALL, LARGE = 0.01, 0.5


def learnt(model: LanguageModel, facts: list[Fact]) -> Adapter:
    """A vector that makes the values of these facts likely behind their questions: a few steps on one matrix."""
    module = model.model.get_submodule(MODULE)
    before = module.weight.detach().clone()
    module.weight.requires_grad_(True)
    optimizer = torch.optim.Adam([module.weight], lr=0.03)
    asked = [
        (model.chat_ids([{"role": "user", "content": probe.question}]), probe.frame, probe.values[0])
        for probe in probes_of(facts, facts, REGISTRY)
    ]
    for _ in range(25):
        loss = torch.zeros(())
        for prompt, frame, value in asked:
            ids = torch.tensor([prompt + model.template.encode(frame + value)])
            logits = model.model(input_ids=ids).logits[0, -len(value) - 1 : -1]
            loss = loss + torch.nn.functional.cross_entropy(logits, ids[0, -len(value) :])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    delta = (module.weight.detach() - before).numpy().astype(np.float32)
    with torch.no_grad():
        module.weight.requires_grad_(False).copy_(before)
    rank = delta.shape[0]
    return Adapter(model.base_hash, rank, float(rank), {MODULE: (delta, np.eye(rank, dtype=np.float32))})


class Nights:
    """The nights above in the space of the chat."""

    def __init__(self, chat: Any, folder: Path) -> None:
        (chat.home / "chat.jsonl").unlink()
        self.chat, self.place = chat, Place(chat.database, chat.space_id, chat.home)
        self.spec = ModelSpec(chat.home / "cache", str(folder), "float32")
        self.folder = folder
        self._ground: Ground | None = None
        self.mona = self._tell(("Mona Berg", "lives_in", "Bergen", 0), ("Mona Berg", "job", "nurse", 4))
        self.karl = self._tell(("Karl Aas", "lives_in", "Oslo", 1), ("Karl Aas", "owns", "kayak", 10))

    def _tell(self, *told: tuple[str, str, str, int]) -> list[Fact]:
        made = self.chat.propose(*told)
        with self.chat.database.transaction() as session:
            for fact_id in made:
                decide(session, self.chat.space_id, fact_id, "STORE", [], REGISTRY, run_id=None)
        return [one for one in list_facts(self.chat.database, self.chat.space_id, REGISTRY) if one.id in made]

    @cached_property
    def model(self) -> LanguageModel:
        return self.ground().model

    def sleep(self, last: float = SMALL, *, taught: bool = True) -> None:
        model = self.model
        shapes = linear_shapes(self.folder)
        vectors = [
            make_vector(model.base_hash, 1, shapes, scale=SMALL),
            learnt(model, self.mona) if taught else make_vector(model.base_hash, 2, shapes, scale=SMALL),
            make_vector(model.base_hash, 3, shapes, scale=last),
        ]
        learns = (self.karl[:1], self.mona, self.karl[1:])
        for night, (vector, facts) in enumerate(zip(vectors, learns, strict=True), 1):
            publish_night(self.place, vector, f"aaaa{night}")
            with self.chat.database.transaction() as session:
                session.add_all(self._row(f"aaaa{night}", fact) for fact in facts)
        put_question(self.place, "aaaa3", "What does Karl own?", "kayak", fact_id=self.karl[1].id)

    def _row(self, run_id: str, fact: Fact) -> Example:
        return Example(
            space_id=self.chat.space_id,
            run_id=run_id,
            fact_id=fact.id,
            split="train",
            kind="fact",
            messages=[
                {"role": "user", "content": fact.predicate},
                {"role": "assistant", "content": fact.object},
            ],
            accepted=[],
            meta={"form": "question", "facts": [fact.id]},
        )

    def ground(self) -> Ground:
        """One for all, so that the model is loaded once."""
        if self._ground is None:
            self._ground = Ground(self.place, self.spec, OPEN, REGISTRY)
        return self._ground

    def forget(self, ground: Ground, target: Target | None = None) -> dict[str, Any]:
        """What the certificate of erasing Mona says of the weights."""
        wanted = target or Target("person", self.mona[0].subject_id)
        shown = erasure.make_plan(self.chat.database, self.chat.space_id, self.chat.home, wanted)
        seen = witness(ground, shown)
        wish = Wish(expected=shown.sha256, weights=partial(settle, ground, seen))
        outcome = self._erase(wanted, wish)
        assert outcome.scan.is_clean
        told = outcome.certificate.as_json()["weights"]
        assert not any(
            word in json.dumps(told) for word in ("Mona", "Bergen", "nurse", "live", "Karl", "kayak")
        )
        assert ledger.verify(self.chat.database, self.chat.space_id) == []
        return dict(told)

    def _erase(self, wanted: Target, wish: Wish) -> Any:
        where = self.chat.database, self.chat.space_id, self.chat.home
        return erasure.erase(*where, wanted, REGISTRY, wish)

    def serving(self) -> list[str | None]:
        """Nights of the vectors that serve."""
        version = self.place.history().find()
        return [entry.run_id for entry in version.usable().entries] if version else []


@pytest.fixture
def nights(chat: Any, talkative: Path) -> Nights:
    return Nights(chat, talkative)


def test_the_other_nights_serve_and_the_certificate_shows_that_theirs_is_gone(nights: Nights) -> None:
    nights.sleep()
    told = nights.forget(nights.ground())
    assert (told["serves"], nights.serving()) == ("rebuilt", ["aaaa1", "aaaa3"])
    assert told["vectors"] == {"before": 3, "tainted": 1, "after": 2}
    assert told["recipe"] == nights.place.history().serving
    assert told["base"] == nights.model.base_hash
    assert told["exam"]["passed"]
    test = told["test"]
    assert (test["facts"], test["controls"], test["few"]) == (2, 24, True)
    assert test["told_before"]
    assert test["before"]["mean_rank"] < test["base"]["mean_rank"]
    assert test["before"]["p_margin"] == test["smallest_p"]["margin"] == 25.0**-2
    assert test["passed"]
    assert test["after"]["p_margin"] > 0.05
    again = settle(nights.ground(), None, {"pointer": {}})  # as if it had been cut off behind the weights
    assert (again["serves"], again["recipe"]) == ("rebuilt", told["recipe"])


def test_what_was_not_learnt_needs_no_test(nights: Nights) -> None:
    nights.sleep(taught=False)
    before = nights.serving()
    told = nights.forget(nights.ground(), Target("episode", nights.chat.episodes[6].id))
    assert (told["serves"], told["why"], told["test"]) == ("unchanged", NOT_LEARNT, None)
    assert nights.serving() == before


def test_a_gate_that_refuses_the_rest_leaves_the_earlier_recipe(nights: Nights) -> None:
    nights.sleep(last=LARGE)
    told = nights.forget(replace(nights.ground(), gate=Gate()))
    assert (told["serves"], nights.serving()) == ("earlier", ["aaaa1"])
    assert told["refused"]["why"].startswith("kl_to_base ")
    assert told["test"]["passed"]
    assert told["vectors"]["after"] == 1


def test_weights_that_still_know_it_do_not_serve(nights: Nights) -> None:
    """Another night took it in without a row that says so, which no taint can see."""
    nights.sleep()
    vector = learnt(nights.model, nights.mona)
    publish_night(nights.place, replace(vector, alpha=1.01 * vector.alpha), "aaaa4")
    told = nights.forget(nights.ground())
    assert (told["serves"], nights.serving()) == ("earlier", ["aaaa1"])
    assert told["refused"]["why"] == "its weights tell the erased facts from controls"
    assert not told["refused"]["test"]["passed"]
    assert told["test"]["passed"]


def test_where_nothing_is_left_the_plain_base_serves(nights: Nights) -> None:
    publish_night(nights.place, learnt(nights.model, nights.mona), "aaaa1")
    with nights.chat.database.transaction() as session:
        session.add_all(nights._row("aaaa1", fact) for fact in nights.mona)
    told = nights.forget(nights.ground())
    assert (told["serves"], told["recipe"], nights.serving()) == ("base", None, [])
    assert told["test"]["after"]["p_rank"] == 1.0
    assert told["test"]["told_before"]


def test_without_a_model_the_rows_go_and_nothing_is_tested(nights: Nights) -> None:
    nights.sleep(taught=False)
    spec = ModelSpec(nights.chat.home / "cache", str(nights.chat.home / "none.gguf"))
    told = nights.forget(replace(nights.ground(), spec=spec))
    assert (told["serves"], nights.serving()) == ("earlier", ["aaaa1"])
    assert told["why"] == told["untested"] == "the base model is not installed"
    assert told["test"] is None


def test_a_vector_that_is_left_and_missing_leaves_the_earlier_recipe(nights: Nights) -> None:
    nights.sleep(taught=False)
    version = nights.place.history().find()
    assert version is not None
    shutil.rmtree(nights.chat.home / version.usable().entries[2].path)
    told = nights.forget(nights.ground())
    assert (told["serves"], nights.serving()) == ("earlier", ["aaaa1"])
    assert told["why"] == "a task vector that is left is missing"


def test_an_erasure_that_was_cut_off_is_finished_without_its_questions(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights.sleep(taught=False)

    def cut(paths: Any) -> int:
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr("memory.erasure.files.remove", cut)
        with pytest.raises(RuntimeError):
            nights.forget(nights.ground())
    assert nights.serving() == ["aaaa1"]
    where = nights.chat.database, nights.chat.space_id, nights.chat.home
    (outcome,) = erasure.resume(*where, Wish(weights=partial(settle, nights.ground(), None)))
    told = outcome.certificate.as_json()["weights"]
    assert (told["serves"], nights.serving()) == ("rebuilt", ["aaaa1", "aaaa3"])
    assert told["test"] is None
    assert "cut off" in told["untested"]


def test_vectors_that_no_night_trained_belong_to_the_base_of_the_test(nights: Nights) -> None:
    """One that makes controls likely would hide what is left, or look like it where it is taken off."""
    primer = make_vector(nights.model.base_hash, 7, linear_shapes(nights.folder), scale=0.2)
    nights.sleep(taught=False)
    version = nights.place.history().find()
    assert version is not None
    primer.save(nights.place.home / "adapters" / "primer")
    entry = Entry(primer.sha256, "adapters/primer", 1.0, None, "primer")
    with_primer = changed(version.usable(), (entry, *version.usable().entries))
    assert [one.label for one in untaught(nights.place, with_primer).entries] == ["primer"]
    serve(nights.place, record(nights.place, with_primer))
    told = nights.forget(nights.ground())
    assert (told["serves"], nights.serving()) == ("rebuilt", [None, "aaaa1", "aaaa3"])
    assert told["test"]["base"] != told["test"]["before"]
    assert not told["test"]["after"]["gain"] > told["test"]["bound"]
