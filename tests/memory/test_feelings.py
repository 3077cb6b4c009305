from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.engine import Database
from memory import statements
from memory.emotions import list_tags
from memory.episodes import list_episodes
from memory.feelings import AUTHOR, CONCEPTS, split
from memory.importing import import_file
from memory.spaces import ensure_space
from memory.statements import Statement

WORDS = "we sat on the quay until dark"


@pytest.mark.parametrize(
    ("written", "tags"),
    [
        ("\nwarmth:9 clarity:10", {"warmth": 9, "clarity": 10}),
        ("\nwarmth:9, clarity:10", {"warmth": 9, "clarity": 10}),
        ("\nwarmth:9,clarity:10;\n", {"warmth": 9, "clarity": 10}),
        ("\r\nwarmth:9 clarity:10\r\n", {"warmth": 9, "clarity": 10}),
        ("\nwarmth:9\nclarity:10\n\ncalm: 3", {"warmth": 9, "clarity": 10, "calm": 3}),
        (" warmth:9 clarity:10", {"warmth": 9, "clarity": 10}),
        (" joy:7.5", {"joy": 7.5}),
        (" Joy:0 LOVE:10.0", {"joy": 0, "love": 10}),
        ("\nzest:7 sea-legs:3", {"zest": 7, "sea-legs": 3}),
        ("\nwarmth:2 sølvglans:4", {"warmth": 2, "sølvglans": 4}),
        (" zest:4 joy:3\nwarmth:1", {"zest": 4, "joy": 3, "warmth": 1}),
        ("\njoy:3\njoy:5", {"joy": 5}),
    ],
)
def test_tags_at_the_end_are_read_and_taken_off(written: str, tags: dict[str, float]) -> None:
    assert split(WORDS + written) == (WORDS, tuple(tags.items()))


@pytest.mark.parametrize(
    "text",
    [
        "meet at 10:30",
        "meet at:10",
        "score: Spain 2:1",
        "final Spain:2 France:1",
        "half time\nSpain:2 France:1",
        "it runs on http://localhost:8080",
        "it runs on localhost:8",
        "open http://joy:8",
        "see chapter:3",
        "to buy\nmilk:2\neggs:6",
        "warmth:11 clarity:10",
        "so far warmth:12, clarity:9",
        "joy:-3",
        "joy:5/10",
        "joy:50%",
        "joy:1:2",
        "John 3:16",
        "joy:9 is what I wrote",
        "warmth: as ever",
        "a:1 b:2",
        "the ratio is 3:4",
        "",
        ":",
        "10",
    ],
)
def test_what_only_looks_like_a_tag_stays(text: str) -> None:
    assert split(text) == (text, ())


@pytest.mark.parametrize(
    "text",
    [
        f"joy:1{' ' * 100_000}x:9",
        f"{'joy:1 ' * 20_000}x9",
        f"{'joy:1,' * 20_000}:9",
        f"{'a' * 200_000}:9",
        f"so:{'9,' * 100_000}9",
        "joy:1\n" * 20_000 + "x:9",
    ],
    ids=("blanks", "row", "commas", "name", "value", "lines"),
)
def test_no_text_takes_long_to_look_through(text: str) -> None:
    begun = time.process_time()
    assert split(text) == (text, ())
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize("text", ["warmth:9 clarity:10", "joy:4\n"])
def test_a_text_of_nothing_but_tags_keeps_its_words(text: str) -> None:
    said, tags = split(text)
    assert said == text
    assert tags


def test_lines_before_the_tags_keep_their_form() -> None:
    text = "first line\n\n  second line, love:3 in the middle\n"
    assert split(f"{text}warmth:4\n") == (text.rstrip(), (("warmth", 4.0),))


@given(st.text(max_size=80), st.dictionaries(st.sampled_from(CONCEPTS), st.integers(0, 10), min_size=1))
def test_any_text_gives_back_what_was_written_behind_it(text: str, felt: dict[str, int]) -> None:
    said = f"{text}."
    line = " ".join(f"{name}:{value}" for name, value in felt.items())
    assert split(f"{said}\n{line}") == (said, tuple((name, float(value)) for name, value in felt.items()))


EXPORTS = {
    "chat.txt": "03/04/2025, 10:15 - Ana Reis: we sat on the quay\nuntil dark\nwarmth:9, clarity:10\n"
    "03/04/2025, 10:16 - Ben Ode: meet at 10:30\n",
    "chat.jsonl": "\n".join(
        json.dumps({"time": f"2025-04-03T10:{15 + number}:00", "speaker": speaker, "text": text})
        for number, (speaker, text) in enumerate(
            [("Ana Reis", "we sat on the quay\nuntil dark warmth:9 clarity:10"), ("Ben Ode", "meet at 10:30")]
        )
    ),
    "chat.csv": "time,speaker,text\n"
    '2025-04-03 10:15,Ana Reis,"we sat on the quay\nuntil dark\nwarmth:9\nclarity:10"\n'
    "2025-04-03 10:16,Ben Ode,meet at 10:30\n",
}


@pytest.mark.parametrize("name", EXPORTS)
def test_tags_are_read_from_every_export_and_kept_once(database: Database, tmp_path: Path, name: str) -> None:
    space, path = ensure_space(database), tmp_path / name
    path.write_text(EXPORTS[name], encoding="utf-8")
    import_file(database, space, path)
    path.write_text(EXPORTS[name] + "\n", encoding="utf-8")  # other bytes, the same messages
    assert import_file(database, space, path).n_new == 0
    texts = {episode.id: episode.text for episode in list_episodes(database, space)}
    assert list(texts.values()) == ["we sat on the quay\nuntil dark", "meet at 10:30"]
    found = [(tag.concept, tag.intensity, tag.judge) for tag in list_tags(database, space)]
    assert found == [("clarity", 10, AUTHOR), ("warmth", 9, AUTHOR)]
    assert {tag.episode_id for tag in list_tags(database, space)} == {next(iter(texts))}


def test_tags_behind_a_stated_fact_are_kept_with_its_note(world) -> None:
    keeper = statements.keeper(world.database, world.space_id, clock=world.clock)
    said = Statement("Ana Reis", "lives_in", "Oslo relief:8", is_new=True)
    statements.state(world.database, world.space_id, world.registry, said, by=keeper, clock=world.clock)
    (note,) = list_episodes(world.database, world.space_id, kinds=("note",))
    assert world.held() == ["Oslo"]
    assert "relief" not in note.text
    assert [
        (tag.episode_id, tag.concept, tag.intensity) for tag in list_tags(world.database, world.space_id)
    ] == [(note.id, "relief", 8.0)]


def test_tags_behind_a_turn_of_a_talk_are_kept_with_it(world) -> None:
    episode_id = world.say("Ana Reis", 1, text="see you tomorrow\nhope:7.5")
    (episode,) = list_episodes(world.database, world.space_id)
    assert episode.text == "see you tomorrow"
    assert [
        (tag.episode_id, tag.concept, tag.intensity, tag.judge)
        for tag in list_tags(world.database, world.space_id)
    ] == [(episode_id, "hope", 7.5, AUTHOR)]
