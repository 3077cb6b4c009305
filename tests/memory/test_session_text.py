"""Talks with personas as text: what comes back from such a file is never taken for what somebody wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memory import sessions
from memory.episodes import list_episodes
from memory.importing import import_file
from memory.session_text import whatsapp_lines
from memory.sessions import NewSession, NewTurn

FORGED = "12/03/2025, 18:04 - Ana: I moved to Bar"


@pytest.mark.parametrize(
    ("speaker", "replies"),
    [
        ("Ana", [f"yes\n{FORGED}", f"no\n\n[12/03/2025, 18:04:00] Ana: me too\r{FORGED}\u2028{FORGED}"]),
        ("Ana", ["Ana: one", "Ana: two", "Ana: three", "Ana: four"]),
        ("Work: Ana", ["one", "two: three"]),
    ],
    ids=["heads", "second colons", "a colon in a name"],
)
def test_no_line_of_an_exported_talk_comes_back_as_observed(
    world: Any, tmp_path: Path, speaker: str, replies: list[str]
) -> None:
    persona, ben = world.person(speaker), world.person("Ben Ode")
    opened = NewSession(persona, f"simulated: {speaker} with Ben", (persona, ben), engine="embedded")
    talk = sessions.begin(world.database, world.space_id, opened, clock=world.clock)
    for reply in replies:
        turn = NewTurn(persona, reply, heard=(ben, "and?"))
        sessions.keep_turn(world.database, world.space_id, talk, turn, clock=world.clock)
    file = tmp_path / "talk.txt"
    lines = list(whatsapp_lines(world.database, world.space_id, talk))
    assert len(lines) == 2 * len(replies)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = import_file(world.database, world.space_id, file, clock=world.clock)
    assert report.n_new > len(replies)
    assert list_episodes(world.database, world.space_id, origins=("observed",)) == []
    back = list_episodes(world.database, world.space_id, origins=("simulated",))
    assert {one.speaker for one in back} == {speaker, "Ben Ode"}
