from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import BadSettings
from service.settings import load_settings


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        'space = "family"\n[serve]\nport = 7000\n[night.train]\nlr = 0.001\n'
    )
    settings = load_settings(tmp_path, {"SLOWWAVE_SERVE__PORT": "7001", "SLOWWAVE_NIGHT__TRAIN__STEPS": "12"})
    assert (settings.space, settings.serve.port) == ("family", 7001)
    assert (settings.night.train.lr, settings.night.train.steps) == (0.001, 12)


def test_the_home_comes_from_the_option_then_the_environment(tmp_path: Path) -> None:
    assert load_settings(None, {"SLOWWAVE_HOME": str(tmp_path)}).home == tmp_path
    assert load_settings(tmp_path / "a", {"SLOWWAVE_HOME": str(tmp_path)}).home == tmp_path / "a"


@pytest.mark.parametrize(
    ("text", "named"), [("colour = 1", "colour"), ('[serve]\nport = "x"', "port"), ("space = [", "TOML")]
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(BadSettings, match=named):
        load_settings(tmp_path, {})


def test_without_a_database_url_the_store_lies_in_the_home(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {}).url == f"sqlite:///{tmp_path / 'graph.db'}"
    assert load_settings(tmp_path, {"SLOWWAVE_DATABASE_URL": "postgresql://x/y"}).url == "postgresql://x/y"


@pytest.mark.parametrize("given", ['["health", "phone"]', '"phone, health"'])
def test_kinds_that_are_left_out_come_as_a_list_or_as_words(tmp_path: Path, given: str) -> None:
    (tmp_path / "config.toml").write_text(f"[privacy]\nleave_out = {given}\n", encoding="utf-8")
    assert load_settings(tmp_path, {}).privacy.leave_out == ("phone", "health")
    every = load_settings(tmp_path, {"SLOWWAVE_PRIVACY__LEAVE_OUT": "all"}).privacy.leave_out
    assert {"phone", "politics"} < set(every)


@pytest.mark.parametrize("given", ['["phones"]', "[1]", "{ phone = true }"])
def test_a_kind_that_nobody_knows_is_refused(tmp_path: Path, given: str) -> None:
    (tmp_path / "config.toml").write_text(f"[privacy]\nleave_out = {given}\n", encoding="utf-8")
    with pytest.raises(BadSettings):
        load_settings(tmp_path, {})
