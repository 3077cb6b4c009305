"""Claims about what the words of a question tell."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memory.questions import parse, speaking_for
from memory.search.mentions import Mention
from memory.search.timephrases import find_times

NOW = datetime(2025, 5, 14, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How long has Ana lived in Leeds?", "duration"),
        ("How long ago did Ana move?", "when"),
        ("Until when did Ana work there?", "when"),
        ("Who told you that Ana moved?", "source"),
        ("How many cats does Ana have?", "number"),
        ("Do you know where Ana lives?", "where"),
        ("Did Ana ever live in Rome?", "yes_no"),
        ("Ana's number?", "what"),
    ],
)
def test_the_kind_of_answer_is_read_from_the_words(question: str, kind: str) -> None:
    assert parse(question, (), ()).kind == kind


@pytest.mark.parametrize(
    ("question", "relation", "text"),
    [
        ("Where did Ana live before she moved?", "before", "she moved"),
        ("Who was her boss when she worked at the museum?", "during", "she worked at the museum"),
        ("What did she do after the accident?", "after", "the accident"),
    ],
)
def test_an_event_is_told_from_a_date(question: str, relation: str, text: str) -> None:
    anchor = parse(question, (), find_times(question, NOW)).anchor
    assert anchor is not None
    assert (anchor.relation, anchor.text) == (relation, text)


@pytest.mark.parametrize(
    "question", ["When did Ana move?", "Until when did Ana work there?", "Where was she in May 2024?"]
)
def test_asking_for_a_time_is_no_event(question: str) -> None:
    assert parse(question, (), find_times(question, NOW)).anchor is None


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("Where do I live?", "Where does Ana live?"),
        ("Who is my boss?", "Who is Ana's boss?"),
        ("What am I allergic to?", "What is Ana allergic to?"),
        ("Tell me where Bo lives.", "Tell me where Bo lives."),
        ("Can you tell me who my boss is?", "who Ana's boss is?"),
        ("What have I given up?", "What has Ana given up?"),
        ("Who told me about Bo?", "Who told Ana about Bo?"),
    ],
)
def test_i_becomes_the_asker(question: str, named: str) -> None:
    assert speaking_for(question, "Ana") == named


def test_names_that_nobody_has_are_strangers() -> None:
    question = "Has Bo met Gudrun in March?"
    found = parse(question, (Mention(4, 6, "Bo", ("b",)),), find_times(question, NOW))
    assert found.strangers == ("Gudrun",)
