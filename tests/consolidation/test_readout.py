"""The stage: what a night reads, adds and reports. The model is the tiny random one, in float32."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from consolidation import readout, readout_sums, readouts
from consolidation import recipe as recipes
from consolidation.errors import BadReadout
from consolidation.readout import Limits, choose, choose_layers, layers_to_try, read_graph
from consolidation.readout_sums import Fresh, Members, RunningSums
from consolidation.readouts import Directions
from consolidation.recipe import Recipe
from consolidation.stage import NightSettings, StageResult, TrainSettings, no_progress
from db.tables import Episode as EpisodeRow
from memory.artifacts import get_artifact, list_artifacts, move_pointer
from memory.emotions import add_tags
from memory.episodes import list_episodes
from memory.importing import import_file
from memory.types import EmotionTag, Episode

LIMITS = Limits(min_intensity=5, min_examples=12, seed=0)
NAMES = ("Mona Berg", "Karl Aas")
WORDS = {"joy": "so glad about the", "fear": "rather afraid of the", None: "went over to the"}
THINGS = ("boat", "shed", "garden", "market", "long road", "empty house", "harbour at night")


def said(number: int, speaker: str = "mona", text: str = "") -> Episode:
    time = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    text = text or f"words of a message, number {number} " + "x" * (number % 7)
    return Episode(f"e{number:03}", "c", number, speaker, speaker, time, text)


def felt(concept: str, numbers: Sequence[int], intensity: float = 8.0) -> list[EmotionTag]:
    return [EmotionTag(f"e{number:03}", concept, intensity, "j") for number in numbers]


def test_negatives_match_their_positives_in_speaker_and_length() -> None:
    episodes = [said(n, "mona" if n % 2 else "karl") for n in range(80)]
    joy = choose(read_graph(episodes, felt("joy", range(20))), None, LIMITS).new["joy"]
    by_id = {episode.id: episode for episode in episodes}
    positives, negatives = ([by_id[key] for key in keys] for keys in (joy.positive, joy.negative))
    assert len(negatives) == 3 * len(positives)
    assert all(int(episode.id[1:]) >= 20 for episode in negatives)
    for speaker in ("mona", "karl"):
        mine = [len(episode.text) for episode in positives if episode.speaker_id == speaker]
        theirs = [len(episode.text) for episode in negatives if episode.speaker_id == speaker]
        assert len(theirs) == 3 * len(mine)
        assert abs(sum(theirs) / len(theirs) - sum(mine) / len(mine)) < 1


def test_a_concept_with_too_few_examples_is_left_out_and_named() -> None:
    tags = felt("joy", range(12)) + felt("fear", range(11)) + felt("pride", range(40), intensity=2.0)
    found = choose(read_graph([said(n) for n in range(80)], tags), None, LIMITS)
    assert set(found.new) == {"joy"}
    assert found.left_out == {"fear": 11}


def test_the_same_words_twice_are_one_example() -> None:
    episodes = [replace(said(n), text="exactly the same words again") for n in range(30)]
    assert choose(read_graph(episodes, felt("joy", range(20))), None, LIMITS).new == {}


def test_a_full_concept_takes_as_many_as_have_come_since() -> None:
    def sums_of(intake: readout.Intake) -> RunningSums:
        basis = readout_sums.Basis("m", "t", (0,), "mean of content tokens", 5.0, 0)
        ids = sorted({key for one in intake.new.values() for key in one.ids} | {*intake.neutral.ids})
        fresh = Fresh(tuple(ids), np.zeros((len(ids), 1, 4), np.float32))
        return RunningSums.empty(basis, 4).add(intake.new, intake.neutral, fresh, None)

    before = [said(n) for n in range(500)]
    sums = sums_of(choose(read_graph(before, felt("joy", range(100))), None, LIMITS))
    assert len(sums.members["joy"].positive) == readout.MAX_POSITIVES
    assert choose(read_graph(before, felt("joy", range(100))), sums, LIMITS).new["joy"] == Members(
        n_found=100
    )
    later = read_graph(
        [*before, *(said(n) for n in range(500, 505))], felt("joy", [*range(100), *range(500, 505)])
    )
    added = choose(later, sums, LIMITS).new["joy"]
    assert (len(added.positive), len(added.negative)) == (5, 15)
    assert set(added.ids).isdisjoint(sums.members["joy"].ids)


@pytest.mark.parametrize("n_layers", [1, 2, 3, 12, 30])
def test_there_is_always_a_layer_to_try_and_never_one_that_is_not_there(n_layers: int) -> None:
    tried = layers_to_try((), n_layers)
    assert tried
    assert set(tried) <= set(range(n_layers))


def test_a_layer_that_is_not_there_is_refused_in_one_line() -> None:
    with pytest.raises(BadReadout, match=r"no layer 30: the model has layers 0 to 29; change readout_layers"):
        layers_to_try((12, 30), 30)


def test_last_nights_layers_stay_where_others_are_hardly_better(tmp_path: Path) -> None:
    def seen(*auroc: float) -> Directions:
        column = np.array(auroc, np.float32)[:, None]
        zero = np.zeros((3, 1, 4), np.float32)
        return Directions(zero, column, column, zero)

    kept = readouts.Readout(manifest=MANIFEST, vectors={4: np.ones((1, 4), np.float32)})
    assert choose_layers(seen(0.8, 0.805, 0.6), (4, 5, 6), 1, kept) == (4,)
    assert choose_layers(seen(0.8, 0.82, 0.6), (4, 5, 6), 1, kept) == (5,)
    assert choose_layers(seen(0.8, 0.82, 0.6), (4, 5, 6), 1, None) == (5,)


MANIFEST = readouts.Manifest(
    ("joy",), (4,), "m", "t", None, "r", (1,), (1,), 0, 0, ((1.0,),), (1.0,), ((0.8,),), (((1.0,),),), ((0.0,),),
    ((1.0,),), {}, 0,
)  # fmt: skip


@pytest.fixture
def home(chat: Any, tiny_folder: Path) -> Home:
    return Home(chat, tiny_folder)


class Home:
    """A space whose nights read with the tiny model in an empty recipe, and publish."""

    def __init__(self, chat: Any, base: Path) -> None:
        self.chat, self.n = chat, 0
        self.settings = NightSettings(base_model=str(base), train=TrainSettings(dtype="float32"))
        self.model = LanguageModel.load(ModelSpec(chat.home / "cache", str(base), dtype="float32"))
        self.recipe = Recipe(self.model.base_hash)
        recipes.save(chat.home, self.recipe)

    def hear(self, n: int) -> None:
        """Messages of which every third is glad and every third afraid, tagged so."""
        path, rows = self.chat.home / f"more-{self.n}.jsonl", []
        for number in range(self.n, self.n + n):
            feeling = ("joy", "fear", None)[number % 3]
            text = f"{WORDS[feeling]} {THINGS[number % 7]}, and that was day {number}"
            time = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=number)
            rows.append({"time": time.isoformat(), "speaker": NAMES[number % 2], "text": text})
        self.n += n
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        import_file(self.chat.database, self.chat.space_id, path)
        tags = [
            EmotionTag(one.id, concept, 8.0, "j")
            for one in list_episodes(self.chat.database, self.chat.space_id)
            for concept, words in WORDS.items()
            if concept and words in one.text
        ]
        with self.chat.database.transaction() as session:
            add_tags(session, self.chat.space_id, tags)

    def night(self, context: Any, *, publishes: bool = True) -> StageResult:
        result = readout.run(context, no_progress)
        if publishes:
            with self.chat.database.transaction() as session:
                move_pointer(
                    session,
                    self.chat.space_id,
                    run_id=None,
                    recipe_id=None,
                    readout_id=result.output["readout_id"],
                )
        return result

    def folder(self, result: StageResult) -> Path:
        return Path(self.chat.home / result.output["readout"])


@pytest.fixture
def begin(home: Home) -> Callable[..., Any]:
    def begun(**settings: Any) -> Any:
        outputs = {"merge": {"recipe": home.recipe.path}}
        return home.chat.context(settings=replace(home.settings, **settings), outputs=outputs)

    return begun


def test_a_night_reads_what_is_new_and_ends_where_a_pass_over_everything_ends(home: Home, begin: Any) -> None:
    home.hear(90)
    first = home.night(begin())
    home.hear(30)
    second = home.night(begin())
    sums = RunningSums.load(home.folder(second))
    assert first.output["anew"] == readout.FIRST
    assert second.output["anew"] is None
    assert second.counts["texts"] < first.counts["texts"]
    assert second.counts["examples"] > first.counts["examples"]
    assert second.counts["drift"] == pytest.approx(0, abs=1e-3)

    episodes = {one.id: one.text for one in list_episodes(home.chat.database, home.chat.space_id)}
    acts_NLD, _ = home.model.residual_statistics([episodes[key] for key in sums.episodes], sums.basis.layers)
    rows = {key: row for row, key in enumerate(sums.episodes)}
    whole = RunningSums.empty(sums.basis, acts_NLD.shape[2]).add(
        sums.members, sums.neutral, Fresh(tuple(sums.episodes), acts_NLD), home.recipe.path
    )
    expected = whole.directions(acts_NLD[[rows[key] for key in sums.neutral.ids]])
    found = readouts.read_readout(home.folder(second))
    for index, layer in enumerate(found.manifest.layers):
        place = sums.basis.layers.index(layer)
        np.testing.assert_allclose(found.vectors[layer], expected.vectors_LKD[place], atol=1e-5)
        np.testing.assert_allclose(found.manifest.auroc[index], expected.auroc_LK[place], atol=1e-5)


def test_how_far_the_directions_turned_since_last_night_is_on_record(home: Home, begin: Any) -> None:
    home.hear(90)
    first = home.night(begin())
    home.hear(9)
    second = home.night(begin())
    manifest = readouts.read_readout(home.folder(second)).manifest
    assert manifest.compared_with == get_artifact(home.chat.database, first.output["readout_id"]).sha256
    cosines = np.array(manifest.stability, dtype=float)
    assert cosines.shape == (len(manifest.layers), len(manifest.concepts))
    assert second.counts["stability"] == pytest.approx(float(np.nanmean(cosines)), abs=1e-3)
    assert 0.3 < second.counts["stability"] <= 1
    assert "stability" not in first.counts


@pytest.mark.parametrize(("where", "step"), [(readout, "record_artifact"), (RunningSums, "save")])
def test_a_night_that_was_killed_while_it_wrote_ends_the_same(
    home: Home, begin: Any, monkeypatch: Any, where: Any, step: str
) -> None:
    home.hear(60)
    home.night(begin())
    home.hear(30)
    context = begin()
    with monkeypatch.context() as cut:
        cut.setattr(where, step, lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            readout.run(context, no_progress)
    again = readout.run(context, no_progress)
    files = {path: path.read_bytes() for path in (home.chat.home / "readouts").rglob("*") if path.is_file()}
    assert readout.run(context, no_progress) == again
    assert {path: path.read_bytes() for path in files} == files
    assert len(list_artifacts(home.chat.database, home.chat.space_id, kind="readout")) == 2


def test_a_refused_night_adds_nothing(home: Home, begin: Any) -> None:
    home.hear(60)
    first = home.night(begin())
    home.hear(30)
    refused = home.night(begin(), publishes=False)
    after = home.night(begin())
    assert refused.counts == after.counts
    assert first.counts["examples"] < after.counts["examples"]


def test_after_an_erasure_the_sums_are_made_anew_without_the_message(home: Home, begin: Any) -> None:
    home.hear(60)
    first = home.night(begin())
    gone = RunningSums.load(home.folder(first)).summed[0]
    with home.chat.database.transaction() as session:
        session.get_one(EpisodeRow, gone).kind = "deleted"
    second = home.night(begin())
    assert second.output["anew"] == readout.GONE
    assert gone not in RunningSums.load(home.folder(second)).episodes
    recorded = get_artifact(home.chat.database, second.output["readout_id"]).meta
    assert gone not in recorded["episodes"]
    assert recorded["recipes"] == [home.recipe.path]


def test_sums_are_made_anew_for_other_settings_changed_tags_moved_weights_and_a_lost_file(
    home: Home, begin: Any, monkeypatch: Any
) -> None:
    home.hear(60)
    first = home.night(begin())
    assert home.night(begin(seed=3)).output["anew"] == readout.OTHER_BASIS
    second = home.night(begin())
    with monkeypatch.context() as strict:
        strict.setattr(readout, "MAX_DRIFT", -1.0)
        assert home.night(begin()).output["anew"] == readout.MOVED
    with home.chat.database.transaction() as session:
        joyful = RunningSums.load(home.folder(second)).members["joy"].positive
        add_tags(session, home.chat.space_id, [EmotionTag(key, "joy", 1.0, "j") for key in joyful])
    assert home.night(begin()).output["anew"] == readout.RETAGGED
    for path in (home.chat.home / "readouts").glob(f"*/{readout_sums.FILE}"):
        path.unlink()
    assert home.night(begin()).output["anew"] == readout.BROKEN
    assert first.output["anew"] == readout.FIRST


def test_only_the_newest_sums_stay_on_disk(home: Home, begin: Any) -> None:
    for _ in range(5):
        home.hear(45)
        last = home.night(begin())
    kept = {path.parent.name for path in (home.chat.home / "readouts").glob(f"*/{readout_sums.FILE}")}
    assert len(list_artifacts(home.chat.database, home.chat.space_id, kind="readout")) == 5
    assert len(kept) == readout.N_KEPT
    assert home.folder(last).name in kept
