from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.decoding import Detokenizer, pad_left, pad_right
from agents.runtime.sampling import Sampling, next_token


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


def draw(sampling: Sampling, logits: list[float], recent: list[int] | None = None) -> set[int]:
    generator = sampling.generator()
    return {next_token(torch.tensor(logits), sampling, recent or [], generator) for _ in range(200)}


def test_temperature_zero_takes_the_likeliest() -> None:
    assert draw(Sampling(temperature=0), [0.0, 2.0, 1.0]) == {1}


def test_filters_never_draw_what_they_exclude() -> None:
    plain = Sampling(temperature=1, min_p=0.0)
    logits = [3.0, 2.9, 0.0, -1.0]
    assert draw(plain, logits) >= {0, 1, 2}
    assert draw(Sampling(temperature=1, min_p=0.0, top_k=2), logits) == {0, 1}
    assert draw(Sampling(temperature=1, min_p=0.5), logits) == {0, 1}
    assert draw(Sampling(temperature=1, min_p=0.0, top_p=0.5), logits) == {0}


def test_the_repetition_penalty_moves_away_from_recent_tokens() -> None:
    sampling = Sampling(temperature=0, repetition_penalty=2.0)
    assert draw(sampling, [2.0, 1.5], [0]) == {1}
    assert draw(sampling, [-1.0, -1.5], [0]) == {1}
