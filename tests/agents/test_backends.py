"""Back-ends against a real HTTP server of this machine that speaks each protocol."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from agents.backends import make_chat_model
from agents.backends.gemini import GeminiChat
from agents.backends.openai import OpenAIChat
from agents.backends.scripted import ScriptedChat
from agents.errors import (
    BackendRefused,
    BackendUnreachable,
    BackendUnset,
    BadAnswer,
    CutOff,
    QuotaSpent,
    UnknownBackend,
)
from tests.model_server import (
    ModelServer,
    Reply,
    as_json,
    candidate,
    chat,
    cut_short,
    delta,
    events,
    exhausted,
    refusal,
)

ASK = [{"role": "system", "content": "be short"}, {"role": "user", "content": "where is the boat"}]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    made = ModelServer()
    yield made
    made.close()


def openai(server: ModelServer, **settings: Any) -> OpenAIChat:
    return OpenAIChat("m", f"{server.url}/v1", api_key="secret", **{"first_delay_s": 0.01, **settings})


def gemini(server: ModelServer, **settings: Any) -> GeminiChat:
    return GeminiChat("g", "secret", base_url=server.url, first_delay_s=0.01, **settings)


def test_openai_sends_messages_and_limits_and_gives_the_text(server: ModelServer) -> None:
    server.reply = lambda n, body: chat("in the harbour")
    assert openai(server).complete(ASK, max_tokens=7, temperature=0.5) == "in the harbour"
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer secret"
    assert (body["messages"], body["max_tokens"], body["temperature"]) == (ASK, 7, 0.5)


def test_openai_retries_when_the_server_is_busy(server: ModelServer) -> None:
    server.reply = lambda n, body: refusal(429, "busy", **{"retry-after-ms": "5"}) if n < 2 else chat("ok")
    assert openai(server).complete(ASK) == "ok"
    assert len(server.requests) == 3


def test_openai_gives_up_after_its_retries(server: ModelServer) -> None:
    server.reply = lambda n, body: refusal(503, "down", **{"retry-after-ms": "5"})
    with pytest.raises(BackendUnreachable, match="503"):
        openai(server, retries=1).complete(ASK)
    assert len(server.requests) == 2


def test_openai_does_not_retry_a_refusal(server: ModelServer) -> None:
    server.reply = lambda n, body: refusal(401, "wrong key")
    with pytest.raises(BackendRefused, match="401"):
        openai(server).complete(ASK)
    assert len(server.requests) == 1


def test_openai_names_the_time_out() -> None:
    with pytest.raises(BackendUnreachable, match="out of reach"):
        OpenAIChat("m", "http://127.0.0.1:9/v1", retries=0, timeout_s=1).complete(ASK)


def test_openai_waits_as_long_as_the_server_asks(server: ModelServer) -> None:
    server.reply = lambda n, body: refusal(503, "down", **{"Retry-After": "0.3"}) if n == 0 else chat("ok")
    began = time.monotonic()
    assert openai(server).complete(ASK) == "ok"
    assert time.monotonic() - began >= 0.3


def test_openai_does_not_wait_where_the_server_asks_for_an_hour(server: ModelServer) -> None:
    server.reply = lambda n, body: refusal(429, "come back later", **{"Retry-After": "3600"})
    with pytest.raises(BackendUnreachable, match="429"):
        openai(server).complete(ASK)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "code"), [(429, "insufficient_quota"), (402, None)])
def test_openai_tells_a_used_up_quota_from_a_busy_server(
    server: ModelServer, status: int, code: str | None
) -> None:
    server.reply = lambda n, body: refusal(status, "check your plan", code=code)
    with pytest.raises(QuotaSpent, match="quota"):
        openai(server).complete(ASK)
    assert len(server.requests) == 1


def test_openai_asks_again_when_an_answer_stops_in_the_middle(server: ModelServer) -> None:
    server.reply = lambda n, body: cut_short(chat("ok " * 50)) if n < 2 else chat("whole")
    assert openai(server).complete(ASK) == "whole"
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "nonsense",
    [
        (200, {"Content-Type": "text/html"}, b"<html>hello</html>"),
        (200, {"Content-Type": "application/json"}, b"{not json"),
        as_json({"hello": 1}),
        as_json([1]),
        as_json({"choices": []}),
        as_json({"choices": [{"index": 0}]}),
    ],
)
def test_a_server_that_speaks_another_language_is_a_bad_answer(server: ModelServer, nonsense: Reply) -> None:
    server.reply = lambda n, body: nonsense
    with pytest.raises(BadAnswer):
        openai(server).complete(ASK)


def test_openai_streams_pieces_that_join_to_the_answer(server: ModelServer) -> None:
    server.reply = lambda n, body: events(delta("in the "), delta("harbour", "stop"))
    assert list(openai(server).stream(ASK)) == ["in the ", "harbour"]
    assert server.requests[0][2]["stream"] is True


def test_openai_stream_raises_on_an_error_event(server: ModelServer) -> None:
    server.reply = lambda n, body: events(delta("in "), {"error": {"message": "lost"}})
    with pytest.raises(BackendUnreachable):
        list(openai(server).stream(ASK))


def test_a_stream_that_stops_in_the_middle_raises(server: ModelServer) -> None:
    server.reply = lambda n, body: cut_short(events(*[delta("piece ")] * 40))
    with pytest.raises(BackendUnreachable):
        list(openai(server).stream(ASK))
    server.reply = lambda n, body: cut_short(events(*[candidate("piece ")] * 40))
    with pytest.raises((BackendUnreachable, BadAnswer)):
        list(gemini(server).stream(ASK))


def test_openai_stream_that_ends_without_a_reason_broke_off(server: ModelServer) -> None:
    server.reply = lambda n, body: events(delta("in "))
    with pytest.raises(BackendUnreachable, match="broke off"):
        list(openai(server).stream(ASK))


def test_openai_leaves_out_the_fields_that_a_server_refuses(server: ModelServer) -> None:
    def reply(n: int, body: dict[str, Any]) -> Reply:
        refused = next((name for name in ("min_p", "top_k") if name in body), None)
        return refusal(400, f"unknown argument: {refused}") if refused else events(delta("here", "stop"))

    server.reply = reply
    model = openai(server)
    fields = {"top_k": 5, "min_p": 0.1, "seed": 3}
    assert [list(model.stream(ASK, fields=fields)) for _ in range(2)] == [["here"], ["here"]]
    assert len(server.requests) == 4
    assert server.requests[-1][2]["seed"] == 3


def test_a_stream_is_begun_again_while_the_server_is_busy(server: ModelServer) -> None:
    server.reply = lambda n, body: refusal(503, "down") if n < 2 else events(delta("here", "stop"))
    assert list(openai(server).stream(ASK)) == ["here"]


def test_openai_asks_for_the_schema_and_falls_back_to_plain_json(server: ModelServer) -> None:
    def reply(n: int, body: dict[str, Any]) -> Reply:
        if body["response_format"]["type"] == "json_schema":
            return refusal(400, "response_format json_schema is not supported")
        return chat("{}")

    server.reply = reply
    model = openai(server)
    assert [model.complete_json(ASK, {"type": "object"}) for _ in range(2)] == ["{}", "{}"]
    kinds = [body["response_format"]["type"] for _, _, body in server.requests]
    assert kinds == ["json_schema", "json_schema", "json_object", "json_object"]


def test_openai_leaves_out_the_keywords_that_a_server_refuses_in_schemas(server: ModelServer) -> None:
    def reply(n: int, body: dict[str, Any]) -> Reply:
        if "maxLength" in str(body["response_format"]):
            return refusal(400, "Invalid schema for response_format 'answer': 'maxLength' is not permitted")
        return chat('{"a": "b"}')

    server.reply = reply
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}, "required": ["a"]}
    model = openai(server)
    assert [model.complete_json(ASK, schema) for _ in range(2)] == ['{"a": "b"}'] * 2
    kept = server.requests[-1][2]["response_format"]["json_schema"]["schema"]
    assert kept == {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    assert len(server.requests) == 3


def test_openai_asks_in_words_where_no_form_is_taken(server: ModelServer) -> None:
    def reply(n: int, body: dict[str, Any]) -> Reply:
        return refusal(400, "unknown field response_format") if "response_format" in body else chat("{}")

    server.reply = reply
    assert openai(server).complete_json(ASK, {"type": "object"}) == "{}"
    assert len(server.requests) == 4


def test_openai_learns_the_other_name_of_the_token_limit(server: ModelServer) -> None:
    def reply(n: int, body: dict[str, Any]) -> Reply:
        return refusal(400, "use max_completion_tokens") if "max_tokens" in body else chat("ok")

    server.reply = reply
    assert openai(server).complete(ASK, max_tokens=5) == "ok"
    assert server.requests[-1][2]["max_completion_tokens"] == 5


def test_openai_leaves_the_temperature_out_where_it_is_refused(server: ModelServer) -> None:
    def reply(n: int, body: dict[str, Any]) -> Reply:
        return refusal(400, "temperature has only its default") if "temperature" in body else chat("ok")

    server.reply = reply
    model = openai(server)
    assert [model.complete(ASK) for _ in range(2)] == ["ok", "ok"]
    assert len(server.requests) == 3


def test_openai_json_that_was_cut_off_is_a_bad_answer(server: ModelServer) -> None:
    server.reply = lambda n, body: chat('{"a": ', finish="length")
    with pytest.raises(CutOff, match="cut off"):
        openai(server).complete(ASK, json=True)


def test_openai_never_takes_a_key_from_the_environment(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from-the-environment")
    OpenAIChat("m", f"{server.url}/v1").complete(ASK)
    assert "from-the-environment" not in server.requests[0][1]["authorization"]


def test_gemini_turns_messages_into_contents_and_gives_the_text(server: ModelServer) -> None:
    server.reply = lambda n, body: as_json(candidate("in the harbour"))
    turns = [*ASK, {"role": "assistant", "content": "which"}, {"role": "user", "content": "the old one"}]
    assert gemini(server).complete(turns, max_tokens=9) == "in the harbour"
    path, headers, body = server.requests[0]
    assert path.endswith("models/g:generateContent")
    assert headers["x-goog-api-key"] == "secret"
    assert body["systemInstruction"]["parts"][0]["text"] == "be short"
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user"]
    assert body["generationConfig"]["maxOutputTokens"] == 9


def test_gemini_retries_when_the_server_is_busy(server: ModelServer) -> None:
    server.reply = lambda n, body: refusal(429, "busy") if n < 1 else as_json(candidate("ok"))
    assert gemini(server).complete(ASK) == "ok"


_DAY = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
_MINUTE = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}


@pytest.mark.parametrize(
    "reply",
    [
        exhausted("You exceeded your current quota", _DAY, {"retryDelay": "0.1s"}),
        exhausted("You exceeded your current quota, please check your plan and billing details"),
    ],
)
def test_gemini_tells_a_used_up_quota(server: ModelServer, reply: Reply) -> None:
    server.reply = lambda n, body: reply
    with pytest.raises(QuotaSpent):
        gemini(server).complete(ASK)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "busy",
    [
        exhausted("You exceeded your current quota", _MINUTE, {"retryDelay": "0.2s"}),
        refusal(503, "overloaded", **{"Retry-After": "0.2"}),
    ],
)
def test_gemini_waits_through_a_busy_minute_as_long_as_it_asks(server: ModelServer, busy: Reply) -> None:
    server.reply = lambda n, body: busy if n == 0 else as_json(candidate("ok"))
    began = time.monotonic()
    assert gemini(server).complete(ASK) == "ok"
    assert time.monotonic() - began >= 0.2


def test_gemini_asks_again_when_an_answer_stops_in_the_middle(server: ModelServer) -> None:
    whole = as_json(candidate("ok " * 50))
    server.reply = lambda n, body: cut_short(whole) if n == 0 else as_json(candidate("whole"))
    assert gemini(server).complete(ASK) == "whole"


def test_gemini_answers_of_another_form_are_bad_answers(server: ModelServer) -> None:
    for nonsense in (b"<html>", b"{not json"):
        server.reply = lambda n, body, data=nonsense: (200, {"Content-Type": "application/json"}, data)
        with pytest.raises(BadAnswer):
            gemini(server).complete(ASK)
    server.reply = lambda n, body: as_json({"candidates": []})
    with pytest.raises(BadAnswer):
        gemini(server).complete(ASK)


def test_gemini_maps_refusals_and_overload(server: ModelServer) -> None:
    server.reply = lambda n, body: refusal(403, "wrong key")
    with pytest.raises(BackendRefused, match="403"):
        gemini(server).complete(ASK)
    server.reply = lambda n, body: refusal(503, "down")
    with pytest.raises(BackendUnreachable, match="503"):
        gemini(server, retries=0).complete(ASK)


def test_gemini_out_of_reach_is_one_line() -> None:
    model = GeminiChat("g", "k", base_url="http://127.0.0.1:9", retries=0, timeout_s=1)
    with pytest.raises(BackendUnreachable, match="out of reach"):
        model.complete(ASK)


def test_gemini_streams_and_asks_for_the_schema(server: ModelServer) -> None:
    server.reply = lambda n, body: events(candidate("in the "), candidate("harbour"))
    assert list(gemini(server).stream(ASK)) == ["in the ", "harbour"]
    server.reply = lambda n, body: as_json(candidate("{}"))
    assert gemini(server).complete_json(ASK, {"type": "object"}) == "{}"
    assert server.requests[-1][2]["generationConfig"]["responseMimeType"] == "application/json"


def test_gemini_is_held_to_as_much_of_a_schema_as_it_takes(server: ModelServer) -> None:
    def reply(n: int, body: dict[str, Any]) -> Reply:
        if "maxLength" in str(body):
            return refusal(
                400, "Invalid value at 'generation_config.response_json_schema': unknown maxLength"
            )
        return as_json(candidate('{"a": "b"}'))

    server.reply = reply
    schema = {"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}}
    model = gemini(server)
    assert [model.complete_json(ASK, schema) for _ in range(2)] == ['{"a": "b"}'] * 2
    assert "responseJsonSchema" in server.requests[-1][2]["generationConfig"]
    assert len(server.requests) == 3


def test_gemini_without_a_key_does_not_look_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "from-the-environment")
    with pytest.raises(BackendUnset, match="api_key"):
        GeminiChat("g", "")


@pytest.mark.parametrize(
    ("kind", "settings", "missing"),
    [
        ("openai", {"model": "m"}, "base_url"),
        ("openai", {"base_url": "http://127.0.0.1:9/v1"}, "model"),
        ("gemini", {"api_key": "k"}, "model"),
        ("local", {}, "cache_dir"),
    ],
)
def test_a_missing_setting_is_named(kind: str, settings: dict[str, str], missing: str) -> None:
    with pytest.raises(BackendUnset, match=missing):
        make_chat_model(kind, **settings)


def test_a_script_answers_in_order_and_is_away_when_it_ends() -> None:
    model = make_chat_model("scripted", answers=["one two", "three"])
    assert list(model.stream(ASK)) == ["one", " two"]
    assert model.complete(ASK) == "three"
    with pytest.raises(BackendUnreachable):
        model.complete(ASK)


def test_a_script_may_be_a_function_and_keeps_what_it_was_asked() -> None:
    model = ScriptedChat(lambda messages: messages[-1]["content"].upper())
    assert model.complete(ASK) == "WHERE IS THE BOAT"
    assert model.calls == [ASK]


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(UnknownBackend, match="openai, gemini, local, scripted"):
        make_chat_model("telepathy")
