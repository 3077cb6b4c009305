"""What erasing does to weights: fabricated nights with real adapters, recipes, readouts and reports on disk."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.runtime.adapter import Adapter
from consolidation import recipe as recipes
from consolidation import runs, verification
from consolidation.current import current_readout
from consolidation.publish import roll_back
from consolidation.recipe import Recipe, current_recipe
from consolidation.recipe_history import Version
from consolidation.recipe_serving import Place, erased_from, record, serve, tainted_vectors
from consolidation.stage import StageResult
from db.tables import Artifact, ExamAnswer, Example, Pointer, SleepRun
from memory import artifacts, erasure, ledger
from memory.artifacts import get_artifact, move_pointer, pointer, record_artifact
from memory.erasure import Target
from memory.errors import TaintedArtifact
from memory.facts import decide
from memory.registry import Registry

BASE = "b" * 64
REGISTRY = Registry.load()


@dataclass(frozen=True)
class Night:
    run_id: str
    adapter: str  # artifact ids
    recipe: str
    readout: str
    report: str
    path: str  # of the adapter


@dataclass
class Nights:
    """Publishes fabricated nights of the chat, each on top of the one before."""

    chat: Any
    n: int = 0

    def __call__(
        self,
        taught: list[str],
        *,
        text: str = "she lives there",
        episodes: Any = (),
        quoted: tuple[str, ...] = (),
    ) -> Night:
        self.n += 1
        context = self.chat.context()
        home, run_id = self.chat.home, context.run_id
        (context.run_dir / "train").mkdir()
        (context.run_dir / "train" / "rows.jsonl").write_text(json.dumps({"text": text}))
        (context.run_dir / "report.html").write_text(f"<p>{text}</p>")
        adapter = make_adapter(self.n, run_id)
        path = f"adapters/{adapter.sha256[:12]}"
        adapter.save(home / path)
        so_far = current_recipe(self.chat.database, self.chat.space_id, home) or Recipe(BASE)
        recipe = recipes.add(so_far, adapter, path=path, run_id=run_id, label="1 facts")
        recipes.save(home, recipe)
        readout = self._readout(recipe.path)
        with self.chat.database.transaction() as session:
            made = {
                kind: record_artifact(
                    session,
                    self.chat.space_id,
                    run_id=run_id,
                    kind=kind,
                    path=where,
                    sha256=sha256,
                    meta=meta,
                    clock=context.clock,
                )
                for kind, where, sha256, meta in (
                    ("adapter", path, adapter.sha256, {}),
                    ("recipe", recipe.path, recipe.sha256, {}),
                    (
                        "readout",
                        readout,
                        readout,
                        {"episodes": list(episodes)} if episodes is not None else {},
                    ),
                    ("report", f"runs/{run_id}/report.html", "0", {}),
                )
            }
            examples = self._examples(run_id, taught, text, quoted)
            session.add_all(examples)
            session.flush()
            session.add(answer_to(examples[-1], text))
            session.get_one(SleepRun, run_id).is_published = True
            session.get_one(SleepRun, run_id).status = "done"
            move_pointer(
                session,
                self.chat.space_id,
                run_id=run_id,
                recipe_id=made["recipe"],
                readout_id=made["readout"],
                clock=context.clock,
            )
        output = {"recipe_id": made["recipe"], "readout_id": made["readout"]}
        runs.begin_stage(self.chat.database, self.chat.space_id, run_id, "publish", "h", clock=context.clock)
        runs.end_stage(self.chat.database, run_id, "publish", StageResult(output=output), 0.1)
        return Night(run_id, path=path, **made)

    def _readout(self, recipe_path: str) -> str:
        path = f"readouts/{hashlib.sha256(str(self.n).encode()).hexdigest()[:12]}"
        folder = self.chat.home / path
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"recipe": recipe_path}))
        (folder / "vectors.safetensors").write_bytes(b"")
        return path

    def _examples(self, run_id: str, taught: list[str], text: str, quoted: tuple[str, ...]) -> list[Any]:
        messages = [{"role": "user", "content": "where?"}, {"role": "assistant", "content": text}]
        common: dict[str, Any] = {"space_id": self.chat.space_id, "run_id": run_id, "accepted": []}
        rows: list[Any] = [
            Example(
                id=f"{run_id}-t{place}",
                split="train",
                kind="replay" if place else "fact",
                fact_id=fact_id,
                messages=messages,
                meta={"facts": [fact_id], **({"episodes": list(quoted)} if quoted else {})},
                **common,
            )
            for place, fact_id in enumerate(taught)
        ]
        rows.append(
            Example(
                id=f"{run_id}-x0",
                split="exam",
                kind="fact",
                fact_id=None,
                messages=messages,
                meta={},
                **common,
            )
        )
        return rows


def answer_to(example: Example, text: str) -> ExamAnswer:
    return ExamAnswer(
        run_id=example.run_id,
        example_id=example.id,
        condition="base",
        space_id=example.space_id,
        answer=text,
        is_right=True,
    )


def make_adapter(seed: int, run_id: str) -> Adapter:
    dice = np.random.default_rng(seed)
    factors = dice.normal(size=(2, 8)).astype(np.float32), dice.normal(size=(8, 2)).astype(np.float32)
    return Adapter(BASE, 2, 4.0, {"one": factors}, {"run_id": run_id})


@pytest.fixture
def night(chat: Any) -> Nights:
    return Nights(chat)


@pytest.fixture
def facts(chat: Any) -> list[str]:
    """Two facts: what Mona says of herself, and what Karl says of himself."""
    made = chat.propose(("Mona Berg", "lives_in", "Bergen", 0), ("Karl Aas", "lives_in", "Oslo", 1))
    with chat.database.transaction() as session:
        for fact_id in made:
            decide(session, chat.space_id, fact_id, "STORE", [], REGISTRY, run_id=None)
    return list(made)


def erase(chat: Any, kind: Any, target_id: str, **options: Any) -> Any:
    return erasure.erase(
        chat.database, chat.space_id, chat.home, Target(kind, target_id, **options), REGISTRY
    )


def serving(chat: Any) -> Any:
    found = pointer(chat.database, chat.space_id)
    assert found is not None
    return found


def tainted(chat: Any) -> set[str]:
    every = artifacts.list_artifacts(chat.database, chat.space_id)
    return {item.id for item in every if item.tainted_at is not None}


def test_a_night_that_learnt_an_erased_fact_is_tainted_and_serves_no_more(
    chat: Any, night: Nights, facts: list[str]
) -> None:
    clean, bad = night(facts[1:]), night(facts[:1])
    erase(chat, "fact", facts[0])
    assert tainted(chat) == {bad.adapter, bad.recipe, bad.readout, bad.report}
    assert (serving(chat).run_id, serving(chat).recipe_id, serving(chat).readout_id) == (
        clean.run_id,
        clean.recipe,
        clean.readout,
    )
    assert current_recipe(chat.database, chat.space_id, chat.home) is not None


def test_files_of_tainted_artifacts_go_and_the_others_stay(
    chat: Any, night: Nights, facts: list[str]
) -> None:
    clean, bad = night(facts[1:]), night(facts[:1])
    erase(chat, "fact", facts[0])
    assert not (chat.home / bad.path).exists()
    assert not (chat.home / "runs" / bad.run_id).exists()
    assert (chat.home / clean.path).is_dir()
    assert (chat.home / "runs" / clean.run_id / "report.html").is_file()
    recipe = get_artifact(chat.database, bad.recipe)
    assert (chat.home / recipe.path).is_file()  # hashes and counts, from which weights can be made again


def test_recipes_on_top_of_a_tainted_vector_are_tainted(chat: Any, night: Nights, facts: list[str]) -> None:
    bad, later = night(facts[:1]), night(facts[1:])
    erase(chat, "fact", facts[0])
    assert {bad.adapter, bad.recipe, later.recipe} <= tainted(chat)
    assert later.adapter not in tainted(chat)
    assert (chat.home / later.path).is_dir()
    assert (serving(chat).run_id, serving(chat).recipe_id, serving(chat).readout_id) == (None, None, None)
    assert current_recipe(chat.database, chat.space_id, chat.home) is None


def test_a_night_that_replayed_an_erased_fact_is_tainted(chat: Any, night: Nights, facts: list[str]) -> None:
    replaying = night([facts[1], facts[0]])
    erase(chat, "fact", facts[0])
    assert replaying.adapter in tainted(chat)


def test_a_night_that_taught_the_words_is_tainted(chat: Any, night: Nights, facts: list[str]) -> None:
    quoting = night(facts[1:], text=chat.episodes[2].text)
    other = night(facts[1:], text="nothing of hers")
    erase(chat, "episode", chat.episodes[2].id)
    assert quoting.recipe in tainted(chat)
    assert other.adapter not in tainted(chat)


def test_a_night_that_answered_with_a_sentence_of_an_erased_message_is_tainted(
    chat: Any, night: Nights, facts: list[str]
) -> None:
    quoting = night(facts[1:], text="a stretch of it", quoted=(chat.episodes[2].id,))
    other = night(facts[1:], text="a stretch of it", quoted=(chat.episodes[3].id,))
    erase(chat, "episode", chat.episodes[2].id)
    assert quoting.recipe in tainted(chat)
    assert other.adapter not in tainted(chat)


def test_a_night_that_taught_the_name_is_tainted(chat: Any, night: Nights, facts: list[str]) -> None:
    naming = night(facts[1:], text="[MONA] hello")
    person = chat.episodes[0].speaker_id
    outcome = erase(chat, "person", person)
    assert naming.adapter in tainted(chat)
    assert [item.where for item in outcome.scan.found] == ["chat.jsonl"]


def test_an_exam_that_asked_for_the_name_loses_its_questions_only(
    chat: Any, night: Nights, facts: list[str]
) -> None:
    asked = night([], text="Mona is fine")
    with chat.database.reading() as session:
        assert session.get(Example, f"{asked.run_id}-x0") is not None
    erase(chat, "person", chat.episodes[0].speaker_id)
    with chat.database.reading() as session:
        assert session.get(Example, f"{asked.run_id}-x0") is None
        assert session.get(ExamAnswer, (asked.run_id, f"{asked.run_id}-x0", "base")) is None
    assert asked.adapter not in tainted(chat)
    assert asked.report in tainted(chat)


@pytest.mark.parametrize(("place", "is_tainted"), [(0, True), (3, False), (None, True)])
def test_a_readout_is_tainted_by_the_messages_it_is_made_of(
    chat: Any, night: Nights, facts: list[str], place: int | None, is_tainted: bool
) -> None:
    used = None if place is None else [chat.episodes[place].id]  # a record of old names no messages
    made = night(facts[1:], episodes=used)
    erase(chat, "episode", chat.episodes[0].id)
    assert (made.readout in tainted(chat)) is is_tainted
    assert serving(chat).recipe_id == made.recipe
    assert serving(chat).readout_id == (None if is_tainted else made.readout)


@pytest.mark.parametrize("is_summed_up", [True, False])
def test_a_readout_is_tainted_by_the_weights_of_earlier_nights_that_it_sums_up(
    chat: Any, night: Nights, facts: list[str], is_summed_up: bool
) -> None:
    bad, later = night(facts[:1]), night(facts[1:], episodes=[])
    folder = chat.home / get_artifact(chat.database, later.readout).path
    (folder / "manifest.json").write_text(json.dumps({"recipe": "recipes/of-tonight.json"}))
    read_in = ["recipes/of-tonight.json", get_artifact(chat.database, bad.recipe).path]
    with chat.database.transaction() as session:
        meta = {"episodes": [], "recipes": read_in if is_summed_up else read_in[:1]}
        session.get_one(Artifact, later.readout).meta = meta
    erase(chat, "fact", facts[0])
    assert (later.readout in tainted(chat)) is is_summed_up
    assert folder.exists() is not is_summed_up


def test_a_pointer_at_something_tainted_is_refused(chat: Any, night: Nights, facts: list[str]) -> None:
    bad = night(facts[:1])
    erase(chat, "fact", facts[0])
    with chat.database.transaction() as session:  # past the program, as a restored row would
        row = session.get_one(Pointer, (chat.space_id, "current"))
        row.recipe_id, row.readout_id = bad.recipe, bad.readout
    with pytest.raises(TaintedArtifact):
        current_recipe(chat.database, chat.space_id, chat.home)
    with pytest.raises(TaintedArtifact):
        current_readout(chat.database, chat.space_id, chat.home, "model", {})


def test_rolling_back_passes_over_tainted_nights(chat: Any, night: Nights, facts: list[str]) -> None:
    clean, bad = night(facts[1:]), night(facts[:1])
    erase(chat, "fact", facts[0])
    with pytest.raises(TaintedArtifact):
        roll_back(chat.database, chat.space_id, bad.run_id)
    assert serving(chat).run_id == clean.run_id
    assert roll_back(chat.database, chat.space_id).run_id is None
    assert roll_back(chat.database, chat.space_id, clean.run_id).recipe_id == clean.recipe


def test_what_an_erasure_left_of_the_weights_can_serve(chat: Any, night: Nights, facts: list[str]) -> None:
    night([facts[0]])
    second = night([facts[1]])
    erase(chat, "fact", facts[0])
    place = Place(chat.database, chat.space_id, chat.home)
    assert current_recipe(chat.database, chat.space_id, chat.home) is None
    left = recipes.without(erased_from(place), tainted_vectors(place))
    assert [entry.run_id for entry in left.entries] == [second.run_id]
    serve(place, record(place, left))
    assert current_recipe(chat.database, chat.space_id, chat.home) == left
    assert ledger.verify(chat.database, chat.space_id) == []


def test_unfinished_nights_are_closed(chat: Any, facts: list[str]) -> None:
    context = chat.context()
    erase(chat, "fact", facts[0])
    assert runs.get_run(chat.database, chat.space_id, context.run_id).status == "failed"
    assert runs.resumable(chat.database, chat.space_id) is None


def test_an_adapter_that_a_kill_left_without_a_record_goes_too(
    chat: Any, night: Nights, facts: list[str]
) -> None:
    bad = night(facts[:1])
    stray: Path = chat.home / "adapters" / "stray"
    make_adapter(99, bad.run_id).save(stray)
    erase(chat, "fact", facts[0])
    assert not stray.exists()


def test_the_pointer_and_the_certificate_are_one_transaction(
    chat: Any, night: Nights, facts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = night(facts[:1])
    append = ledger.append

    def failing(session: Any, space_id: str, kind: str, *rest: Any, **options: Any) -> Any:
        if kind == "erasure":
            raise RuntimeError("the power went")
        return append(session, space_id, kind, *rest, **options)

    monkeypatch.setattr(ledger, "append", failing)
    with pytest.raises(RuntimeError):
        erase(chat, "fact", facts[0])
    assert serving(chat).run_id == bad.run_id
    assert tainted(chat) == set()
    assert (chat.home / bad.path).is_dir()


def test_the_chat_file_in_the_home_is_residue_that_is_not_ours(
    chat: Any, night: Nights, facts: list[str]
) -> None:
    outcome = erase(chat, "episode", chat.episodes[2].id)
    assert [(item.where, item.kind) for item in outcome.scan.found] == [("chat.jsonl", "other")]
    assert (chat.home / "chat.jsonl").is_file()


def verified(chat: Any, run_id: str) -> tuple[Version, Path]:
    """The night's recipe, and the file of its verification."""
    place = Place(chat.database, chat.space_id, chat.home)
    version = place.history().find(run_id)
    assert version is not None
    vectors = [{"exam": None, "night": entry.run_id} for entry in version.usable().entries]
    found = {"vectors": vectors, "pairs": [], "together": None}
    return version, chat.home / verification.keep(place, version, found)


def test_what_was_verified_goes_with_its_recipe(chat: Any, night: Nights, facts: list[str]) -> None:
    clean, bad = (verified(chat, night(taught).run_id) for taught in (facts[1:], facts[:1]))
    erase(chat, "fact", facts[0])
    place = Place(chat.database, chat.space_id, chat.home)
    assert [path.exists() for _, path in (clean, bad)] == [True, False]
    assert verification.last(place, clean[0]) is not None
    assert verification.last(place, bad[0]) is None
    with pytest.raises(TaintedArtifact):  # whoever began to verify before the erasure
        verified(chat, bad[0].run_id or "")
    assert list((chat.home / "verified").iterdir()) == [clean[1]]


def test_what_was_verified_by_questions_that_go_goes_without_its_recipe(
    chat: Any, night: Nights, facts: list[str]
) -> None:
    version, path = verified(chat, night([], text="Mona is fine").run_id)
    erase(chat, "person", chat.episodes[0].speaker_id)
    assert not path.exists()
    assert version.artifact_id not in tainted(chat)
