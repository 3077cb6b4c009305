from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agents.backends.openai import OpenAIChat
from agents.errors import BackendRefused, BackendUnreachable, CutOff
from agents.runtime.lm import LanguageModel
from agents.sampling import Sampling
from simulator.engines import LocalEngine, ServerEngine, going_on
from simulator.ports import Engine, Piece
from tests.model_server import ModelServer, Reply, cut_short, delta, events, refusal

ASK = [
    {"role": "system", "content": "You are Ines."},
    {"role": "user", "content": "[TOMAS] call me at +47 911 22 333\n[INES]"},
]
GREEDY = Sampling(max_new_tokens=10, temperature=0)
WARM = Sampling(max_new_tokens=10, temperature=1.0, min_p=0.0, seed=3)


def text_of(pieces: Iterator[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


# ---- in this process


@pytest.fixture
def local(tiny: LanguageModel) -> LocalEngine:
    return LocalEngine(tiny, recipe="ab" * 32, tags=("[INES]", "[TOMAS]"))


def test_its_name_says_which_model_and_weights(local: LocalEngine, tiny: LanguageModel) -> None:
    engine: Engine = local
    assert engine.name == f"local:{tiny.base_hash[:12]}+abababababab"


def test_each_piece_has_a_token_and_its_entropy(local: LocalEngine, tiny: LanguageModel) -> None:
    pieces = list(local.stream(ASK, WARM))
    assert tiny.decode([p.token for p in pieces if p.token is not None]) == text_of(iter(pieces))
    assert all(p.entropy is not None and p.entropy >= 0 for p in pieces if p.token is not None)


def test_a_part_that_stands_is_not_read_again_and_goes_on_the_same(
    local: LocalEngine, tiny: LanguageModel
) -> None:
    drawn = list(local.stream(ASK, Sampling(max_new_tokens=30, temperature=1.5, min_p=0.0, seed=3)))
    ends = [i for i in range(1, 30) if "".join(p.text for p in drawn[:i]).strip() and drawn[i - 1].text]
    said = "".join(p.text for p in drawn[: ends[2]]).lstrip()
    rest = text_of(local.stream(ASK, GREEDY, said=said))
    assert local.cache.n_read == 1
    tokens = [p.token for p in drawn[: ends[2]] if p.token is not None]
    assert rest == "".join(tiny.stream([*tiny.chat_ids(ASK), *tokens], GREEDY))


def test_another_draw_from_where_a_part_began_reuses_all_before_it(local: LocalEngine) -> None:
    first = text_of(local.stream(ASK, WARM))
    assert text_of(local.stream(ASK, WARM)) == first
    assert local.cache.n_read == 1
    drawing = local.stream(ASK, WARM, said="so")
    next(drawing)
    drawing.close()  # type: ignore[attr-defined]
    assert local.cache.n_read == 2
    assert text_of(local.stream(ASK, WARM)) == first


def test_the_next_turn_reads_what_is_new(local: LocalEngine, tiny: LanguageModel) -> None:
    text_of(local.stream(ASK, GREEDY))
    longer = [ASK[0], {"role": "user", "content": ASK[1]["content"] + " ok\n[TOMAS] bye\n[INES]"}]
    text_of(local.stream(longer, GREEDY))
    assert local.cache.n_reused == len(tiny.chat_ids(ASK, add_generation_prompt=False)) - 2
    local.close()
    assert local.cache.ids == ()


def test_what_is_known_may_be_said_and_what_was_said_may_not_be_repeated(local: LocalEngine) -> None:
    content = "[TOMAS] one two\nWhat you know: I live in Porto.\n[INES]"
    history = local._history([{"role": "user", "content": content}], "I like")
    assert local._model.decode(history) == "one two\nI like"


def test_candidates_are_drawn_together_and_differ(local: LocalEngine) -> None:
    seeds = [Sampling(max_new_tokens=8, temperature=1.5, min_p=0.0, seed=seed) for seed in range(3)]
    made = local.candidates(ASK, seeds)
    assert made == [text_of(local.stream(ASK, how)) for how in seeds]
    assert len(set(made)) == 3


def test_a_prompt_that_fills_the_window_is_refused(local: LocalEngine) -> None:
    long = [{"role": "user", "content": "x" * 600}]
    with pytest.raises(CutOff, match="the model reads 512"):
        next(local.stream(long, GREEDY))


# ---- a server


@pytest.fixture
def server() -> Iterator[ModelServer]:
    running = ModelServer()
    yield running
    running.close()


@pytest.fixture
def remote(server: ModelServer) -> Iterator[ServerEngine]:
    chat = OpenAIChat("m", f"{server.url}/v1", retries=1, first_delay_s=0.01, timeout_s=5)
    engine = ServerEngine(chat, left_out=("phone",))
    yield engine
    engine.close()


def test_a_server_is_sent_the_prompt_masked_and_how_to_draw(
    server: ModelServer, remote: ServerEngine
) -> None:
    server.reply = lambda n, body: events(delta("hey "), delta("you", "stop"))
    how = Sampling(max_new_tokens=9, temperature=0.5, top_p=0.9, top_k=7, dry_multiplier=0.8, seed=4)
    lines = {"role": "system", "content": "You are Ines. What matters to you: call +47 911 22 333."}
    assert list(remote.stream([lines, ASK[1]], how)) == [Piece("hey "), Piece("you")]
    body = server.requests[0][2]
    assert body["messages"] == [
        {"role": "system", "content": "You are Ines. What matters to you: call (phone)."},
        {"role": "user", "content": "[TOMAS] call me at (phone)\n[INES]"},
    ]
    assert (body["max_tokens"], body["temperature"], body["seed"], body["stream"]) == (9, 0.5, 4, True)
    assert (body["top_p"], body["top_k"], body["min_p"], body["dry_multiplier"]) == (0.9, 7, 0.05, 0.8)
    assert "continue_final_message" not in body


def test_a_begun_reply_is_gone_on_with(server: ModelServer, remote: ServerEngine) -> None:
    server.reply = lambda n, body: events(delta(" and more", "stop"))
    assert text_of(remote.stream(ASK, GREEDY, said="so")) == " and more"
    body = server.requests[0][2]
    assert body["messages"][-1] == {"role": "assistant", "content": "so"}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)


def test_a_server_that_knows_none_of_it_is_asked_plainly(server: ModelServer, remote: ServerEngine) -> None:
    plain = {"model", "messages", "max_tokens", "temperature", "stream"}

    def reply(n: int, body: dict[str, Any]) -> Reply:
        extra = sorted(set(body) - plain)
        return (
            refusal(400, f"unrecognized argument: {extra[0]}") if extra else events(delta("so yes", "stop"))
        )

    server.reply = reply
    assert text_of(remote.stream(ASK, GREEDY, said="so")) == " yes"


def test_a_server_that_repeats_what_it_was_shown_is_heard_from_there_on(
    server: ModelServer, remote: ServerEngine
) -> None:
    server.reply = lambda n, body: events(delta(body["messages"][-1]["content"]), delta(" later", "stop"))
    assert text_of(remote.stream(ASK, GREEDY, said="call +47 911 22 333")) == " later"


def test_a_server_that_stops_mid_way_raises_after_the_pieces_that_came(
    server: ModelServer, remote: ServerEngine
) -> None:
    for reply in (cut_short(events(*[delta("piece ")] * 40)), events(delta("piece "))):
        server.reply = lambda n, body, reply=reply: reply  # type: ignore[misc]
        drawing = remote.stream(ASK, GREEDY)
        assert next(drawing) == Piece("piece ")
        with pytest.raises(BackendUnreachable):
            list(drawing)


def test_a_server_that_is_away_or_refuses_raises_its_error(server: ModelServer, remote: ServerEngine) -> None:
    server.reply = lambda n, body: refusal(503, "down")
    with pytest.raises(BackendUnreachable):
        next(remote.stream(ASK, GREEDY))
    server.reply = lambda n, body: refusal(401, "bad key")
    with pytest.raises(BackendRefused):
        next(remote.stream(ASK, GREEDY))


def test_closing_the_stream_ends_the_request(server: ModelServer, remote: ServerEngine) -> None:
    server.reply = lambda n, body: events(*[delta("piece ")] * 40, delta("", "stop"))
    drawing = remote.stream(ASK, GREEDY)
    assert next(drawing) == Piece("piece ")
    drawing.close()  # type: ignore[attr-defined]
    assert text_of(remote.stream(ASK, GREEDY)).count("piece") == 40


@pytest.mark.parametrize(
    ("pieces", "rest"),
    [
        (["I ", "am he", "re"], "re"),
        (["I am here"], "re"),
        (["I ", "was"], "I was"),
        (["I a"], ""),
        ([], ""),
    ],
)
def test_what_was_said_is_not_heard_twice(pieces: list[str], rest: str) -> None:
    assert "".join(going_on(iter(pieces), "I am he")) == rest
