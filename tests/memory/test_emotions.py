from __future__ import annotations

import pytest

from memory.emotions import add_tags, list_tags
from memory.types import EmotionTag


def add(world, *tags: EmotionTag) -> int:
    with world.database.transaction() as session:
        return add_tags(session, world.space_id, tags)


def test_tags_come_back_in_the_order_of_time(world) -> None:
    late, early = world.say("Ana Reis", 9), world.say("Ana Reis", 1)
    tags = [EmotionTag(late, "joy", 8.0, "j"), EmotionTag(early, "fear", 2.5, "j")]
    add(world, *tags)
    assert list_tags(world.database, world.space_id) == [tags[1], tags[0]]


def test_tags_are_found_by_concept_and_least_intensity(world) -> None:
    episode_id = world.say("Ana Reis", 1)
    add(world, EmotionTag(episode_id, "joy", 8.0, "j"), EmotionTag(episode_id, "fear", 2.0, "j"))
    assert [tag.concept for tag in list_tags(world.database, world.space_id, concept="fear")] == ["fear"]
    assert [tag.concept for tag in list_tags(world.database, world.space_id, min_intensity=5)] == ["joy"]


def test_a_judge_who_judges_again_replaces_their_word(world) -> None:
    episode_id = world.say("Ana Reis", 1)
    assert add(world, EmotionTag(episode_id, "joy", 8.0, "j")) == 1
    assert add(world, EmotionTag(episode_id, "joy", 3.0, "j"), EmotionTag(episode_id, "joy", 4.0, "k")) == 1
    assert sorted(tag.intensity for tag in list_tags(world.database, world.space_id)) == [3.0, 4.0]


@pytest.mark.parametrize("intensity", [-1.0, 10.5, float("nan")])
def test_an_intensity_outside_the_scale_is_refused(world, intensity: float) -> None:
    with pytest.raises(ValueError, match="outside 0-10"):
        add(world, EmotionTag(world.say("Ana Reis", 1), "joy", intensity, "j"))
