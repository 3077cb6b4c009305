"""The parts of bench.attribution that can be wrong without a model: what is planted, and how ranks are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.attribution import (
    N_TOGETHER,
    History,
    Planted,
    by_words,
    conversations,
    correlation,
    load_planted,
    plant,
    recall,
)
from memory.search.text import Engine


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "text", is_new=True)


CHAT = [f"line number {i} of the chat" for i in range(40)]


def test_a_hundred_messages_are_planted_half_of_them_without_a_shared_word(engine: Engine) -> None:
    planted = load_planted("test", engine)
    assert len(planted) == len({one.message for one in planted}) == len({one.reply for one in planted}) == 100
    assert sum(one.kind == "meaning" for one in planted) == 50
    developed_on = {one.message for one in load_planted("dev", engine)}
    assert not developed_on & {one.message for one in planted}


def test_a_pair_of_meaning_that_shares_a_word_is_refused(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "planted.toml"
    path.write_text('[test]\nwords = []\nmeaning = [["why?", "my boats sank", "the boat is gone"]]\n')
    monkeypatch.setattr("bench.attribution.PLANTED", path)
    with pytest.raises(SystemExit, match="boat"):
        load_planted("test", engine)


def test_planted_messages_stand_in_the_chat_where_they_say(engine: Engine) -> None:
    planted = load_planted("dev", engine)
    history = plant(CHAT, planted, seed=3)
    assert [history.texts[place] for place in history.places] == [one.message for one in planted]
    assert [text for text in history.texts if text in CHAT] == CHAT
    assert history.before[1:] == history.texts[:-1]
    assert plant(CHAT, planted, seed=3).places == history.places


def test_words_find_what_shares_a_rare_one_and_not_what_shares_none(engine: Engine) -> None:
    history = plant(CHAT, load_planted("dev", engine), seed=0)
    found = recall(history, by_words(history, engine))
    assert found["by_kind"]["words"] > 0.9
    assert found["by_kind"]["meaning"] < 0.4


def history_of(n: int, places: list[int]) -> History:
    planted = [Planted("words", "a", "m", "r") for _ in places]
    return History([str(i) for i in range(n)], [""] * n, planted, places)


def test_recall_counts_ties_against_what_comes_later_and_nothing_as_not_found() -> None:
    history = history_of(10, [2, 7, 9])
    scores: list[Any] = [np.zeros(10, np.float32) for _ in range(3)]
    scores[0][2] = 1  # first
    scores[1][:8] = 1  # eighth among equals
    found = recall(history, scores)  # the third scores nothing at all
    assert found["planted_recall_at_5"] == pytest.approx(1 / 3)
    assert found["mrr"] == pytest.approx((1 + 1 / 8) / 3, abs=1e-6)


def test_a_conversation_holds_the_planted_message_and_others() -> None:
    history = history_of(30, [4, 11])
    together = conversations(history, 2, seed=0)
    for place, chosen in zip(history.places, together, strict=True):
        assert len(set(chosen)) == N_TOGETHER
        assert set(chosen) & set(history.places) == {place}


def test_scores_that_say_nothing_correlate_with_nothing() -> None:
    effect = np.array([3.0, 1.0, 2.0], np.float32)
    assert correlation([effect, effect], [effect * 2, np.zeros(3, np.float32)]) == pytest.approx(0.5)
    assert correlation([effect], [-effect]) == pytest.approx(-1)
