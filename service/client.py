"""A client of the daemon for Python programs: `with Client() as memory: memory.ask("Where does Ada live?")`.

It needs the standard library alone. Lists are iterated over all of their pages, chats and nights are streamed, and what the
daemon refuses is raised as a `Problem` that carries its answer. POSTs bring a key, so that one whose answer was lost on the
way is sent again and done once. Anything without a method of its own is `request` away. Documented in docs/http.md.
"""

from __future__ import annotations

import http.client
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

Json = dict[str, Any]

_TRIES = 3
_WAIT_S = 0.3  # before the second try; twice as long before each further one
_KEYLESS = ("/v1/forget", "/v1/load", "/v1/imports", "/v1/tokens", "/v1/spaces")


class Problem(Exception):
    """What the daemon said instead of an answer. `kind` is the end of its type, such as `unknown-person`."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(body.get("detail") or f"the daemon answered {status}"))
        self.status = status
        self.body = dict(body)
        self.kind = str(body.get("type", "")).rpartition(":")[2]
        self.errors: list[Json] = list(body.get("errors", ()))


class Away(Exception):
    """No daemon answers there."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"no daemon answers at {url}: {why}; start `slowwave serve`, or check the address")


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream: `name` and its `data`."""

    name: str
    data: Json


@dataclass(slots=True)
class Client:
    """One daemon, one space. Not safe for two threads at once; make one for each."""

    url: str = "http://127.0.0.1:7777"
    token: str = field(default="", repr=False)
    space: str | None = None
    timeout_s: float = 120.0
    _connection: http.client.HTTPConnection | None = field(default=None, init=False, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # What is known

    def ask(self, question: str, **limits: Any) -> Json:
        """Answer from the graph, or abstain; `known_to`, `asked_by`, `as_of`, `explain`."""
        return self.post("/v1/ask", {"question": question, **limits})

    def search(self, query: str, **limits: Any) -> list[Json]:
        """What is nearest to a query; `k`, `kind`, `known_to`, `as_of`."""
        found: list[Json] = self.request("GET", "/v1/search", query={"q": query, **limits})
        return found

    def people(self) -> Iterator[Json]:
        return self.pages("/v1/people", "people")

    def facts(self, person: str | None = None, **question: Any) -> Iterator[Json]:
        """Of somebody, or of everybody; `as_of`, `known_to`, `history`, `topic`, `predicate`."""
        path = f"/v1/people/{quote(person, safe='')}/facts" if person else "/v1/facts"
        return self.pages(path, "facts", **question)

    def add_fact(self, person: str, predicate: str, value: str, **more: Any) -> Json:
        return self.post("/v1/facts", {"person": person, "predicate": predicate, "object": value, **more})

    def episodes(self, **choice: Any) -> Iterator[Json]:
        """Messages in time order; `person`, `conversation`, `known_to`, `origin`, `newest`, and `from`, `to` by `**{...}`."""
        return self.pages("/v1/episodes", "episodes", **choice)

    def emotions(self, person: str, **choice: Any) -> Json:
        return self.get(f"/v1/people/{quote(person, safe='')}/emotions", **choice)

    # Personas

    def consent(self, person: str, *, by: str, note: str = "") -> Json:
        return self.post(f"/v1/people/{quote(person, safe='')}/consent", {"by": by, "note": note})

    def chat(self, person: str, text: str, *, as_person: str, **options: Any) -> Json:
        """One turn of somebody's persona, as a whole; `seed`, `temperature`, `max_new_tokens` and the other fields of the route."""
        return self.post("/v1/chat", {"person": person, "as": as_person, "text": text, **options})

    def stream_chat(self, person: str, text: str, *, as_person: str, **options: Any) -> Iterator[Event]:
        """Events `piece` `{text}` as the reply is drawn, then `turn`. Closing the iterator ends the turn."""
        body = {"person": person, "as": as_person, "text": text, **options}
        return self.stream("POST", "/v1/chat", body)

    def converse(self, people: Sequence[str], *, as_person: str | None = None, **options: Any) -> Json:
        """Two or three personas among themselves, or two who answer the `text` of `as_person`; `turns`, `about`, `seed` and, as for
        `chat`, how their words are drawn."""
        return self.post("/v1/converse", {"people": list(people), "as": as_person, **options})

    # Nights

    def sleep(self, **options: Any) -> Json:
        """Begin a night; `seed`, `minutes`, `model`, `fresh`."""
        return self.post("/v1/sleep", options)

    def follow(self, run_id: str) -> Iterator[Event]:
        """A night live: events `run` whenever something has changed, then `end`."""
        return self.stream("GET", f"/v1/runs/{quote(run_id, safe='')}/events")

    def runs(self) -> Iterator[Json]:
        return self.pages("/v1/runs", "runs")

    # Any route

    def get(self, path: str, **query: Any) -> Json:
        found: Json = self.request("GET", path, query=query)
        return found

    def post(self, path: str, body: Any = None) -> Json:
        found: Json = self.request("POST", path, body=body)
        return found

    def pages(self, path: str, name: str, **query: Any) -> Iterator[Json]:
        """Every row of a list, page after page; `name` is the key of the rows."""
        after: str | None = None
        while True:
            page = self.get(path, **query, **({"after": after} if after else {}))
            yield from page[name]
            after = page["next"]
            if after is None:
                return

    def request(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None
    ) -> Any:
        """The answer of any route, from JSON where it is JSON. Raises Problem, and Away where nobody answers.

        A POST with a key, and what only reads, is sent again where the connection broke.
        """
        headers = self._headers(method, path)
        is_repeatable = method in ("GET", "PUT", "DELETE") or "Idempotency-Key" in headers
        tries = _TRIES if is_repeatable else 1
        for number in range(1, tries + 1):
            try:
                return _read(self._send(method, _address(path, query), body, headers))
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if number == tries:
                    raise Away(self.url, _why(error)) from error
                time.sleep(_WAIT_S * 2 ** (number - 1))
        raise AssertionError("unreachable")

    def stream(self, method: str, path: str, body: Any = None) -> Iterator[Event]:
        """The events of a route that streams, on a connection of their own. A `problem` among them is raised."""
        headers = {**self._headers(method, path), "Accept": "text/event-stream"}
        with closing(self._connect()) as connection:
            try:
                connection.request(method, self._path(path), _encoded(body), headers)
                answer = connection.getresponse()
                if answer.status >= 400:
                    _read(answer)
                yield from _events(answer)
            except (OSError, http.client.HTTPException) as error:
                raise Away(self.url, _why(error)) from error

    def _headers(self, method: str, path: str) -> dict[str, str]:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.space is not None:
            headers["Slowwave-Space"] = quote(self.space, safe="")
        if method == "POST" and not path.startswith(_KEYLESS):
            headers["Idempotency-Key"] = str(uuid.uuid4())
        return headers

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request(method, self._path(path), _encoded(body), headers)
        return self._connection.getresponse()

    def _path(self, path: str) -> str:
        return urlsplit(self.url).path.rstrip("/") + path

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "127.0.0.1", parts.port, timeout=self.timeout_s)


def _address(path: str, query: Mapping[str, Any] | None) -> str:
    given = {name: _plain(value) for name, value in (query or {}).items() if value is not None}
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


def _plain(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _encoded(body: Any) -> bytes | None:
    return None if body is None else json.dumps(body).encode()


def _read(answer: http.client.HTTPResponse) -> Any:
    said = answer.read()
    is_json = answer.headers.get_content_type() in ("application/json", "application/problem+json")
    told = json.loads(said) if is_json and said else said
    if answer.status >= 400:
        raise Problem(answer.status, told if isinstance(told, dict) else {})
    return told


def _events(answer: http.client.HTTPResponse) -> Iterator[Event]:
    name = ""
    for line in answer:
        kind, _, said = line.decode().rstrip("\n").partition(": ")
        if kind == "event":
            name = said
        elif kind == "data":
            event = Event(name, json.loads(said))
            if event.name == "problem":
                raise Problem(int(event.data.get("status", 500)), event.data)
            yield event


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
