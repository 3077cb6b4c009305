"""`config check` and `doctor`: what is wrong with the settings and the machine, and the fix."""

from __future__ import annotations

import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from service.config_check import check_config
from service.doctor import examine
from service.settings import Settings, as_table, from_table, load_settings
from service.shadows import OURS, find_shadows

ROOT = Path(__file__).parents[2]


def write(home: Path, text: str) -> Path:
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(text)
    return home


@pytest.mark.parametrize(
    ("text", "key", "part"),
    [
        ("[serve]\nprot = 7", "serve.prot", "did you mean serve.port?"),
        ('[serve]\nport = "seven"', "serve.port", "it takes int"),
        ('[serve]\nnightly_at = "25:00"', "serve", "write it as 03:00"),
        ("[serve]\njitter_minutes = -1", "serve", "from 0 on"),
        ('[serve]\nlog_format = "xml"', "serve.log_format", "text or json"),
        ('timezone = "Europe/Atlantis"', "timezone", "Atlantis"),
        ('predicates = "/nowhere/p.toml"', "predicates", "cannot be read"),
        ('[night]\nbase_model = "/nowhere"', "night.base_model", ""),
        ('database_url = "nonsense"', "database_url", "no address"),
        ("[backend]\nat_once = 0", "backend", "more than 0"),
        ("serve = 3", "serve", "table"),
        ("space = [1]", "space", "it takes str"),
        ("a = [", "", "no valid TOML"),
    ],
)
def test_a_wrong_key_is_named_with_what_it_takes(tmp_path: Path, text: str, key: str, part: str) -> None:
    found = [finding for finding in check_config(write(tmp_path, text), {}) if finding.severity == "wrong"]
    assert [finding.key for finding in found] == [key]
    assert part in found[0].say


def test_all_that_is_wrong_is_found_at_once_and_the_environment_is_looked_at(tmp_path: Path) -> None:
    write(tmp_path, 'nonsense = 1\n[serve]\nport = "x"\n')
    found = check_config(tmp_path, {"SLOWWAVE_NIGHT__SEED": "many", "SLOWWAVE_TOKEN": "t", "HOME": "/"})
    assert {(finding.key, finding.where) for finding in found} == {
        ("nonsense", str(tmp_path / "config.toml")),
        ("serve.port", str(tmp_path / "config.toml")),
        ("night.seed", "the environment"),
    }


def test_a_port_in_use_and_a_key_that_is_not_set_are_warnings(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        write(tmp_path, f'[serve]\nport = {port}\n[backend]\napi_key_env = "NO_SUCH_KEY"\n')
        found = check_config(tmp_path, {})
    assert [(finding.severity, finding.key) for finding in found] == [
        ("warning", "backend.api_key_env"),
        ("warning", "serve.port"),
    ]


def test_a_password_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    write(tmp_path, 'database_url = "postgresql://u:secret@h/d"\n')
    (tmp_path / "config.toml").chmod(0o644)
    (found,) = check_config(tmp_path, {"SLOWWAVE_SERVE__PORT": "0"})
    assert "chmod 600" in found.say
    assert "secret" not in found.say
    (tmp_path / "config.toml").chmod(0o600)
    assert check_config(tmp_path, {"SLOWWAVE_SERVE__PORT": "0"}) == []


def test_the_command_lists_and_refuses(empty: Any) -> None:
    write(empty.home, "nonsense = 1")
    outcome = empty("config", "check")
    assert outcome.code == 1
    assert "nonsense" in outcome.out
    assert outcome.err == "slowwave: 1 key is wrong; correct them as said above\n"


def test_settings_survive_the_way_to_a_child(tmp_path: Path) -> None:
    environ = {
        "SLOWWAVE_NIGHT__TRAIN__STEPS": "7",
        "SLOWWAVE_NIGHT__READOUT_LAYERS": "3,5",
        "SLOWWAVE_PRIVACY__LEAVE_OUT": "all",
        "SLOWWAVE_COUNT_ASKED": "no",
    }
    settings = load_settings(tmp_path, environ)
    assert settings.night.train.steps == 7
    assert from_table(tmp_path, as_table(settings)) == settings


def test_a_machine_with_everything_is_well(empty: Any) -> None:
    empty.home.mkdir()
    found = {finding.check: finding for finding in examine(empty.home, load_settings)}
    assert [finding for finding in found.values() if finding.severity == "missing"] == []
    assert {"shadows", "extra train", "base model", "home", "disk", "memory", "clock", "database"} <= set(
        found
    )


def test_without_a_compiler_nothing_is_missing_and_training_is_slower(
    empty: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty.home.mkdir()
    for is_there in (True, False):
        monkeypatch.setenv("CC", sys.executable if is_there else "")
        monkeypatch.setenv("PATH", "")
        found = next(one for one in examine(empty.home, load_settings) if one.check == "compiler")
        assert found.severity == ("ok" if is_there else "warning")
        assert bool(found.fix) is not is_there


def test_what_is_missing_comes_with_a_fix(empty: Any) -> None:
    write(
        empty.home, 'database_url = "postgresql://u:secret@127.0.0.1:1/d"\n[night]\nbase_model = "/nowhere"\n'
    )
    outcome = empty("doctor", "--json")
    assert outcome.code == 1
    assert "secret" not in outcome.out
    found = examine(empty.home, load_settings)
    missing = {finding.check: finding.fix for finding in found if finding.severity == "missing"}
    assert set(missing) == {"settings", "base model", "database"}
    assert all(missing.values())


def test_a_postgres_without_trouble_is_told_with_its_version(postgres_url: str, tmp_path: Path) -> None:
    found = examine(tmp_path, lambda: Settings(home=tmp_path, database_url=postgres_url))
    said = {finding.check: finding.severity for finding in found}
    assert (said["database"], said["postgres"], said["pgvector"]) == ("ok", "ok", "ok")


@pytest.mark.parametrize("as_package", [True, False])
def test_a_foreign_package_that_hides_ours_is_named(tmp_path: Path, as_package: bool) -> None:
    if as_package:
        (tmp_path / "memory").mkdir()
        (tmp_path / "memory" / "__init__.py").touch()
    else:
        (tmp_path / "memory.py").touch()
    (shadow,) = find_shadows([str(tmp_path), str(ROOT)], ROOT)
    assert (shadow.package, shadow.hides) == ("memory", True)
    (behind,) = find_shadows([str(ROOT), str(tmp_path)], ROOT)
    assert not behind.hides
    (tmp_path / "notes").mkdir()
    assert find_shadows([str(ROOT), str(tmp_path / "notes")], ROOT) == []


def test_the_program_says_so_itself_where_it_cannot_even_start(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "__init__.py").touch()
    packages = sysconfig.get_path(
        "purelib"
    )  # without the hook of an editable install, which finds ours all the same
    path = [str(tmp_path), str(ROOT), packages]
    code = f"import sys; sys.path[:0] = {path!r}; from service.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, timeout=240)
    assert ended.returncode == 1
    assert ended.stderr.startswith("slowwave: `import memory` finds ")
    assert "an environment of its own" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_every_package_of_ours_is_watched() -> None:
    assert set(OURS) == {path.parent.name for path in ROOT.glob("*/py.typed")}
