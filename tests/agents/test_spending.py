"""What requests to a real server cost, and the limits on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.backends.gemini import GeminiChat
from agents.backends.meter import Meter
from agents.backends.openai import OpenAIChat
from agents.errors import BackendUnreachable, BudgetSpent
from agents.spending import Budget, Limits, Prices, Spending, Spent, tokens_of
from tests.model_server import ModelServer, as_json, candidate, chat, delta, events, refusal

ASK = [{"role": "user", "content": "where is the boat"}]
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    made = ModelServer()
    made.reply = lambda n, body: chat("in the harbour", usage=(40, 10))
    yield made
    made.close()


def budget(home: Path, now: datetime = NOON, **limits: float) -> Budget:
    return Budget(Spending(home), Limits(**limits), Prices(2.0, 10.0), lambda: now)  # type: ignore[arg-type]


def model(server: ModelServer, spent: Budget) -> OpenAIChat:
    return OpenAIChat("m", f"{server.url}/v1", retries=0, meter=Meter(4, spent))


def test_the_servers_own_figures_are_counted_and_priced(server: ModelServer, tmp_path: Path) -> None:
    spent = budget(tmp_path)
    model(server, spent).complete(ASK)
    assert spent.today() == Spent(1, 40, 10, 0, pytest.approx((40 * 2 + 10 * 10) / 1e6))


def test_without_figures_length_is_counted_and_said_to_be_an_estimate(
    server: ModelServer, tmp_path: Path
) -> None:
    server.reply = lambda n, body: chat("in the harbour")
    spent = budget(tmp_path)
    model(server, spent).complete(ASK)
    today = spent.today()
    assert today.n_estimated == 1
    assert 4 <= today.tokens_in <= 20
    assert 3 <= today.tokens_out <= 9


def test_a_stream_is_counted_also_where_nobody_listens_to_its_end(
    server: ModelServer, tmp_path: Path
) -> None:
    server.reply = lambda n, body: events(delta("in the "), delta("harbour", "stop"))
    spent = budget(tmp_path)
    stream = model(server, spent).stream(ASK)
    assert next(stream) == "in the "
    stream.close()  # type: ignore[attr-defined]
    assert (spent.today().n_requests, spent.today().tokens_out) == (1, tokens_of("in the "))


def test_geminis_figures_are_counted(server: ModelServer, tmp_path: Path) -> None:
    server.reply = lambda n, body: as_json(candidate("here", usage=(30, 5)))
    spent = budget(tmp_path)
    GeminiChat("g", "k", base_url=server.url, meter=Meter(1, spent)).complete(ASK)
    assert (spent.today().tokens_in, spent.today().tokens_out) == (30, 5)


def test_a_request_that_failed_costs_nothing(server: ModelServer, tmp_path: Path) -> None:
    server.reply = lambda n, body: refusal(503, "down")
    spent = budget(tmp_path, tokens_per_day=1000)
    with pytest.raises(BackendUnreachable):
        model(server, spent).complete(ASK)
    assert spent.today() == Spent()


@pytest.mark.parametrize(
    ("limits", "setting"),
    [
        ({"tokens_per_day": 200}, "max_tokens_per_day"),
        ({"cost_per_day": 0.0013}, "max_cost_per_day"),
        ({"tokens_per_run": 200}, "max_tokens_per_run"),
        ({"cost_per_run": 0.0013}, "max_cost_per_run"),
    ],
)
def test_at_a_limit_nothing_more_is_sent_and_the_limit_is_named(
    server: ModelServer, tmp_path: Path, limits: dict[str, float], setting: str
) -> None:
    chatty = model(server, budget(tmp_path, **limits))
    for _ in range(2):
        chatty.complete(ASK, max_tokens=100)
    with pytest.raises(BudgetSpent, match=setting):
        chatty.complete(ASK, max_tokens=100)
    assert len(server.requests) == 2


def test_requests_on_their_way_count_with_the_most_they_can_cost(server: ModelServer, tmp_path: Path) -> None:
    spent = budget(tmp_path, tokens_per_day=300)
    with spent.request("m", ASK, 150), pytest.raises(BudgetSpent), spent.request("m", ASK, 150):
        pass


def test_what_was_spent_survives_a_restart_and_a_new_day_begins_at_nothing(
    server: ModelServer, tmp_path: Path
) -> None:
    model(server, budget(tmp_path)).complete(ASK)
    later = budget(tmp_path, tokens_per_day=60)
    with pytest.raises(BudgetSpent):
        model(server, later).complete(ASK, max_tokens=20)
    tomorrow = budget(tmp_path, NOON + timedelta(days=1), tokens_per_day=60)
    assert model(server, tomorrow).complete(ASK, max_tokens=20)
    days = [(day, spent.tokens) for day, _, spent in tomorrow.spending.by_day()]
    assert days == [("2025-06-02", 50), ("2025-06-01", 50)]


def test_a_run_that_goes_on_later_keeps_what_it_spent(server: ModelServer, tmp_path: Path) -> None:
    for _ in range(2):
        spent = budget(tmp_path, tokens_per_run=200)
        with spent.run(lambda: "night 7"):
            model(server, spent).complete(ASK, max_tokens=80)
    with spent.run(lambda: "night 7"), pytest.raises(BudgetSpent, match="run"):
        model(server, spent).complete(ASK, max_tokens=100)
    with spent.run(lambda: "night 8"):
        assert model(server, spent).complete(ASK, max_tokens=100)


def test_a_run_within_a_run_belongs_to_the_outer_one(server: ModelServer, tmp_path: Path) -> None:
    spent = budget(tmp_path)
    with spent.run(lambda: "night 7"), spent.run(lambda: "reading 1"):
        model(server, spent).complete(ASK)
    assert spent.spending.of_run("night 7").tokens == 50
    assert spent.spending.of_run("reading 1").tokens == 0


def test_no_more_requests_are_on_their_way_than_allowed(server: ModelServer, tmp_path: Path) -> None:
    gate = threading.Barrier(3)

    def reply(n: int, body: object) -> object:
        gate.wait(90)  # the server answers once three are there at the same time
        return chat("ok")

    server.reply = reply  # type: ignore[assignment]
    busy = OpenAIChat("m", f"{server.url}/v1", meter=Meter(3))
    threads = [threading.Thread(target=busy.complete, args=(ASK,)) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(server.requests) == 9
    assert server.most_at_once == 3
