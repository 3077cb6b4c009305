"""Scheduled backups, what of the settings travels, what a home names as left over, and `verify` of every space."""

from __future__ import annotations

import os
import tomllib
import zipfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from db.tables import Artifact, Lease
from memory.backup import known_backups
from memory.verify.leftovers import clean, leftovers
from service.daemon import lasting
from service.daemon.scheduling import Scheduler
from service.entrances.proving import verify_home
from service.errors import BadSettings
from service.settings import BackupSettings, Settings
from service.spaces import Spaces
from service.wiring import Services

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def opened(tmp_path: Path, clock: Clock, **backup: Any) -> Services:
    settings = BackupSettings(folder=str(tmp_path / "disk"), every_hours=24, keep=2, **backup)
    return Services(Settings(home=tmp_path / "home", backup=settings), clock=clock)


def if_due(services: Services) -> Any:
    return lasting.back_up_if_due(services.database, services.settings, clock=services.clock)


def test_a_backup_is_due_after_its_hours_and_the_oldest_go(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "slowwave-of-somebody-else.zip").write_text("theirs")
    with opened(tmp_path, clock) as services:
        made = []
        for hours in (0, 1, 25, 50):
            clock.now = NOW + timedelta(hours=hours)
            made.append(if_due(services))
    assert [report is not None for report in made] == [True, False, True, True]
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == [
        "slowwave-20260102-130000.zip",
        "slowwave-20260103-140000.zip",
        "slowwave-of-somebody-else.zip",
    ]
    assert len(known_backups(tmp_path / "home")) == 3


def test_the_daemon_makes_it_and_goes_on_where_the_disk_is_not_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(home=tmp_path / "home", backup=BackupSettings(folder=str(tmp_path / "disk")))
    with closing(Spaces(settings, clock=Clock())) as spaces:
        scheduler = Scheduler(spaces)
        scheduler.back_up_quietly()
        assert "BadSettings" in caplog.text
        (tmp_path / "disk").mkdir()
        scheduler.back_up_quietly()
        scheduler.back_up_quietly()
    assert len(list((tmp_path / "disk").iterdir())) == 1


def test_without_a_folder_no_backup_is_ever_due(tmp_path: Path) -> None:
    with Services(Settings(home=tmp_path)) as services:
        assert if_due(services) is None


def test_a_disk_that_is_not_there_and_a_folder_in_the_home_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path, Clock()) as services, pytest.raises(BadSettings, match="plug"):
        if_due(services)
    inside = BackupSettings(folder=str(tmp_path / "home" / "backups"))
    with (
        Services(Settings(home=tmp_path / "home", backup=inside)) as services,
        pytest.raises(BadSettings, match="outside"),
    ):
        if_due(services)


CONFIG = """
keeper = "Ana \\"the keeper\\""
database_url = "postgresql://ana:s3cret@db.example.org/graph"
predicates = "/nowhere/predicates.toml"
[backend]
kind = "openai"
model = "m"
base_url = "https://ana:s3cret@models.example.org/v1"
api_key_env = "MODELS_KEY"
[night.train]
lr = 1e-3
"""


def test_settings_travel_without_addresses_and_secrets(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Services(Settings(home=home)) as services:
        (home / "config.toml").write_text(CONFIG, encoding="utf-8")
        lasting.back_up(services, tmp_path / "b.zip")
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert b"s3cret" not in b"".join(archive.read(name) for name in archive.namelist())
    done = lasting.restore(Settings(home=tmp_path / "other"), tmp_path / "b.zip")
    kept = tomllib.loads((tmp_path / "other" / "config.toml").read_text(encoding="utf-8"))
    assert kept == {
        "keeper": 'Ana "the keeper"',
        "predicates": "/nowhere/predicates.toml",
        "backend": {"kind": "openai", "model": "m", "api_key_env": "MODELS_KEY"},
        "night": {"train": {"lr": 0.001}},
    }
    for told in ("database_url", "backend.base_url", "MODELS_KEY", "/nowhere/predicates.toml"):
        assert any(told in line for line in done.to_set)


def test_settings_of_the_home_stay_where_it_has_some(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    with Services(Settings(home=home)) as services:
        (home / "config.toml").write_text("keeper = 'Ana'", encoding="utf-8")
        lasting.back_up(services, tmp_path / "b.zip")
    other.mkdir()
    (other / "config.toml").write_text("keeper = 'Ben'", encoding="utf-8")
    lasting.restore(Settings(home=other), tmp_path / "b.zip")
    assert (other / "config.toml").read_text(encoding="utf-8") == "keeper = 'Ben'"


def dead_pid() -> int:
    """The number of a process that has ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


def leave(home: Path) -> dict[str, str]:
    """What cut-off work leaves; the kind by its path."""
    gone = dead_pid()
    made = {
        f"adapters/.abc.{gone}/adapter_model.safetensors": "scratch",
        f"runs/.report.html.{gone}": "scratch",
        f"readouts/.old.{gone}.old/manifest.json": "scratch",
        "runs/0123456789abcdef/train/log.txt": "night",
        "adapters/unrecorded/adapter_model.safetensors": "artifact",
        "uploads/s/0123456789abcdef/body": "upload",
    }
    for name in (*made, f"adapters/.abc.{os.getpid()}/mine", "adapters/kept/x", "adapters/in-a-recipe/x"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x")
    (home / "recipes").mkdir()
    (home / "recipes" / "r.json").write_text('{"entries": [{"path": "adapters/in-a-recipe"}]}')
    old = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    os.utime(home / "uploads/s/0123456789abcdef", (old, old))
    return made


def test_what_is_left_over_is_named_and_removed_and_nothing_else(tmp_path: Path) -> None:
    with Services(Settings(home=tmp_path)) as services:
        made = leave(tmp_path)
        with services.database.transaction() as session:
            session.add(
                Artifact(
                    space_id=services.space_id,
                    kind="adapter",
                    path="adapters/kept",
                    sha256="0",
                    meta={},
                    created_at=NOW,
                )
            )
        found = leftovers(services.database, tmp_path)
        assert sorted(item.what for item in found) == sorted(made.values())
        assert all(any((tmp_path / name).is_relative_to(item.path) for item in found) for name in made)
        clean(found)
        assert leftovers(services.database, tmp_path) == []
    left = {path.relative_to(tmp_path).as_posix() for path in (tmp_path / "adapters").rglob("*")}
    assert left >= {"adapters/kept/x", "adapters/in-a-recipe/x", f"adapters/.abc.{os.getpid()}/mine"}
    assert not any("unrecorded" in name for name in left)


def test_while_somebody_works_no_artifact_counts_as_left_over(tmp_path: Path) -> None:
    with Services(Settings(home=tmp_path)) as services:
        leave(tmp_path)
        later = datetime.now(UTC) + timedelta(hours=1)
        with services.database.transaction() as session:
            session.add(Lease(name="sleep:x", holder="1@there", acquired_at=NOW, expires_at=later))
        found = {item.what for item in leftovers(services.database, tmp_path)}
    assert found == {"scratch", "upload"}


def test_every_space_is_verified_and_problems_name_theirs(slowwave: Any) -> None:
    assert slowwave("--space", "other", "people", "--json").code == 0
    (slowwave.home / "runs").mkdir(exist_ok=True)
    (slowwave.home / "runs" / "0123456789abcdef").mkdir()
    for quick in ((), ("--quick",)):
        found = slowwave("verify", "--json", *quick).json
        assert found["sound"] is True
        assert sorted(found["spaces"]) == ["default", "other"]
        assert [item["what"] for item in found["leftovers"]] == ["night"]
    assert slowwave("--space", "other", "verify", "--json").json["spaces"] == ["other"]
    assert "slowwave clean" in slowwave("verify").out
    assert slowwave("clean", "--json").json[0]["removed"] is False
    assert slowwave("clean", "--yes").code == 0
    assert "nothing" in slowwave("clean").out


def test_a_quick_proof_sees_what_is_missing_and_not_what_was_changed(tmp_path: Path) -> None:
    with Services(Settings(home=tmp_path)) as services:
        (tmp_path / "recipes").mkdir()
        (tmp_path / "recipes" / "r.json").write_text("{}")
        with services.database.transaction() as session:
            row = Artifact(
                space_id=services.space_id,
                kind="recipe",
                path="recipes/r.json",
                sha256="0",
                meta={},
                created_at=NOW,
            )
            session.add(row)
        assert verify_home(services, is_quick=True).problems == []
        assert [problem.check for _, problem in verify_home(services).problems] == ["files"]
        (tmp_path / "recipes" / "r.json").unlink()
        assert [problem.check for _, problem in verify_home(services, is_quick=True).problems] == ["files"]
