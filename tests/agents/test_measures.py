from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from agents.measures import EMOJI, LAUGHTER, Count, ending, measure, measures_json, script_of
from memory.types import Episode

START = datetime(2025, 3, 3, 18, tzinfo=UTC)


def said(*lines: tuple[str, str, float]) -> list[Episode]:
    """Messages of one conversation: speaker, text, minutes since the start."""
    return [
        Episode(str(i), "c", i, who, who, START + timedelta(minutes=minutes), text)
        for i, (who, text, minutes) in enumerate(lines)
    ]


def own(heard: list[Episode]) -> list[Episode]:
    return [episode for episode in heard if episode.speaker == "A"]


def test_lengths_shares_and_favourites_are_counts() -> None:
    heard = said(
        ("A", "so tired 😂", 0), ("A", "Ok.", 1), ("A", "so late 😂 haha", 2), ("A", "so nice 😂 hahaha", 3)
    )
    found = measure(heard, heard, UTC)
    assert (found.n_messages, found.words_median, found.words_mean) == (4, 2.5, 2.25)
    assert (found.emoji_share, found.emoji) == (0.75, (Count("😂", 3),))
    assert (found.lowercase_share, found.openings) == (0.75, (Count("so", 3),))
    assert found.laughter == (Count("😂", 3),)
    assert found.endings == {"emoji": 0.25, "full_stop": 0.25, "none": 0.5}


def test_an_answer_is_the_first_message_after_somebody_elses() -> None:
    lines = []
    for day in range(12):
        lines += [("B", "hello?", day * 1440), ("A", "hi", day * 1440 + 5), ("A", "you", day * 1440 + 6)]
    heard = said(*lines)
    found = measure(own(heard), heard, UTC)
    assert (found.n_replies, found.reply_median_min) == (12, 5)
    assert found.reply_by_part == {"evening": 5}
    assert (found.in_a_row_share, found.per_turn) == (0.5, 2)
    assert found.sessions_opened_share == 0


def test_half_a_day_later_is_no_answer() -> None:
    heard = said(
        *(line for day in range(12) for line in (("B", "?", day * 2880), ("A", "hi", day * 2880 + 800)))
    )
    found = measure(own(heard), heard, UTC)
    assert (found.n_replies, found.reply_median_min) == (0, None)


def test_hours_are_local_and_the_active_ones_hold_most_messages() -> None:
    heard = said(*(("A", "hi", day * 1440) for day in range(10)), ("A", "up late", 480))
    found = measure(heard, heard, ZoneInfo("Europe/Oslo"))
    assert (found.hours[19], found.hours[3]) == (10, 1)
    assert (found.active_from, found.active_to) == (19, 20)


def test_nothing_said_gives_no_numbers() -> None:
    found = measure([], [], UTC)
    assert (found.n_messages, found.reply_median_min, found.active_from, found.lowercase_share) == (
        0,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ok", "none"), ("ok.", "full_stop"), ("ok!!", "exclamation"), ("ok?", "question"), ("well...", "dots"),
        ("ok 😂", "emoji"), ("ok ❤️", "emoji"), ("ok ;)", "other"), ("", "none"), ("好。", "full_stop"), ("क्या।", "full_stop"),
    ],
)  # fmt: skip
def test_how_a_message_ends(text: str, kind: str) -> None:
    assert ending(text) == kind


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("hello", "Latin"),
        ("привет ok", "Cyrillic"),
        ("今日はどう", "Japanese"),
        ("今天好吗", "Han"),
        ("안녕", "Korean"),
        ("12 :)", None),
    ],
)
def test_the_script_of_most_letters(text: str, script: str | None) -> None:
    assert script_of(text) == script


@pytest.mark.parametrize("text", ["haha", "LOL", "kkkk", "jajaja", "rsrs", "хаха", "ㅋㅋㅋ", "www", "😂"])
def test_laughter_is_known_in_many_tongues(text: str) -> None:
    assert LAUGHTER.search(text)


def test_emoji_are_counted_whole() -> None:
    assert EMOJI.findall("👩‍👩‍👧 ❤️👍🏽🇵🇹") == ["👩‍👩‍👧", "❤️", "👍🏽", "🇵🇹"]


def test_the_numbers_are_plain_json() -> None:
    heard = said(("A", "hi", 0), ("B", "hey", 1))
    assert json.loads(json.dumps(measures_json(measure(own(heard), heard, UTC))))["messages"] == 1
