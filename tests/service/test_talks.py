"""Asking and talking over HTTP with the shipped models; one home for all tests of this module."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from memory import consent
from memory.episodes import list_episodes
from memory.ports import utc_now
from memory.sessions import list_sessions, list_turns
from service.entrances.talks import Says, Talks
from service.http.application import create_app
from service.settings import PersonaSettings, Settings
from service.users import Users
from service.wiring import Services
from simulator.errors import BadSampling, EmptyTurn, NoConsent, SamePerson
from simulator.lengths import Lengths
from simulator.spoken_turn import SpokenTurn
from tests.service.conftest import TURN

SAID = ("I live in Porto.", "I work at the harbour office.", "My sister Marta lives in Faro.")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    home = tmp_path_factory.mktemp("home")
    chat = home / "chat.jsonl"
    rows = [
        {"time": f"2025-03-0{i + 1}T10:00:00", "speaker": "Ada", "text": said} for i, said in enumerate(SAID)
    ]
    rows.append({"time": "2025-03-09T10:00:00", "speaker": "Bo", "text": "good to know"})
    chat.write_text("\n".join(json.dumps(row) for row in rows))
    with Services(Settings(home=home)) as opened:
        opened.import_file(chat)
        consent.record(
            opened.database, opened.space_id, opened.person("Ada").id, agreed_by="Ada", clock=utc_now
        )
        yield opened


@pytest.fixture(scope="module")
def app(services: Services) -> FastAPI:
    return create_app(services)


def post(app: FastAPI, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:7777") as client:
            return await client.post(path, json=body, headers=headers, timeout=120)

    return asyncio.run(go())


def events(answer: httpx.Response) -> list[tuple[str, dict[str, Any]]]:
    blocks = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_a_question_is_answered_with_its_evidence(app: FastAPI) -> None:
    answer = post(app, "/v1/ask", {"question": "Where does Ada live?", "as_of": "2025-06-01"}).json()
    assert set(answer) == {"answer", "abstained", "facts", "evidence"}
    assert (answer["abstained"], "Porto" in answer["answer"]) == (False, True)
    assert answer["evidence"][0]["speaker"] == "Ada"


def test_a_turn_as_json_and_as_events_is_the_same_turn(app: FastAPI, services: Services) -> None:
    said = {"person": "Ada", "as": "Bo", "text": "Where do you live?", "temperature": 0}
    whole = post(app, "/v1/chat", said)
    assert whole.status_code == 200
    assert set(whole.json()) == TURN
    streamed = events(post(app, "/v1/chat", said, accept="text/event-stream"))
    assert [name for name, _ in streamed] == ["piece"] * (len(streamed) - 1) + ["turn"]
    drawn = "".join(data["text"] for _, data in streamed[:-1])
    assert drawn.strip() == streamed[-1][1]["reply"]
    kept = list_episodes(services.database, services.space_id, origins=("simulated",))
    assert [episode.speaker for episode in kept[-2:]] == ["Bo", "Ada"]


@pytest.mark.parametrize("stream", [False, True])
def test_nobody_is_simulated_without_consent(app: FastAPI, stream: bool) -> None:
    refused = post(app, "/v1/chat", {"person": "Bo", "as": "Ada", "text": "hi", "stream": stream})
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:slowwave:problem:no-consent")


def test_consent_withdrawn_ends_an_open_session(app: FastAPI, services: Services) -> None:
    said = {"person": "Ada", "as": "Bo", "text": "hello", "temperature": 0}
    assert post(app, "/v1/chat", said).status_code == 200
    ada = services.person("Ada").id
    consent.withdraw(services.database, services.space_id, ada, clock=services.clock)
    try:
        assert post(app, "/v1/chat", said).status_code == 403
    finally:
        consent.record(services.database, services.space_id, ada, agreed_by="Ada", clock=services.clock)


def test_a_listener_who_leaves_stops_the_reply_and_nothing_of_it_is_kept(
    services: Services, tmp_path: Path
) -> None:
    script = tmp_path / "replies.txt"
    script.write_text("It is by the sea. " + "I like it there a lot. " * 12)
    said = "I have never been to Porto in all my life."
    seed = next(n for n in range(99) if Lengths((), (), ()).draw(len(said), n).chars > 200)
    scripted = PersonaSettings(engine="scripted", script=str(script))
    with Services(replace(services.settings, persona=scripted)) as opened:
        lock = threading.RLock()
        talks = Talks(opened, lock, Users())
        before = list_episodes(opened.database, opened.space_id, origins=("simulated",))
        spoken = talks.stream(Says("Ada", "Bo", said, seed=seed - len(before)))
        assert next(spoken) == "It is by the sea."
        spoken.close()  # type: ignore[attr-defined]
        with lock:  # the turn has ended
            after = list_episodes(opened.database, opened.space_id, origins=("simulated",))
        assert talks._session is None
    assert after == before


@pytest.fixture
def talks(services: Services, tmp_path: Path) -> Iterator[Talks]:
    script = tmp_path / "replies.txt"
    script.write_text("The gulls are loud.\nWe had soup.\nNobody came by.\n")
    scripted = PersonaSettings(engine="scripted", script=str(script))
    with Services(replace(services.settings, persona=scripted)) as opened:
        talks = Talks(opened, threading.RLock(), Users())
        yield talks
        talks.end()


def is_ended(services: Services, turn: SpokenTurn) -> bool:
    found = list_sessions(services.database, services.space_id)
    return next(one for one in found if one.id == turn.session_id).ended_at is not None


HELLO = Says("Ada", "Bo", "Good day to you.", seed=1)


def test_a_session_ends_on_record_when_another_takes_its_place_and_at_the_end(
    talks: Talks, services: Services
) -> None:
    first = talks.reply(HELLO)
    assert talks.reply(HELLO).session_id == first.session_id
    assert not is_ended(services, first)
    second = talks.reply(replace(HELLO, think=True))
    assert (is_ended(services, first), is_ended(services, second)) == (True, False)
    talks.end()
    assert is_ended(services, second)


def test_a_turn_that_is_drawn_otherwise_is_said_in_the_same_session(talks: Talks, services: Services) -> None:
    first = talks.reply(HELLO)
    session = talks._session
    assert session is not None
    reseeded = talks.reply(replace(HELLO, seed=77))
    assert reseeded.session_id == first.session_id
    assert list_turns(services.database, services.space_id, first.session_id)[-1].seed > 76
    n_turns = len(session.turns)
    warmer = talks.reply(replace(HELLO, temperature=1.5))
    assert talks._session is session
    assert len(session.turns) == n_turns + 2
    assert session.composer.sampling.temperature == 1.5
    assert (is_ended(services, first), warmer.session_id != first.session_id) == (True, True)
    found = {
        one.id: one.settings["temperature"] for one in list_sessions(services.database, services.space_id)
    }
    assert (found[first.session_id], found[warmer.session_id]) == (None, 1.5)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"text": ""}, EmptyTurn),
        ({"text": " \u200b\u200d\ufeff\n"}, EmptyTurn),
        ({"temperature": 9.0}, BadSampling),
        ({"think": True, "temperature": 9.0}, BadSampling),
        ({"as_person": "Ada"}, SamePerson),
        ({"person": "Bo", "as_person": "Ada"}, NoConsent),
    ],
)
def test_what_is_refused_leaves_the_session_that_is_open(
    talks: Talks, changes: dict[str, Any], refusal: type[Exception]
) -> None:
    talks.reply(HELLO)
    session = talks._session
    with pytest.raises(refusal):
        talks.reply(replace(HELLO, **changes))
    assert session is not None
    assert talks._session is session


def test_an_empty_turn_opens_nothing(talks: Talks) -> None:
    with pytest.raises(EmptyTurn):
        talks.reply(replace(HELLO, person="Nobody of that name", text="\u2060"))
    session = talks._services.open_session("Ada", as_person="Bo")
    with pytest.raises(EmptyTurn):
        session.reply("\u200b")


def test_a_session_that_nobody_speaks_in_ends_by_itself(
    talks: Talks, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.entrances.talks.IDLE_S", 0.05)
    turn = talks.reply(HELLO)
    until = time.monotonic() + 90
    while not is_ended(services, turn) and time.monotonic() < until:
        time.sleep(0.02)
    assert is_ended(services, turn)


def test_a_session_that_was_erased_is_let_go_of(talks: Talks, services: Services) -> None:
    turn = talks.reply(HELLO)
    assert talks._session is not None
    talks._session.id = "erased"
    talks.end()
    assert talks.reply(HELLO).session_id != turn.session_id


def test_the_daemon_ends_the_talk_when_it_stops(talks: Talks) -> None:
    services = talks._services
    app = create_app(services)

    async def live() -> SpokenTurn:
        async with app.router.lifespan_context(app):
            with app.state.spaces.use() as space:
                return await asyncio.to_thread(space.talks.reply, HELLO)

    assert is_ended(services, asyncio.run(live()))


def test_a_withdrawn_consent_ends_a_talk_that_goes_on(services: Services, tmp_path: Path) -> None:
    script = tmp_path / "replies.txt"
    script.write_text("It is by the sea.\n")
    scripted = PersonaSettings(engine="scripted", script=str(script))
    with Services(replace(services.settings, persona=scripted)) as opened:
        session = opened.open_session("Ada", as_person="Bo", seed=1)
        assert session.reply("Hello there!").reply == "It is by the sea."
        first = session.id
        session.reply("It is", autocomplete=True)
        kept = {one.id: one for one in list_sessions(opened.database, opened.space_id)}
        assert (kept[first].kind, kept[session.id].kind) == ("reply", "autocomplete")
        assert kept[first].ended_at is not None
        ada = session.person.id
        consent.withdraw(opened.database, opened.space_id, ada, clock=opened.clock)
        try:
            with pytest.raises(NoConsent):
                session.reply("Hello again!")
        finally:
            consent.record(opened.database, opened.space_id, ada, agreed_by="Ada", clock=opened.clock)
