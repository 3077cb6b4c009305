from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.tags import TagFilter, conversation_text, speaker_tags


def run(text: str, sizes: list[int]) -> list[str]:
    pieces, at = [], 0
    for size in [*sizes, len(text)]:
        pieces.append(text[at : at + size])
        at += size
    return list(TagFilter("[INES]").run(pieces))


def test_first_names_make_tags_and_clashing_ones_use_the_whole_name() -> None:
    assert speaker_tags(["Ines Carvalho", "Tomas Lindqvist"])["Ines Carvalho"] == "[INES]"
    assert speaker_tags(["Ana Reis", "Ana Sol"])["Ana Sol"] == "[ANA SOL]"


def test_several_lines_of_one_turn_keep_their_tag() -> None:
    tags = speaker_tags(["Ines"])
    assert conversation_text([("Ines", "one\n\ntwo")], tags) == "[INES] one\n[INES] two"


@given(st.lists(st.integers(1, 5), max_size=40))
def test_no_split_of_the_stream_leaks_a_part_of_a_tag(sizes: list[int]) -> None:
    shown = "".join(run("hello 😀 there\n[INES] second one\n[TOMAS] mine", sizes))
    assert shown == "hello 😀 there\nsecond one"


@given(st.lists(st.integers(1, 3), max_size=30))
def test_a_control_token_ends_the_reply(sizes: list[int]) -> None:
    assert "".join(run("fine<|im_end|>\n[INES] more", sizes)) == "fine"


@given(st.lists(st.integers(1, 4), max_size=30))
def test_brackets_and_hearts_that_are_no_tags_pass(sizes: list[int]) -> None:
    assert "".join(run("i <3 you [really] <b", sizes)) == "i <3 you [really] <b"


def test_an_unfinished_tag_at_the_end_is_dropped() -> None:
    assert "".join(run("bye\n[TOM", [2, 2])) == "bye"


def test_nothing_is_read_after_the_reply_has_ended() -> None:
    pieces = iter(["a [TOMAS] b", "never"])
    assert list(TagFilter("[INES]").run(pieces)) == ["a"]
    assert next(pieces) == "never"
