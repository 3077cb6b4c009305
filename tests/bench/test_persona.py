from __future__ import annotations

from pathlib import Path

from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from bench.chats import open_chat
from bench.persona import Speaker, before, controls, everything, numbers_of, options, part_of, speak
from memory.types import Person
from simulator.fidelity import CONDITIONS, Drawing
from tests.conftest import HARBOR
from tests.made_recipes import linear_shapes, make_vector
from tests.made_talk import material_of


def test_the_parts_share_no_message_and_development_leaves_the_last_fifth_unread(tmp_path: Path) -> None:
    whole, inner = part_of(HARBOR, develop=False), part_of(HARBOR, develop=True)
    assert whole.end is None
    assert inner.end == whole.cut
    assert inner.cut < whole.cut
    times = [message.time for message in before(open_chat(HARBOR), inner.cut).messages()]
    assert max(times) < inner.cut
    later = everything(HARBOR, tmp_path, inner).episodes
    assert max(episode.time for episode in later) < whole.cut
    assert any(episode.time >= inner.cut for episode in later)


def test_no_training_is_cut_short_that_nobody_asked_to_cut() -> None:
    """Trainings of the example came to their end after 37 minutes for both, on cores that others used too."""
    assert options(["--chat", str(HARBOR)]).minutes >= 45
    assert options(["--chat", str(HARBOR), "--minutes", "2"]).minutes == 2


def test_two_people_are_measured_with_controls_and_bars(tiny_folder: Path, model_cache: Path) -> None:
    model = LanguageModel.load(ModelSpec(model_cache, str(tiny_folder), dtype="float32"))
    names = ("Ada Lund", "Bo Rask")
    speakers = [
        Speaker(
            Person(str(place), name),
            material_of(name, names[1 - place]),
            [(make_vector(model.base_hash, place, linear_shapes(tiny_folder), scale=0.05), 1.0)],
        )
        for place, name in enumerate(names)
    ]
    speak(model, speakers, Drawing(max_new_tokens=4))
    found = numbers_of(speakers)
    assert found["bits_per_char"].keys() == set(CONDITIONS)
    for by_name in found["bits_per_char"].values():
        assert min(by_name[name] for name in names) <= by_name["mean"] <= max(by_name[name] for name in names)
    assert found["who_said_it_real"] == 1
    assert found["bars"]["adapter_memory_15_percent_under_prompt"] is False
    control = controls(model, speakers, seed=1)
    assert control["replies"] == 24
    assert control["own"] == found["bits_per_char"]["adapter_memory"]["mean"]
    assert control["other_persons_weights"] != control["own"]
    assert control["shuffled_contexts"] > 0
