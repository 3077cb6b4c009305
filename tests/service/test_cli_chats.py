"""`slowwave chats`: what was said with a persona, what it rested on, and what the persona made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memory import sessions
from memory.claims import NewClaim
from memory.episodes import list_episodes
from memory.facts import list_facts
from memory.sessions import NewSession, NewTurn
from service.settings import load_settings
from service.wiring import Services

ADA, BO = "Ada Lund", "Bo Rask"


@pytest.fixture
def talk(slowwave: Any) -> str:
    """A session of Ada's persona with Bo, one turn long; its id."""
    with Services(load_settings()) as services:
        ada, bo = services.person(ADA).id, services.person(BO).id
        lagos = next(
            fact
            for fact in list_facts(services.database, services.space_id, services.registry)
            if fact.predicate == "lives_in" and fact.subject == ADA
        )
        opened = NewSession(ada, f"simulated: {ADA} with {BO}", (ada, bo), engine="embedded", recipe="a" * 64)
        session_id = sessions.begin(services.database, services.space_id, opened)
        claims = [
            NewClaim(ADA, "lives_in", "Lagos", ada, basis="fact", fact_id=lagos.id),
            NewClaim(ADA, "dog", "Rex", ada),
        ]
        turn = NewTurn(
            ada, "In Lagos, with my dog Rex.", heard=(bo, "where are you?"), facts={lagos.id: "prompt"}, claims=claims,
            deliberation="stance: answer", objections=(("claims", "a fact says otherwise: lives_in"),),
        )  # fmt: skip
        sessions.keep_turn(services.database, services.space_id, session_id, turn)
    return session_id


def test_sessions_are_listed_and_shown_with_what_they_rested_on(slowwave: Any, talk: str) -> None:
    (row,) = slowwave("chats", "list", "Ada", "--json").json
    assert (row["id"], row["person"], row["turns"], row["engine"]) == (talk, ADA, 1, "embedded")
    assert talk in slowwave("chats", "list").out
    assert slowwave("chats", "list", "Bo", "--json").json == []
    (turn,) = slowwave("chats", "show", talk[:6], "--json").json["turns"]
    assert [(held["place"], held["fact"]["object"]) for held in turn["facts"]] == [("prompt", "Lagos")]
    assert [(claim["object"], claim["basis"]) for claim in turn["claims"]] == [
        ("Lagos", "fact"),
        ("Rex", "invented"),
    ]
    assert "lives in · Lagos (prompt)" in slowwave("chats", "show", talk).out
    assert "stance" not in slowwave("chats", "show", talk).out
    shown = slowwave("chats", "show", talk, "-v").out
    assert "considered stance: answer" in shown
    assert "objected   claims: a fact says otherwise" in shown


@pytest.mark.parametrize("form", ["whatsapp", "jsonl"])
def test_an_exported_chat_is_marked_and_comes_back_as_simulated(
    slowwave: Any, talk: str, tmp_path: Path, form: str
) -> None:
    file = tmp_path / ("chat.txt" if form == "whatsapp" else "chat.jsonl")
    slowwave("chats", "export", talk, "--format", form, "-o", str(file))
    text = file.read_text(encoding="utf-8")
    assert text.count("simulated") == 2
    assert "In Lagos, with my dog Rex." in text
    before = len(slowwave("people", "--json").json)
    assert slowwave("import", str(file), "--json").json["new"] == 2
    assert len(slowwave("people", "--json").json) == before
    with Services(load_settings()) as services:
        said = list_episodes(services.database, services.space_id, origins=("simulated",))
        assert len(said) == 4


def test_what_was_made_up_is_listed_and_withdrawn(slowwave: Any, talk: str) -> None:
    (claim,) = slowwave("chats", "claims", "--json").json
    assert (claim["predicate"], claim["object"], claim["origin"]) == ("dog", "Rex", "simulated")
    assert "Rex" in slowwave("chats", "claims", "Ada").out
    assert slowwave("chats", "withdraw", claim["id"], "--json").json == {"withdrawn": [claim["id"]]}
    assert slowwave("chats", "claims", "--json").json == []
    assert len(slowwave("chats", "claims", "--all", "--json").json) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("chats", "show", "ffff"), "slowwave chats list"),
        (("chats", "export", "ffff"), "slowwave chats list"),
        (("chats", "withdraw", "ffff"), "slowwave chats claims"),
        (("chats", "claims", "Zoltan"), "Zoltan"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(slowwave: Any, words: tuple[str, ...], said: str) -> None:
    outcome = slowwave(*words)
    assert outcome.code == 1
    assert said in outcome.line


def test_without_a_session_the_command_that_begins_one_is_told(slowwave: Any) -> None:
    assert "slowwave chat" in slowwave("chats", "list").out
    assert json.loads(slowwave("chats", "list", "--json").out) == []
