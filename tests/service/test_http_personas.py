"""Consent, settings of a persona, and what personas said, over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from memory.artifacts import move_pointer
from memory.importing import import_file
from memory.people import get_or_create_node
from memory.sessions import NewSession, NewTurn, begin, keep_turn, list_sessions
from service.entrances.talks import Gathering, Talks
from service.http.application import create_app
from service.settings import PersonaSettings, Settings
from service.users import Users
from service.wiring import Services
from simulator.company import Company, SaidTurn

LINES = Path(__file__).parents[1] / "memory" / "fixtures" / "lines.jsonl"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    script = tmp_path / "replies.txt"
    script.write_text("The gulls are loud.\nWe had soup.\nNobody came by.\n")
    scripted = PersonaSettings(engine="scripted", script=str(script))
    with Services(Settings(home=tmp_path / "home", persona=scripted)) as opened:
        import_file(opened.database, opened.space_id, LINES)
        yield opened


@pytest.fixture
def client(services: Services) -> TestClient:
    return TestClient(create_app(services), base_url="http://127.0.0.1:7777")


def test_consent_is_given_looked_at_and_withdrawn(client: TestClient) -> None:
    assert client.get("/v1/people/ada/consent").json() == {"person": "Ada", "stands": False, "records": []}
    given = client.post("/v1/people/Ada/consent", json={"by": "Ada", "note": "a letter of May"})
    assert (given.status_code, given.json()["stands"]) == (201, True)
    assert client.post("/v1/people/Ada/consent", json={"by": "  "}).status_code == 422
    gone = client.delete("/v1/people/Ada/consent").json()
    assert (gone["stands"], gone["records"][0]["by"]) == (False, "Ada")
    assert gone["records"][0]["withdrawn"] is not None


def test_how_a_persona_speaks_is_set_and_bounded(client: TestClient) -> None:
    told = client.put("/v1/people/Ada/persona", json={"sampling": {"temperature": 0.9}}).json()
    assert (told["sampling"]["temperature"], told["set"]) == (0.9, ["temperature"])
    assert client.get("/v1/people/Ada/persona").json() == told
    for wrong in ({"heat": 1.0}, {"temperature": 99}):
        assert client.put("/v1/people/Ada/persona", json={"sampling": wrong}).status_code == 400
    assert client.put("/v1/people/Ada/persona", json={}).json()["set"] == []


def test_nobody_is_trained_or_reported_without_consent(client: TestClient) -> None:
    for end in ("train", "report"):
        refused = client.post(f"/v1/people/Ada/persona/{end}")
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:slowwave:problem:no-consent")


def test_what_personas_said_is_listed_exported_and_taken_back(client: TestClient, services: Services) -> None:
    ada, bo = services.person("Ada").id, services.person("Bo").id
    where = services.database, services.space_id
    first, second = (begin(*where, NewSession(ada, "simulated: Ada and Bo", (ada, bo))) for _ in range(2))
    keep_turn(*where, second, NewTurn(ada, "By the sea.", heard=(bo, "Where do you live?")))
    page = client.get("/v1/chats", params={"limit": 1, "person": "Ada"}).json()
    rest = client.get("/v1/chats", params={"after": page["next"]}).json()
    assert {page["chats"][0]["id"], rest["chats"][0]["id"]} == {first, second}
    (turn,) = client.get(f"/v1/chats/{second}").json()["turns"]
    assert turn["reply"] == {"speaker": "Ada", "text": "By the sea."}
    written = client.get(f"/v1/chats/{second}/export").text.splitlines()
    assert len(written) == 2
    assert all("simulated" in line for line in written)
    assert '"simulated"' in client.get(f"/v1/chats/{second}/export", params={"format": "jsonl"}).text
    assert client.get("/v1/turns", params={"limit": 1}).json()[0]["text"] == "By the sea."
    assert client.get("/v1/claims").json() == {"claims": [], "next": None}
    assert client.post("/v1/claims/none/withdraw").status_code == 404
    assert client.get("/v1/chats/none").status_code == 404


def test_a_text_is_explained_and_a_turn_is_not_both(client: TestClient) -> None:
    asked = {"text": "it is by the sea", "method": "bm25", "k": 1}
    told = client.post("/v1/why-said", json=asked, headers={"Accept": "text/event-stream"}).text
    assert told.startswith("event: done\ndata: {")
    assert client.post("/v1/why-said", json={**asked, "turn": "last"}).status_code == 422
    assert client.post("/v1/why-said", json={"turn": "last"}).status_code == 404


def test_a_company_needs_the_consent_of_everybody(client: TestClient) -> None:
    wanted = {"people": ["Ada", "Bo"], "turns": 1}
    assert client.post("/v1/converse", json=wanted).status_code == 403
    assert client.post("/v1/converse", json={"people": ["Ada"]}).status_code == 422
    for name in ("Ada", "Bo"):
        client.post(f"/v1/people/{name}/consent", json={"by": name})
    said = client.post("/v1/converse", json={**wanted, "turns": 2}).json()
    assert (said["simulated"], len(said["turns"])) == (True, 2)
    streamed = client.post("/v1/converse", json={**wanted, "stream": True}).text
    assert [line for line in streamed.splitlines() if line.startswith("event")] == [
        "event: turn",
        "event: end",
    ]


def test_two_personas_answer_who_leads_them(client: TestClient, services: Services) -> None:
    with services.database.transaction() as session:
        get_or_create_node(session, services.space_id, "Cy", clock=services.clock)
    for name in ("Ada", "Bo"):
        client.post(f"/v1/people/{name}/consent", json={"by": name})
    wanted = {"people": ["Ada", "Bo"], "as": "Cy", "text": "Bo, good day!"}
    said = client.post("/v1/converse", json=wanted).json()
    assert (said["as"], said["ended"], said["turns"][0]["speaker"]) == ("Cy", "answered", "Bo")
    again = client.post("/v1/converse", json={**wanted, "text": "Ada, and you?"}).json()
    assert again["turns"][0] | {"number": said["kept"] + 1, "speaker": "Ada"} == again["turns"][0]
    assert client.post("/v1/converse", json={**wanted, "text": " "}).status_code == 400
    assert client.post("/v1/converse", json={"people": ["Ada", "Bo"], "text": "Hi!"}).status_code == 422
    assert client.post("/v1/converse", json={**wanted, "people": ["Ada", "Bo", "Cy"]}).status_code == 400


def test_a_company_that_is_led_stays_together_until_something_else_is_said(
    client: TestClient, services: Services
) -> None:
    where = services.database, services.space_id
    with services.database.transaction() as session:
        get_or_create_node(session, services.space_id, "Cy", clock=services.clock)
    for name in ("Ada", "Bo"):
        client.post(f"/v1/people/{name}/consent", json={"by": name})

    def led(**changes: Any) -> Any:
        wanted = {"people": ["Ada", "Bo"], "as": "Cy", "text": "Good day!"}
        return client.post("/v1/converse", json={**wanted, **changes}).json()

    def is_ended(session_id: str) -> bool:
        return next(one for one in list_sessions(*where) if one.id == session_id).ended_at is not None

    first = led()
    assert led()["session"] == first["session"]
    assert led(text=" ")["status"] == 400
    assert not is_ended(first["session"])
    warmer = led(temperature=1.5)
    assert (warmer["session"] != first["session"], is_ended(first["session"])) == (True, True)
    ada, bo = services.person("Ada").id, services.person("Bo").id
    beside = begin(*where, NewSession(ada, first["conversation"], (ada, bo)))
    keep_turn(*where, beside, NewTurn(ada, "By the sea."))  # by another process
    later = led(temperature=1.5)
    assert later["session"] != warmer["session"]
    assert later["kept"] == warmer["kept"] + 2 + len(later["turns"])
    client.post("/v1/chat", json={"person": "Ada", "as": "Cy", "text": "Good day!"})
    assert is_ended(later["session"])


def test_who_began_with_the_weights_of_before_is_not_kept_for_those_published_meanwhile(
    client: TestClient, services: Services
) -> None:
    for name in ("Ada", "Bo"):
        client.post(f"/v1/people/{name}/consent", json={"by": name})
    with services.database.transaction() as session:
        get_or_create_node(session, services.space_id, "Cy", clock=services.clock)
    led = Gathering(("Ada", "Bo"), as_person="Cy", text="Good day!")

    def publish() -> None:
        with services.database.transaction() as session:
            move_pointer(session, services.space_id, run_id=None, recipe_id=None, readout_id=None)

    lock = BeforeTheSecond(publish)
    talks = Talks(services, lock, Users())  # type: ignore[arg-type]
    first, second, third = (told(talks.converse(led)) for _ in range(3))
    assert lock.n_taken > 2
    assert first != second == third
    talks.end()


class BeforeTheSecond:
    """A lock under which something happens before it is taken a second time."""

    def __init__(self, happens: Callable[[], None]) -> None:
        self._lock, self._happens, self.n_taken = threading.RLock(), happens, 0

    def acquire(self, timeout: float = -1) -> bool:
        self.n_taken += 1
        if self.n_taken == 2:
            self._happens()
        return self._lock.acquire(timeout=timeout)

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


def told(pieces: Iterator[SaidTurn | Company | Exception]) -> str:
    """The session in which it was said."""
    last = list(pieces)[-1]
    assert isinstance(last, Company)
    return last.record.session_id
