from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.tags import TagFilter


def run(text: str, sizes: list[int]) -> list[str]:
    pieces, at = [], 0
    for size in [*sizes, len(text)]:
        pieces.append(text[at : at + size])
        at += size
    return list(TagFilter("[INES]").run(pieces))


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
