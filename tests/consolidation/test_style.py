"""Claims about styles: who is due, what they are trained on, what the gate lets serve, and what an erasure takes."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.runtime.adapter import Adapter
from agents.runtime.spec import ModelSpec, resolve
from consolidation import exam, merge, primer, runs, style_training, train
from consolidation.errors import NightStopped
from consolidation.mastery import is_restyled
from consolidation.publish import run as publish
from consolidation.recipe import Recipe, current_recipe, load_recipe
from consolidation.recipe_serving import Place, record, serve
from consolidation.stage import (
    NightContext,
    NightSettings,
    StageResult,
    StyleSettings,
    TrainSettings,
    no_progress,
)
from consolidation.style import Ground, Material, Standing, candidates, material, rows_of
from consolidation.style_night import REFIT, SAMPLES, trained_tonight, with_styles
from consolidation.style_training import (
    Judged,
    Trained,
    Twin,
    heard_by,
    judge,
    keep,
    open_model,
    rows_and_settings,
    samples,
)
from consolidation.trainer.__main__ import main as train_child
from consolidation.trainer.job import JobFolder, TrainJob
from memory import consent, constitutions, erasure
from memory.artifacts import PointerRow, list_artifacts, pointer
from memory.candidates import add_candidates
from memory.episodes import list_episodes
from memory.importing import import_file
from memory.people import find_person
from memory.types import FactCandidate, Person, Principle
from memory.vector_nodes import trained_from
from simulator.unseen import unseen
from tests.consolidation.conftest import REGISTRY, START, TOOLS, at_noon, ticking
from tests.made_recipes import linear_shapes, make_vector, publish_night

N_EVENINGS = 30
SHORT = "Writes short messages, often only a handful of words"
STYLE = StyleSettings(
    min_messages=40, passes=1.0, windows_per_step=4, kl_per_step=0, max_minutes=1.0, refit=False
)
TRAIN = TrainSettings(rank=4, alpha=8, kl_per_step=0, dtype="float32")


def tell(place: Place, folder: Path, first: int, n: int) -> None:
    """Evenings on which Bo and Cy each say something and Ada answers both in two lines."""
    rows = []
    for day in range(first, first + n):
        said = (
            ("Bo Rask", f"hello on day {day}"),
            ("Cy Moe", "and from me"),
            ("Ada Lund", "hi hi"),
            ("Ada Lund", f"day {day}!"),
        )
        for minute, (speaker, text) in enumerate(said):
            time = START + timedelta(days=day, minutes=minute)
            rows.append({"time": time.isoformat(), "speaker": speaker, "text": text, "conversation": "club"})
    path = folder / f"talk{first}.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    import_file(place.database, place.space_id, path, clock=at_noon)


@pytest.fixture
def club(place: Place, tmp_path: Path, model_cache: Path) -> Place:
    (place.home / "cache").symlink_to(model_cache)
    tell(place, tmp_path, 0, N_EVENINGS)
    return place


def person(place: Place, name: str) -> Person:
    return find_person(place.database, place.space_id, name)


def agree(place: Place, *names: str) -> None:
    for name in names:
        consent.record(place.database, place.space_id, person(place, name).id, agreed_by=name, clock=at_noon)


def ground(place: Place, folder: Path, **style: Any) -> Ground:
    settings = NightSettings(base_model=str(folder), style=replace(STYLE, **style), train=TRAIN, primer=False)
    return Ground.of(context_of(place, settings, "unused"))


def context_of(place: Place, settings: NightSettings, run_id: str, **given: Any) -> NightContext:
    run_dir = place.home / "runs" / run_id
    run_dir.mkdir(parents=True, exist_ok=True)
    return NightContext(
        place.database,
        place.space_id,
        run_id,
        place.home,
        run_dir,
        settings,
        TOOLS,
        ticking,
        given.get("output", lambda _: {}),
        given.get("should_stop", lambda: False),
    )


def standings(place: Place, folder: Path, **style: Any) -> dict[str, str]:
    return {one.person.name: one.standing.value for one in candidates(ground(place, folder, **style))}


def made_vector(folder: Path, place: Place, seed: int = 1, scale: float = 1e-3) -> Adapter:
    base = resolve(ModelSpec(place.home / "cache", str(folder))).base_hash
    return make_vector(base, seed, linear_shapes(folder), scale=scale)


def kept(place: Place, folder: Path, vector: Adapter, *, run_id: str | None = None) -> tuple[Material, str]:
    """A style of Ada's on record, as a training leaves it; its path."""
    on = ground(place, folder)
    made = material(on, person(place, "Ada Lund"))
    judged = Judged(1, 1.0, *(style_training.Surprise(2.0, 3.0),) * 2, ())
    return made, keep(on, made, Trained(vector, 3, 3, 1.0, False), judged, run_id=run_id)


def ids(windows: Iterable[Any]) -> set[str]:
    return {episode.id for window in windows for episode in window.episodes}


def test_without_consent_nobody_is_looked_at(club: Place, tiny_folder: Path) -> None:
    assert candidates(ground(club, tiny_folder)) == []
    agree(club, "Ada Lund")
    assert standings(club, tiny_folder) == {"Ada Lund": "due"}
    assert standings(club, tiny_folder, is_on=False) == {}


def test_who_wrote_too_little_speaks_from_the_prompt_alone_and_others_wait_their_turn(
    club: Place, tiny_folder: Path
) -> None:
    agree(club, "Ada Lund", "Bo Rask", "Cy Moe")
    assert standings(club, tiny_folder) == {
        "Ada Lund": "due",
        "Bo Rask": "prompt only",
        "Cy Moe": "prompt only",
    }
    assert sorted(standings(club, tiny_folder, min_messages=10, people_per_night=1).values()) == [
        "due",
        "waits",
        "waits",
    ]


def test_a_style_is_due_again_once_there_is_a_fifth_more(
    club: Place, tiny_folder: Path, tmp_path: Path
) -> None:
    agree(club, "Ada Lund")
    kept(club, tiny_folder, made_vector(tiny_folder, club))
    assert standings(club, tiny_folder) == {"Ada Lund": "up to date"}
    tell(club, tmp_path, N_EVENINGS, 5)
    assert standings(club, tiny_folder) == {"Ada Lund": "up to date"}
    tell(club, tmp_path, N_EVENINGS + 5, 1)
    assert standings(club, tiny_folder) == {"Ada Lund": "due"}


def test_a_night_that_never_published_has_tried_nothing(club: Place, tiny_folder: Path) -> None:
    agree(club, "Ada Lund")
    runs.begin(club.database, club.space_id, "cut", NightSettings(), is_resumed=False, clock=ticking)
    kept(club, tiny_folder, made_vector(tiny_folder, club), run_id="cut")
    assert standings(club, tiny_folder) == {"Ada Lund": "due"}


def test_the_same_vector_made_again_by_a_night_that_published_is_settled(
    club: Place, tiny_folder: Path
) -> None:
    agree(club, "Ada Lund")
    vector = made_vector(tiny_folder, club)
    for run_id in ("cut", "whole"):
        runs.begin(club.database, club.space_id, run_id, NightSettings(), is_resumed=False, clock=ticking)
        kept(club, tiny_folder, vector, run_id=run_id)
        (club.home / "runs" / run_id / "style-x").mkdir(parents=True)
    runs.begin_stage(club.database, club.space_id, "whole", "publish", "inputs", clock=ticking)
    runs.end_stage(club.database, "whole", "publish", StageResult({}, {}), 0.0)
    assert standings(club, tiny_folder) == {"Ada Lund": "up to date"}
    (row,) = list_artifacts(club.database, club.space_id, kind="adapter")
    assert row.meta["tried_in"] == ["cut", "whole"]
    erase_short(club)
    assert not any((club.home / "runs" / run_id).exists() for run_id in ("cut", "whole"))


def test_a_style_of_before_the_constitution_is_due_once_more(club: Place, tiny_folder: Path) -> None:
    agree(club, "Ada Lund")
    kept(club, tiny_folder, made_vector(tiny_folder, club))
    lines = [Principle("speech", "Says hi twice", (list_episodes(club.database, club.space_id)[2].id,))]
    ada = person(club, "Ada Lund").id
    with club.database.transaction() as session:
        constitutions.write(session, club.space_id, ada, lines, run_id=None, clock=ticking)
    assert standings(club, tiny_folder) == {"Ada Lund": "due"}
    kept(club, tiny_folder, made_vector(tiny_folder, club, 2))
    assert standings(club, tiny_folder) == {"Ada Lund": "up to date"}


def test_past_and_future_share_no_message_and_the_future_is_the_newest(
    club: Place, tiny_folder: Path
) -> None:
    made = material(ground(club, tiny_folder), person(club, "Ada Lund"))
    past, watching, judged = ids(made.trained), ids(made.watching), ids(made.judged)
    assert past
    assert watching
    assert judged
    assert not past & watching
    assert not past & judged
    assert not watching & judged
    assert max(w.at for w in made.trained) < min(w.at for w in made.watching)
    assert max(w.at for w in made.watching) < min(w.at for w in made.judged)


def test_prompts_hold_nothing_that_rests_on_what_is_held_out(club: Place, tiny_folder: Path) -> None:
    own = [e for e in list_episodes(club.database, club.space_id) if e.speaker == "Ada Lund"]
    first, newest = own[0], own[-1]
    facts = [
        FactCandidate("Ada Lund", predicate, value, (said.id,), "Ada Lund", 0.9, "made")
        for predicate, value, said in (("lives_in", "Lagos", first), ("likes", "rowing", newest))
    ]
    lines = [
        Principle("value", "Keeps her word", (first.id,)),
        Principle("value", "Loves to row", (first.id, newest.id)),
        Principle("speech", SHORT, (first.id, newest.id)),
    ]
    ada = person(club, "Ada Lund")
    with club.database.transaction() as session:
        add_candidates(session, club.space_id, facts, REGISTRY, clock=at_noon)
        constitutions.write(session, club.space_id, ada.id, lines, run_id=None, clock=at_noon)
    on = ground(club, tiny_folder)
    made = material(on, ada)
    known = made.known["Ada Lund"]
    assert [line.text for line in known.principles] == ["Keeps her word", SHORT]
    assert known.sayings == ("I live in Lagos.",)
    held_out = {e.id for window in made.judged for e in window.reply}
    assert made.evidence
    assert held_out.isdisjoint(made.evidence)


def test_erasing_what_a_fact_in_a_prompt_rests_on_takes_the_style(club: Place, tiny_folder: Path) -> None:
    own = [e for e in list_episodes(club.database, club.space_id) if e.speaker == "Ada Lund"]
    fact = FactCandidate("Ada Lund", "lives_in", "Lagos", (own[0].id,), "Ada Lund", 0.9, "made")
    with club.database.transaction() as session:
        add_candidates(session, club.space_id, [fact], REGISTRY, clock=at_noon)
    on = ground(club, tiny_folder)
    made = material(on, person(club, "Ada Lund"))
    made = replace(made, trained=[w for w in made.trained if own[0].id not in ids([w])])
    judged = Judged(1, 1.0, *(style_training.Surprise(2.0, 3.0),) * 2, ())
    keep(on, made, Trained(made_vector(tiny_folder, club), 3, 3, 1.0, False), judged)
    target = erasure.Target("episode", own[0].id)
    erasure.erase(club.database, club.space_id, club.home, target, REGISTRY, clock=club.clock)
    (row,) = list_artifacts(club.database, club.space_id, kind="adapter")
    assert row.tainted_at is not None


def test_whose_windows_do_not_suffice_and_whose_training_failed_hold_nobody_up(
    club: Place, tiny_folder: Path
) -> None:
    agree(club, "Ada Lund", "Bo Rask", "Cy Moe")
    few: dict[str, Any] = {"min_messages": 10, "people_per_night": 1}
    assert standings(club, tiny_folder, **few)["Ada Lund"] == "due"
    failed = {"person": person(club, "Ada Lund").id, "standing": "trained", "serves": False, "why": "x"}
    runs.begin(club.database, club.space_id, "night", NightSettings(), is_resumed=False, clock=ticking)
    runs.begin_stage(club.database, club.space_id, "night", "train", "inputs", clock=ticking)
    runs.end_stage(club.database, "night", "train", StageResult({}, {"styles": [failed]}), 0.0)
    assert standings(club, tiny_folder, **few)["Ada Lund"] == "waits"
    none = standings(club, tiny_folder, **few, max_reply_chars=1)
    assert none == dict.fromkeys(("Ada Lund", "Bo Rask", "Cy Moe"), "prompt only")


def test_both_speakers_are_learnt_where_wanted_and_only_those_who_agreed(
    club: Place, tiny_folder: Path
) -> None:
    agree(club, "Ada Lund", "Bo Rask")
    ada = person(club, "Ada Lund")
    alone = material(ground(club, tiny_folder), ada)
    both = material(ground(club, tiny_folder, both_speakers=True), ada)
    assert {window.speaker for window in alone.trained} == {"Ada Lund"}
    assert {window.speaker for window in both.trained} == {"Ada Lund", "Bo Rask"}
    assert {window.speaker for window in both.judged} == {"Ada Lund"}


def test_the_same_seed_gives_the_same_rows(club: Place, tiny_folder: Path) -> None:
    on = ground(club, tiny_folder)
    made = material(on, person(club, "Ada Lund"))
    rows = rows_of(made, on, 50)
    assert rows == rows_of(made, on, 50)
    assert rows != rows_of(made, replace(on, seed=1), 50)
    assert sum(row.kind == "style" for row in rows) == 50
    assert {row.messages[-1]["role"] for row in rows} == {"assistant"}


def test_what_serves_has_learnt_what_was_held_out_as_long_as_was_best_for_the_past(
    club: Place, tiny_folder: Path
) -> None:
    on = ground(club, tiny_folder)
    made = material(on, person(club, "Ada Lund"))
    rows, settings = rows_and_settings(on, made, best_step=8)
    assert settings.steps == math.ceil(8 * len(made.every) / len(made.trained)) > 8
    assert {row.kind for row in rows} == {"style"}
    taught = {row.messages[-1]["content"] for row in rows}
    assert any("\n[ADA] ".join(window.lines) in taught for window in made.judged)


def test_a_persona_is_measured_by_the_vector_that_its_gate_judged(club: Place, tiny_folder: Path) -> None:
    agree(club, "Ada Lund")
    ada, first, second = person(club, "Ada Lund"), *(made_vector(tiny_folder, club, seed) for seed in (1, 2))
    made, judged_at = kept(club, tiny_folder, first)
    judged = Judged(1, 1.0, *(style_training.Surprise(2.0, 3.0),) * 2, ())
    done, twin = Trained(second, 3, 3, 1.0, False), Twin(first.sha256, heard_by(made))
    path = keep(ground(club, tiny_folder), made.whole, done, judged, twin=twin)
    recipe = with_styles(club, current_of(club, second), [outcome_of(club, second, path)])
    found = unseen(club.database, club.space_id, recipe, ada.id, made.every)
    assert found is not None
    assert found.worn is not None
    assert [entry.path for entry in found.worn.entries] == [judged_at]
    assert found.is_as_judged
    assert found.since <= made.watching[0].at
    assert [entry.path for entry in recipe.entries] == [path]


def test_a_style_that_does_not_help_is_left_out_and_says_which_number_failed(
    club: Place, tiny_folder: Path
) -> None:
    on = ground(club, tiny_folder)
    on = replace(on, gate=replace(on.gate, max_ppl_change=-2.0))
    made, vector = material(on, person(club, "Ada Lund")), made_vector(tiny_folder, club)
    model = open_model(on)
    judged = judge(model, on, made, [], vector)
    assert not judged.is_kept
    assert "ppl_change" in judged.failed
    assert judged.coefficient == 0.5
    same = samples(model, made, [], [])
    assert [sample.without for sample in same] == [sample.styled for sample in same]
    assert not any("[BO]" in sample.styled for sample in same)


def test_what_a_style_was_trained_from_is_known_and_erasing_any_of_it_takes_it(
    club: Place, tiny_folder: Path
) -> None:
    vector = made_vector(tiny_folder, club)
    made, path = kept(club, tiny_folder, vector)
    about = {edge.name for edge in trained_from(club.database, club.space_id, vector.sha256)}
    assert about == {"Ada Lund", "Bo Rask", "Cy Moe"}
    recipe = with_styles(club, current_of(club, vector), [outcome_of(club, vector, path)])
    assert recipe.entries == ()  # nobody agreed
    agree(club, "Ada Lund")
    recipe = with_styles(club, current_of(club, vector), [outcome_of(club, vector, path)])
    serve(club, record(club, recipe))
    target = erasure.Target("episode", made.trained[0].reply[0].id)
    erasure.erase(club.database, club.space_id, club.home, target, REGISTRY, clock=club.clock)
    (row,) = list_artifacts(club.database, club.space_id, kind="adapter")
    assert row.tainted_at is not None
    assert current_recipe(club.database, club.space_id, club.home) is None
    assert not (club.home / path).exists()


def current_of(place: Place, vector: Adapter) -> Recipe:
    return current_recipe(place.database, place.space_id, place.home) or Recipe(vector.base_hash)


def outcome_of(place: Place, vector: Adapter, path: str) -> dict[str, Any]:
    return {
        "person": person(place, "Ada Lund").id,
        "serves": True,
        "vector": vector.sha256,
        "path": path,
        "effect": {"coefficient": 0.7},
    }


@pytest.fixture
def begun_as(club: Place, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adapter:
    """What styles on the tiny base begin as, where such vectors are looked for."""
    monkeypatch.setattr(primer, "STARTS", tmp_path / "starts")
    on = ground(club, tiny_folder)
    settings = replace(TRAIN, facts_per_step=0, negatives_per_step=0, replay_per_step=0, style_per_step=2)
    folder = JobFolder(tmp_path / "start")
    rows = rows_of(material(on, person(club, "Ada Lund")), on, 4)
    folder.write(
        TrainJob(str(tiny_folder), str(club.home / "cache"), settings=replace(settings, steps=2)), rows
    )
    assert train_child(["trainer", str(folder.path)]) == 0
    return Adapter.load(primer.save_style_start(folder.adapter))


def test_a_night_without_facts_trains_the_style_goes_on_after_a_stop_and_lets_it_serve(
    club: Place, tiny_folder: Path, begun_as: Adapter
) -> None:
    agree(club, "Ada Lund")
    style = replace(STYLE, lr=0.02, refit=True)
    settings = NightSettings(base_model=str(tiny_folder), style=style, train=TRAIN, primer=False)
    settings = replace(settings, gate=replace(settings.gate, max_ppl_change=1e9))
    runs.begin(club.database, club.space_id, "night", settings, is_resumed=False, clock=ticking)
    stop = threading.Event()
    outputs: dict[str, dict[str, Any]] = {"dream": {"n_train": 0}}

    def context() -> NightContext:
        return context_of(
            club, settings, "night", output=lambda stage: outputs.get(stage, {}), should_stop=stop.is_set
        )

    def stop_at_work(done: int, total: int, note: str = "") -> None:
        if done >= 2:
            stop.set()

    with pytest.raises(NightStopped):
        train.run(context(), stop_at_work)
    folder = JobFolder(next((club.home / "runs" / "night").glob("style-*")))
    assert folder.checkpoint.is_file() or folder.result.is_file()  # a fast child is done by then
    stop.clear()
    outputs["train"] = train.run(context(), no_progress).output
    (told,) = trained_tonight(context())
    assert (told["standing"], told["serves"]) == (Standing.TRAINED.value, True)
    assert told["effect"]["after"]["nats_per_token"] < told["effect"]["before"]["nats_per_token"]
    assert told["refit"]["passed"]
    trained = list_artifacts(club.database, club.space_id, kind="adapter")
    styles = [row for row in trained if "style" in row.meta]
    assert [row.meta["start"] for row in styles] == [begun_as.sha256] * 2
    rates = [Adapter.load(club.home / row.path).meta["settings"]["lr"] for row in styles]
    assert rates == [settings.style.lr / 2] * 2
    assert told["refit"]["n_windows"] > told["n_windows"]
    assert not (folder.path / REFIT).exists()
    assert len(json.loads((folder.path / SAMPLES).read_text(encoding="utf-8"))) == 4
    assert not any(path.exists() for path in (folder.rows_file, folder.checkpoint, folder.adapter))
    assert train.run(context(), no_progress).output == outputs["train"]
    published = publish(context(), no_progress)
    assert "with 1 new style" in published.output["reason"]
    recipe = current_recipe(club.database, club.space_id, club.home)
    assert recipe is not None
    assert [entry.person for entry in recipe.entries] == [person(club, "Ada Lund").id]
    assert publish(context(), no_progress).output == published.output
    erase_short(club)
    assert not folder.path.parent.exists()
    assert list(club.home.glob("adapters/*")) == []


def test_a_damaged_start_fails_the_style_and_not_the_night(
    club: Place, tiny_folder: Path, begun_as: Adapter
) -> None:
    agree(club, "Ada Lund")
    (primer.STARTS / begun_as.base_hash[:12] / "slowwave.json").write_text("{", encoding="utf-8")
    settings = NightSettings(base_model=str(tiny_folder), style=STYLE, train=TRAIN, primer=False)
    runs.begin(club.database, club.space_id, "night", settings, is_resumed=False, clock=ticking)
    context = context_of(club, settings, "night", output=lambda stage: {"n_train": 0})
    (told,) = train.run(context, no_progress).output["styles"]
    assert not told["serves"]
    assert "its notes are missing or damaged" in told["why"]


def test_an_erasure_takes_the_windows_of_a_style_that_is_half_trained(club: Place, tiny_folder: Path) -> None:
    runs.begin(club.database, club.space_id, "cut", NightSettings(), is_resumed=False, clock=ticking)
    folder = JobFolder(club.home / "runs" / "cut" / "style-x")
    on = ground(club, tiny_folder)
    folder.write(TrainJob("x", "x"), rows_of(material(on, person(club, "Ada Lund")), on, 4))
    erase_short(club)
    assert not folder.path.exists()


def erase_short(place: Place) -> None:
    """A message of two words, which are in too many others to be searched for."""
    episodes = list_episodes(place.database, place.space_id)
    target = erasure.Target("episode", next(e.id for e in episodes if e.text == "hi hi"))
    erasure.erase(place.database, place.space_id, place.home, target, REGISTRY, clock=place.clock)


def test_a_night_with_facts_puts_both_into_one_recipe_and_its_exam_is_of_nobody(
    club: Place, tiny_folder: Path
) -> None:
    agree(club, "Ada Lund")
    knowledge, style = (made_vector(tiny_folder, club, seed) for seed in (1, 2))
    knowledge.save(club.home / "adapters" / "known")
    _, path = kept(club, tiny_folder, style)
    told = [outcome_of(club, style, path)]
    outputs: dict[str, dict[str, Any]] = {
        "dream": {"n_train": 1, "n_facts": 1},
        "train": {"adapter": "adapters/known", "adapter_id": None, "styles": told},
    }
    settings = NightSettings(base_model=str(tiny_folder), primer=False)
    runs.begin(club.database, club.space_id, "night", settings, is_resumed=False, clock=ticking)
    context = context_of(club, settings, "night", output=lambda stage: outputs.get(stage, {}))
    recipe = load_recipe(club.home, merge.run(context, no_progress).output["recipe"])
    assert [entry.label for entry in recipe.entries] == ["1 facts", "style"]
    assert [adapter.sha256 for adapter, _ in exam.vectors_of(context)] == [knowledge.sha256]


def test_a_refused_night_lets_its_styles_serve_with_what_was_there(club: Place, tiny_folder: Path) -> None:
    agree(club, "Ada Lund")
    before = publish_night(club, made_vector(tiny_folder, club, 1), "first")
    _, path = kept(club, tiny_folder, style := made_vector(tiny_folder, club, 2))
    outputs: dict[str, dict[str, Any]] = {
        "dream": {"n_train": 1},
        "train": {"styles": [outcome_of(club, style, path)]},
    }
    settings = NightSettings(base_model=str(tiny_folder), primer=False)
    runs.begin(club.database, club.space_id, "night", settings, is_resumed=False, clock=ticking)
    context = context_of(club, settings, "night", output=lambda stage: outputs.get(stage, {}))
    result = publish(context, no_progress)
    assert result.output["status"] == "refused"
    assert "the night before still serves, with 1 new style" in result.output["reason"]
    recipe = current_recipe(club.database, club.space_id, club.home)
    assert recipe is not None
    assert recipe.for_person(None).entries == before.entries
    assert recipe.for_person(person(club, "Ada Lund").id).entries[-1].adapter_sha256 == style.sha256
    assert (
        pointer(club.database, club.space_id) or PointerRow(None, None, None, at_noon())
    ).run_id == "first"
    assert is_exam_of_serving(club)


def is_exam_of_serving(place: Place) -> bool:
    """Whether what serves is what the night's exam was taken of, styles aside."""
    serving = pointer(place.database, place.space_id)
    assert serving is not None
    assert serving.run_id is not None
    recipe = current_recipe(place.database, place.space_id, place.home)
    assert recipe is not None
    merged = runs.stage_records(place.database, serving.run_id)["merge"]
    return is_restyled(place.home, merged, recipe)
