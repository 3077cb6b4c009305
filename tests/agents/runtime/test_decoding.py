from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.decoding import Detokenizer, pad_left, pad_right


def decode_bytes(ids: list[int]) -> str:
    return bytes(ids).decode("utf-8", errors="replace")


@given(st.text(max_size=90))
def test_a_stream_of_bytes_gives_whole_characters_and_the_whole_text(text: str) -> None:
    detokenizer = Detokenizer(decode_bytes)
    pieces = [detokenizer.push(byte) for byte in text.encode()]
    assert "".join(pieces) + detokenizer.rest() == text
    assert "\ufffd" in text or all("\ufffd" not in piece for piece in pieces)


def test_an_emoji_is_held_back_until_it_is_whole() -> None:
    detokenizer = Detokenizer(decode_bytes)
    assert [detokenizer.push(byte) for byte in "a🌊".encode()] == ["a", "", "", "", "🌊"]


def test_padding_is_on_the_side_it_says() -> None:
    ids, mask = pad_left([[1], [2, 3]], 0)
    assert (ids.tolist(), mask.tolist()) == ([[0, 1], [2, 3]], [[0, 1], [1, 1]])
    ids, mask = pad_right([[1], [2, 3]], 0)
    assert (ids.tolist(), mask.tolist()) == ([[1, 0], [2, 3]], [[1, 0], [1, 1]])
