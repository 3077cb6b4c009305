"""A turn of a chat against plain `generate`: `python -m bench.chat [--chat DIR] [--turn 10] [--repeats 7] [--tokens 32]`.

The chat is imported into a fresh home and its two main speakers talk for `--turn` turns: one side is the persona, the
other says the lines below. The prompts that the session sends are kept; the last turn's is then written by both sides,
`--repeats` times in turns, and medians are given. Both have the same loaded weights, prompt, sampling and number of
tokens (neither may end early). Ours holds keys and values as after the turn before; plain is transformers' `generate`
with its own cache, on one thread and on all cores, and the faster of the two counts.

tokens_per_s counts the tokens of a turn over its whole time, writing_tokens_per_s those after the first token.
retrieval_share: `Session.known_facts` over the turn, of medians over the turns after the first.
Ours writes with weights in int8, as a persona does that nobody has set otherwise; full: the same with full weights. int8: what
int8 costs on the chat's own messages: kl (mean over tokens, in nats) and ppl_ratio to the full weights. load: the machine's, over the last minute, before and after.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers.generation.streamers import BaseStreamer

from agents.runtime.hardware import every_core, n_cores
from agents.runtime.lm import LanguageModel
from agents.runtime.prefix_cache import PrefixCache
from agents.sampling import Sampling
from bench.chats import export_of, open_chat
from bench.report import ROOT, now_and_then, print_result, processor_ticks, withheld_since
from memory import consent
from memory.episodes import list_episodes
from service.settings import PersonaSettings, Settings
from service.wiring import Services
from simulator.engines import LocalEngine
from simulator.ports import Engine, Piece
from simulator.session import Session

CHAT = ROOT / "examples" / "harbor"
LINES = (
    "hey, are you there?",
    "how was your day?",
    "where do you live these days?",
    "and how is work going?",
    "what did you do last weekend?",
    "do you still like it there?",
    "i was thinking about a trip in spring, what do you say?",
    "who else should come along?",
    "what should i bring?",
    "do you remember what you told me about your family?",
)
QUALITY_TOKENS = 400
_BEGUN = 16  # tokens that are given before quality is measured


class Listening:
    """Passes an engine on and keeps what each turn's first draw was asked."""

    def __init__(self, engine: Engine) -> None:
        self.name = engine.name
        self.engine = engine
        self.asked: list[tuple[list[dict[str, str]], Sampling]] = []

    def stream(
        self, messages: Sequence[dict[str, str]], sampling: Sampling, *, said: str = ""
    ) -> Iterator[Piece]:
        if not self.asked or self.asked[-1][0] != list(messages):
            self.asked.append((list(messages), sampling))
        return self.engine.stream(messages, sampling, said=said)

    def fits(self, messages: Sequence[dict[str, str]]) -> bool:
        return self.engine.fits(messages)

    def close(self) -> None:
        self.engine.close()


class Clocked(BaseStreamer):  # type: ignore[misc]
    """When each token of `generate` came; the prompt comes first."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        return


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.chat", description=__doc__)
    parser.add_argument("--chat", type=Path, default=CHAT, help="a folder with one export")
    parser.add_argument("--turn", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--cache", type=Path, help="a folder that keeps the converted model")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    started, ticks, load = time.perf_counter(), processor_ticks(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        if args.cache:
            (home / "cache").symlink_to(args.cache.resolve())
        with Services(Settings(home=home)) as services:
            session = opened(services, args.chat, args.seed)
            turns = talked(session, args.turn)
            texts = [one.text for one in list_episodes(services.database, services.space_id)]
            assert session.model is not None
            measured = compared(session.model, turns["asked"], args)
            quality = int8_quality(session.model, texts)
    numbers = {
        "turn": args.turn,
        "tokens": args.tokens,
        **measured,
        **{name: value for name, value in turns.items() if name != "asked"},
        "int8": quality,
        "load": [round(load, 2), round(os.getloadavg()[0], 2)],
        "withheld": round(withheld_since(ticks), 3),
    }
    print_result(numbers, seed=args.seed, started=started)
    return 0


def opened(services: Services, chat: Path, seed: int) -> Session:
    """The chat's second speaker, as the first talks with them."""
    services.bring_in(open_chat(chat), export_of(chat))
    said = Counter(episode.speaker for episode in list_episodes(services.database, services.space_id))
    partner, person = (name for name, _ in said.most_common(2))
    consent.record(
        services.database,
        services.space_id,
        services.person(person).id,
        agreed_by=person,
        clock=services.clock,
    )
    return services.open_session(person, as_person=partner, seed=seed, use_weights=False)


def talked(session: Session, n_turns: int) -> dict[str, Any]:
    """The turns, what was asked of the engine in each, and how long retrieval and the whole turn take."""
    listening = Listening(session.composer.engine)
    session.composer.engine = listening
    retrieval_s, turn_s, asked = [], [], []
    show = now_and_then("turns")
    for place in range(n_turns):
        line = LINES[place % len(LINES)]
        start = time.perf_counter()
        session.known_facts(line)
        middle = time.perf_counter()
        n_before = len(listening.asked)
        session.reply(line)
        retrieval_s.append(middle - start)
        turn_s.append(time.perf_counter() - middle)
        asked.append(listening.asked[n_before])
        show(place + 1, n_turns)
    return {
        "asked": asked,
        "retrieval_ms": round(1e3 * median(retrieval_s[1:]), 2),
        "turn_ms": round(1e3 * median(turn_s[1:]), 1),
        "retrieval_share": round(median(retrieval_s[1:]) / median(turn_s[1:]), 4),
    }


def compared(
    model: LanguageModel, asked: Sequence[tuple[list[dict[str, str]], Sampling]], args: argparse.Namespace
) -> dict[str, Any]:
    """Medians over interleaved repeats; each (first_token_s, whole_s)."""
    (before, _), (messages, sampling) = asked[-2:]
    sampling = replace(sampling, max_new_tokens=args.tokens)
    stop_ids, model.template.stop_ids = model.template.stop_ids, frozenset()
    engine = LocalEngine(model)
    sides: dict[str, list[tuple[float, float]]] = {"ours": [], "full": [], "plain_1": [], "plain_all": []}
    default, was = PersonaSettings().writes_in, model.writes_in
    show = now_and_then("repeats")
    for repeat in range(args.repeats + 1):
        for name, writes_in in (("ours", default), ("full", "full")):
            model.writes_in = writes_in
            list(engine.stream(before, replace(sampling, max_new_tokens=4)))  # as after the turn before
            sides[name].append(ours(engine, messages, sampling))
        model.writes_in = "full"
        sides["plain_1"].append(plain(model, messages, sampling))
        with every_core() if n_cores() > 1 else nullcontext():
            sides["plain_all"].append(plain(model, messages, sampling))
        show(repeat + 1, args.repeats + 1)
    model.template.stop_ids, model.writes_in = stop_ids, was
    medians = {
        name: (median(first for first, _ in runs[1:]), median(whole for _, whole in runs[1:]))
        for name, runs in sides.items()
    }  # the first round warms up
    best = min(("plain_1", "plain_all"), key=lambda name: medians[name][1])
    return {**_keys("ours", medians["ours"], args.tokens), **_keys("plain", medians[best], args.tokens)} | {
        "first_token_ratio": round(medians[best][0] / medians["ours"][0], 2),
        "tokens_per_s_ratio": round(medians[best][1] / medians["ours"][1], 2),
        "plain_threads": 1 if best == "plain_1" else n_cores(),
        "prompt_tokens": len(model.chat_ids(messages)),
        "read_tokens": engine.cache.n_read,
        "writes_in": default,
        "full": {
            name.removesuffix("_full"): value
            for name, value in _keys("full", medians["full"], args.tokens).items()
        },
    }


def _keys(side: str, measured: tuple[float, float], n_tokens: int) -> dict[str, float]:
    first, whole = measured
    return {
        f"first_token_ms_{side}": round(1e3 * first, 1),
        f"tokens_per_s_{side}": round(n_tokens / whole, 2),
        f"writing_tokens_per_s_{side}": round((n_tokens - 1) / (whole - first), 2),
    }


def ours(engine: LocalEngine, messages: Sequence[dict[str, str]], sampling: Sampling) -> tuple[float, float]:
    start = time.perf_counter()
    times = [time.perf_counter() for piece in engine.stream(messages, sampling) if piece.token is not None]
    return times[0] - start, times[-1] - start


def plain(
    model: LanguageModel, messages: Sequence[dict[str, str]], sampling: Sampling
) -> tuple[float, float]:
    clocked = Clocked()
    torch.manual_seed(sampling.seed)
    start = time.perf_counter()
    ids = torch.tensor([model.chat_ids(list(messages))])
    model.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        temperature=max(sampling.temperature, 1e-3),
        top_k=sampling.top_k or None,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
        repetition_penalty=sampling.repetition_penalty,
        min_new_tokens=sampling.max_new_tokens,
        max_new_tokens=sampling.max_new_tokens,
        streamer=clocked,
    )
    first, *_, last = clocked.times[1:]
    return first - start, last - start


def int8_quality(model: LanguageModel, texts: Sequence[str]) -> dict[str, float]:
    """What int8 changes for tokens of the chat's own messages, each written after those before it."""
    ids = model.template.encode("\n".join(texts))[: QUALITY_TOKENS + _BEGUN]
    full = torch.log_softmax(torch.from_numpy(model.logits(ids))[_BEGUN - 1 : -1], -1)
    model.writes_in = "int8"
    cache = PrefixCache(model)
    logits = [cache.read(ids[:_BEGUN]), *(cache.push(token) for token in ids[_BEGUN:-1])]
    model.writes_in = "full"
    rounded = torch.log_softmax(torch.stack(logits).float(), -1)
    targets = torch.tensor(ids[_BEGUN:])[:, None]
    lost = (full - rounded).gather(1, targets).mean()
    return {
        "kl": round(float((full.exp() * (full - rounded)).sum(-1).mean()), 5),
        "ppl_ratio": round(float(lost.exp()), 4),
        "n_tokens": len(targets),
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
