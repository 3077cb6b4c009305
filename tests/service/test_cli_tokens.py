from __future__ import annotations

from pathlib import Path

from tests.service.conftest import Program


def test_a_token_is_shown_once_and_taken_back(empty: Program) -> None:
    made = empty("token", "add", "phone", "--scope", "read", "--scope", "chat", "--days", "30", "--json").json
    assert made["scopes"] == ["read", "chat"]
    assert made["secret"] not in empty("token", "list").out
    (listed,) = empty("token", "list", "--json").json
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    assert "opens nothing any more" in empty("token", "revoke", "phone").out
    assert empty("token", "revoke", "phone").refusal.endswith("`slowwave token list` shows them")


def test_a_token_without_json_is_its_secret_alone(empty: Program) -> None:
    made = empty("token", "add", "tablet")
    assert made.out.startswith("slw_")
    assert len(made.out.splitlines()) == 1


def test_a_token_of_a_space_that_is_not_there_is_refused(empty: Program) -> None:
    assert "no space called 'nowhere'" in empty("token", "add", "x", "--space", "nowhere").refusal


def test_tokens_erasures_and_exports_by_command_are_on_record(slowwave: Program, tmp_path: Path) -> None:
    (slowwave.home / "chat.jsonl").unlink()
    assert slowwave("token", "add", "phone").code == 0
    assert slowwave("export", tmp_path / "out.jsonl").code == 0
    assert slowwave("forget", "person", "Bo Rask", "--yes", "--leave-weights").code == 0
    page = slowwave("audit", "--verify", "--json").json
    assert [entry["what"] for entry in page["entries"]] == ["forget person", "export", "token add"]
    assert {entry["via"] for entry in page["entries"]} == {"command"}
    assert page["breaks"] == []
    assert "Bo Rask" not in slowwave("audit").out


def test_an_erasure_takes_a_name_out_of_the_name_of_a_token(slowwave: Program) -> None:
    (slowwave.home / "chat.jsonl").unlink()
    slowwave("token", "add", "phone of Bo Rask", "--space", "default")
    assert slowwave("forget", "person", "Bo Rask", "--yes", "--leave-weights").code == 0
    (listed,) = slowwave("token", "list", "--json").json
    assert "Rask" not in listed["name"]
