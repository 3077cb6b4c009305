from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from memory.search.timephrases import find_times

REFERENCE = datetime(2025, 12, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("question", "relation", "start", "end"),
    [
        ("Where did he live in May 2024?", "in", "2024-05-01", "2024-06-01"),
        ("What happened on 3rd of October 2025?", "in", "2025-10-03", "2025-10-04"),
        ("And on October 3, 2025?", "in", "2025-10-03", "2025-10-04"),
        ("As of 2025-10-03, who knew?", "in", "2025-10-03", "2025-10-04"),
        ("Who was it before November 2025?", "before", "2025-11-01", "2025-12-01"),
        ("What has she done since 2019?", "after", "2019-01-01", "2020-01-01"),
        ("Where was she in the summer of 2024?", "in", "2024-06-01", "2024-09-01"),
        ("Where was she in winter 2024?", "in", "2024-12-01", "2025-03-01"),
        ("How old was he at Easter 2024?", "in", "2024-03-31", "2024-04-01"),
        ("What did she do last spring?", "in", "2025-03-01", "2025-06-01"),
        ("What did she do last month?", "in", "2025-11-01", "2025-12-01"),
        ("What did she say yesterday?", "in", "2025-12-19", "2025-12-20"),
        ("Where was she in May?", "in", "2025-05-01", "2025-06-01"),
        ("Where was she the summer before last?", "in", "2024-06-01", "2024-09-01"),
        ("Where was she the year before last?", "in", "2023-01-01", "2024-01-01"),
        ("What did she say on Tuesday?", "in", "2025-12-16", "2025-12-17"),
        ("What did she say last Saturday?", "in", "2025-12-13", "2025-12-14"),
        ("Who was it between March and June 2024?", "in", "2024-03-01", "2024-07-01"),
        ("Who was it between November and February 2024?", "in", "2023-11-01", "2024-03-01"),
        ("Who was it from 2 May to 5 June 2024?", "in", "2024-05-02", "2024-06-06"),
        ("Where was she at the beginning of 2024?", "in", "2024-01-01", "2024-04-01"),
        ("Where was she in early 2023?", "in", "2023-01-01", "2023-05-02"),
        ("Where was she late in 2023?", "in", "2023-01-01", "2024-01-01"),
        ("What did she do around Christmas?", "in", "2024-12-18", "2025-01-02"),
        ("What will she do next summer?", "in", "2026-06-01", "2026-09-01"),
        ("What will she do tomorrow?", "in", "2025-12-21", "2025-12-22"),
    ],
)
def test_phrases_become_intervals(question: str, relation: str, start: str, end: str) -> None:
    (phrase,) = find_times(question, REFERENCE)
    assert phrase.start is not None
    assert phrase.end is not None
    found = (phrase.relation, phrase.start.date().isoformat(), phrase.end.date().isoformat())
    assert found == (relation, start, end)


@pytest.mark.parametrize(
    "question",
    ["What may happen?", "Did she fall?", "Will they march?", "Who has 12 dogs?", "On 31 June 2025?"],
)
def test_words_that_only_look_like_dates_are_left_alone(question: str) -> None:
    assert [p for p in find_times(question, REFERENCE) if p.text.startswith("On 31")] == []
    assert all(p.relation != "before" for p in find_times(question, REFERENCE))
    assert len(find_times(question, REFERENCE)) <= 1


@pytest.mark.parametrize(
    "question", ["Where does he live now?", "Her current job?", "Who is it at the end of the chat?"]
)
def test_now_is_now(question: str) -> None:
    assert [phrase.relation for phrase in find_times(question, REFERENCE)] == ["now"]


def test_the_end_of_a_year_is_its_last_second() -> None:
    (phrase,) = find_times("Where does he live at the end of 2024?", REFERENCE)
    assert phrase.moment == datetime(2024, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_a_day_is_a_day_of_the_zone() -> None:
    late = datetime(2025, 12, 20, 23, tzinfo=UTC)  # already the 21st in Tokyo
    (phrase,) = find_times("What did she say yesterday?", late, ZoneInfo("Asia/Tokyo"))
    assert phrase.start == datetime(2025, 12, 20, tzinfo=UTC)


def test_between_two_months_everything_within_is_meant() -> None:
    (phrase,) = find_times("Where did she live between March and June 2024?", REFERENCE)
    assert phrase.is_span
