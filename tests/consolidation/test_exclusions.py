from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consolidation.errors import BadExclusions
from consolidation.exclusions import Exclusions
from memory.types import Fact

DAY = datetime(2025, 3, 1, tzinfo=UTC)
FACT = Fact(
    id="f", subject_id="mona", subject="Mona", predicate="diet", object="vegetarian", object_id=None,
    valid_from=DAY, valid_to=None, recorded_at=DAY, retracted_at=None, state="candidate", status="candidate",
    confidence=0.8, origin="observed", rule="r", asserted_by=None, evidence=(),
)  # fmt: skip


def fact(predicate: str, value: str, since: datetime = DAY) -> Fact:
    return replace(FACT, predicate=predicate, object=value, valid_from=since)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (fact("diet", "vegan"), fact("favourite_food", "chicken soup"), "no_meat"),
        (fact("drinks", "red wine"), fact("habit", "teetotal"), "teetotal"),
        (fact("gave_up", "smoking"), fact("habit", "smokes a pack a day"), "gave_up_smoking"),
        (fact("number_of_children", "none"), fact("daughter", "Eva"), "childless"),
        (fact("likes", "olives"), fact("dislikes", "olives"), "likes_and_dislikes"),
        (fact("allergy", "hazelnuts"), fact("likes", "hazelnuts"), "allergic"),
        (fact("job", "pilot", DAY.replace(year=2026)), fact("died_on", "2025-03-01"), "dead"),
    ],
)
def test_what_cannot_hold_together_is_named_in_either_order(first: Fact, second: Fact, name: str) -> None:
    exclusions = Exclusions.load()
    assert exclusions.between(first, second) == exclusions.between(second, first) == name


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (fact("diet", "vegan"), fact("favourite_food", "vegan burger")),
        (fact("drinks", "non alcoholic beer"), fact("habit", "teetotal")),
        (fact("habit", "smokes a pack a day"), fact("habit", "runs at six")),
        (fact("number_of_children", "2"), fact("daughter", "Eva")),
        (fact("likes", "olives"), fact("dislikes", "capers")),
        (fact("job", "pilot", DAY.replace(year=2020)), fact("died_on", "2025-03-01")),
        (fact("sister", "Eva"), fact("owns", "a boat")),
    ],
)
def test_what_can_hold_together_is_not(first: Fact, second: Fact) -> None:
    assert Exclusions.load().between(first, second) is None


def test_a_users_table_adds_entries_and_replaces_those_of_its_names(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        '[night_shift.one]\npredicates = ["shift"]\nwords = ["night"]\n[night_shift.other]\npredicates = ["sleeps"]\n'
        '[allergic.one]\npredicates = ["allergy"]\nwords = ["cats"]\n[allergic.other]\npredicates = ["cat"]\n'
    )
    exclusions = Exclusions.load(own)
    assert exclusions.between(fact("shift", "night"), fact("sleeps", "at ten")) == "night_shift"
    assert exclusions.between(fact("allergy", "nuts"), fact("likes", "nuts")) is None


@pytest.mark.parametrize(
    "text",
    [
        "no toml",
        "[a]\nx = 1\n",
        '[a.one]\npredicates = ["x"]\n',
        '[a.one]\nwords = ["x"]\n[a.other]\npredicates = ["y"]\n',
        '[a]\nsame_value = "yes"\n[a.one]\npredicates = ["x"]\n[a.other]\npredicates = ["y"]\n',
        '[a.one]\npredicates = "x"\n[a.other]\npredicates = ["y"]\n',
    ],
)
def test_a_table_that_cannot_be_used_names_its_entry(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(BadExclusions, match=r"own\.toml"):
        Exclusions.load(path)
