"""Claims about the record of nights: whose night a run id names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from consolidation import runs
from consolidation.errors import UnknownRun
from consolidation.night import recorded
from consolidation.report import REPORT_FILE, Night, gather, page_of, published_exams
from consolidation.stage import NightSettings
from db.engine import Database
from memory.ports import utc_now
from memory.spaces import ensure_space

RUN = "aa11"


@pytest.fixture
def own(database: Database) -> str:
    """A space with one night."""
    space_id = ensure_space(database, "own")
    runs.begin(database, space_id, RUN, NightSettings(), is_resumed=False, clock=utc_now)
    return space_id


@pytest.fixture
def other(database: Database, own: str) -> str:
    return ensure_space(database, "other")


def test_a_night_of_the_space_is_found(database: Database, own: str) -> None:
    assert runs.get_run(database, own, RUN) == runs.find_run(database, own, RUN[:2])
    with pytest.raises(UnknownRun, match="no night has the id aa"):
        runs.get_run(database, own, RUN[:2])  # a beginning is a name, not an id


READERS: dict[str, Callable[[Night], object]] = {
    "get_run": lambda night: runs.get_run(night.database, night.space_id, night.run_id),
    "find_run": lambda night: runs.find_run(night.database, night.space_id, night.run_id),
    "examined": lambda night: runs.examined(night.database, night.space_id, night.run_id),
    "recorded": lambda night: recorded(night.database, night.space_id, night.home, night.run_id),
    "page_of": lambda night: page_of(night, utc_now),
    "gather": gather,
    "published_exams": published_exams,
}


@pytest.mark.parametrize("reader", READERS)
def test_a_night_of_another_space_is_not_found(
    database: Database, other: str, tmp_path: Path, reader: str
) -> None:
    night = Night(database, other, tmp_path, RUN)
    night.folder.mkdir(parents=True)
    (night.folder / REPORT_FILE).write_text("whose page this is does not show in its path")
    with pytest.raises(UnknownRun, match=f"no night has the id {RUN}"):
        READERS[reader](night)
