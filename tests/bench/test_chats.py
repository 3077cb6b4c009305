"""A chat folder is read whatever its export's format, and whoever made it has the gold's name."""

import json
from pathlib import Path

import pytest

from bench.chats import export_of, open_chat

FIXTURES = Path(__file__).parents[1] / "agents" / "extractors" / "fixtures"


def test_the_one_who_exported_gets_the_name_that_the_gold_uses() -> None:
    speakers = {message.speaker for message in open_chat(FIXTURES / "juniper").messages()}
    assert speakers == {"Nandini Kulkarni", "Davi Queiroz"}


@pytest.mark.parametrize("chat", ["saltmarsh", "orrery", "bellows", "juniper"])
def test_the_gold_points_at_messages_of_whoever_said_it(chat: str) -> None:
    said = list(open_chat(FIXTURES / chat).messages())
    facts = json.loads((FIXTURES / chat / "facts.json").read_text(encoding="utf-8"))
    assert facts
    assert all(said[fact["evidence"][0]].speaker == fact["speaker"] for fact in facts)


def test_a_folder_without_one_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text("[]", encoding="utf-8")
    with pytest.raises(SystemExit, match="it holds 0"):
        export_of(tmp_path)
    for name in ("one.txt", "two.csv", "README.md"):
        (tmp_path / name).write_text("", encoding="utf-8")
    with pytest.raises(SystemExit, match="it holds 2"):
        export_of(tmp_path)
