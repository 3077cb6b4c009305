from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from consolidation import dream, runs
from consolidation.stage import NightContext, no_progress
from memory.facts import ALL_STATUSES, decide, list_facts
from service.settings import load_settings
from service.wiring import Services

QA = {"question": "So, where does Ada live?", "answer": "Ada lives in Lagos."}
WRONG = {"question": "Where does Ada live?", "answer": "Ada lives in Porto."}


@pytest.fixture(scope="module")
def home(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chat's facts are stored, and a night has made its texts of them."""
    home = tmp_path_factory.mktemp("dreamt") / "home"
    shutil.copytree(imported, home)
    with Services(load_settings(str(home))) as services:
        found = list_facts(
            services.database,
            services.space_id,
            services.registry,
            statuses=ALL_STATUSES,
            clock=services.clock,
        )
        for fact in found:
            with services.database.transaction() as session:
                decide(session, services.space_id, fact.id, "STORE", [], services.registry, run_id=None)
        run_id, settings = runs.new_run_id(), services.settings.night
        runs.begin(
            services.database, services.space_id, run_id, settings, is_resumed=False, clock=services.clock
        )
        night = NightContext(
            database=services.database,
            space_id=services.space_id,
            run_id=run_id,
            home=home,
            run_dir=home / "runs" / run_id,
            settings=settings,
            tools=services.night_tools(),
            clock=services.clock,
            output=lambda stage: {},
        )
        dream.run(night, no_progress)
    return home


@pytest.fixture
def dreamt(empty: Any, home: Path) -> Any:
    shutil.copytree(home, empty.home)
    return empty


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(("format_", "key"), [("qa", "messages"), ("turns", "text")])
def test_what_a_night_trained_goes_out_and_comes_back(
    dreamt: Any, tmp_path: Path, format_: str, key: str
) -> None:
    file = tmp_path / "rows.jsonl"
    said = dreamt("curriculum", "export", "--format", format_, "--out", file)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert said.out.startswith(f"{len(rows)} rows of night ")
    assert all(key in row for row in rows)
    assert "Ada Lund" in {row["person"] for row in rows}
    report = dreamt("curriculum", "import", file, "--json").json
    assert (report["rows"], report["new"], report["known"], report["skipped"]) == (
        len(rows),
        len(rows),
        0,
        [],
    )
    texts = report["waiting"]["texts"]
    assert texts["sound"] > 0.9 * sum(texts.values())
    assert dreamt("curriculum", "import", file, "--json").json["known"] == len(rows)
    assert f"{len(rows)} rows of night" in dreamt("curriculum", "export", "--out", file).out


def test_rows_go_to_standard_output(dreamt: Any) -> None:
    lines = dreamt("curriculum", "export", "--out", "-").out.splitlines()
    assert all(json.loads(line)["messages"] for line in lines)


def test_what_the_graph_denies_is_told_before_any_night(dreamt: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", QA, WRONG, QA)
    told = dreamt("curriculum", "import", file).out
    assert "3 rows read: 2 new, 1 known" in told
    assert "refused: the graph holds another value" in told
    assert dreamt("curriculum", "waiting", "--json").json == {
        "rows": 2,
        "texts": {"sound": 1, "contradicts": 1, "unknown": 0, "partial": 0, "held_out": 0},
    }
    assert dreamt("curriculum", "clear").out == "2 rows forgotten\n"
    assert dreamt("curriculum", "waiting").out == "0 rows wait\n"


def test_rows_that_cannot_be_read_are_counted(slowwave: Any, tmp_path: Path) -> None:
    file = write(tmp_path / "rows.jsonl", QA, {"prompt": "x"}, {"prompt": "y"})
    with file.open("a", encoding="utf-8") as more:
        more.write('{"question": "cut of')
    report = slowwave("curriculum", "import", file, "--json").json
    assert report["rows"] == 1
    assert [(skip["n"], skip["places"]) for skip in report["skipped"]] == [
        (2, ["line 2", "line 3"]),
        (1, ["line 4"]),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty or no text"),
        ("words, not rows", "it is no JSON"),
        ("[]", "the list is empty"),
        ('{"prompt": "x"}', 'the row has no "messages"'),
        ("[{", "breaks off"),
    ],
)
def test_a_file_without_rows_is_refused_in_one_line(
    slowwave: Any, tmp_path: Path, text: str, why: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(text, encoding="utf-8")
    assert why in slowwave("curriculum", "import", file).refusal
    assert slowwave("curriculum", "waiting").out == "0 rows wait\n"


def test_wrong_usage_is_told_apart(slowwave: Any, tmp_path: Path) -> None:
    assert slowwave("curriculum", "import", tmp_path / "none.jsonl").code == 2
    assert slowwave("curriculum", "import", tmp_path).code == 2
    assert slowwave("curriculum", "export").code == 2


def test_without_a_night_nothing_is_written(slowwave: Any, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    assert "there is no night yet" in slowwave("curriculum", "export", "--out", out).refusal
    assert "no night has the id abc" in slowwave("curriculum", "export", "abc", "--out", out).refusal
    assert not out.exists()
