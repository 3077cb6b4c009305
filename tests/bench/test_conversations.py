from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.conversations import main
from consolidation import runs
from consolidation.stage import NightSettings
from db.tables import Example
from memory.episodes import list_episodes
from memory.facts import add_candidates, decide
from memory.importing import import_file
from memory.ports import utc_now
from memory.types import FactCandidate
from service.settings import load_settings
from service.wiring import Services

LINES = (
    ("2025-03-01T10:00:00", "Ada Lund", "I live in Porto."),
    ("2025-03-02T10:00:00", "Bo Rask", "I live in Faro."),
)


@pytest.fixture
def home(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two facts are stored, and a night has trained on them."""
    monkeypatch.setenv("SLOWWAVE_NIGHT__BASE_MODEL", str(tiny_folder))
    chat = tmp_path / "chat.jsonl"
    chat.write_text("".join(json.dumps({"time": t, "speaker": s, "text": x}) + "\n" for t, s, x in LINES))
    with Services(load_settings(str(tmp_path / "home"))) as services:
        database, space_id = services.database, services.space_id
        import_file(database, space_id, chat)
        said = list_episodes(database, space_id)
        told = [
            FactCandidate(e.speaker, "lives_in", e.text.split()[-1][:-1], (e.id,), e.speaker, 0.9, "by hand")
            for e in said
        ]
        runs.begin(database, space_id, "n1", NightSettings(), is_resumed=False, clock=utc_now)
        with database.transaction() as session:
            ids = add_candidates(session, space_id, told, services.registry)
            for fact_id in ids:
                decide(session, space_id, fact_id, "STORE", [], services.registry, run_id=None)
            session.add(
                Example(
                    id="x",
                    space_id=space_id,
                    run_id="n1",
                    split="train",
                    kind="fact",
                    messages=[],
                    accepted=[],
                    meta={"facts": ids},
                )
            )
    return tmp_path / "home"


def test_the_last_line_is_the_result(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--home", str(home)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {"run", "recipe", "base", "weights", "commit", "seed", "machine"} <= result.keys()
    assert result["run"] == "n1"
    assert result["weights"] is None  # no night is published
    assert result["base"]["single"]["n"] == 2
    assert result["base"]["correction"]["made_up"]["n"] == 2


def test_a_home_without_a_night_is_refused(tmp_path: Path) -> None:
    for home in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SystemExit):
            main(["--home", str(home)])
