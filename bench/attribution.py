"""Which method finds the message that a reply comes from, and which one knows what leaving a message out would do.

`python -m bench.attribution --chat DIR [--split test|dev] [--steps N] [--cache DIR] [--seed 0]`.

Planted: the invented messages of attribution_planted.toml are put among the messages of the chat, at places that the seed
draws. Each explains one reply and nothing else in the history does. Half share a rare word with their reply, half share no
content word with it (checked by stems), so that a method of words can find the first half and, but by chance, none of the other.
Every method gets the reply alone and ranks the whole history: `planted_recall_at_5` is the share of replies whose message is
among its first five. `gradient` takes the SHORTLIST nearest by `activation`, as the product does, so that `shortlist_recall`
bounds it; its adapter was trained on the whole history, each message as an answer to the one before it. The replies were trained on by nobody.

Leave-one-out: for `--loo` planted replies a conversation of the planted message and seven others in random order, under the
question, is given to the plain base. The real effect of a message is how much the reply's log-probability falls without its line.
`loo_rank_correlation` is the mean over the replies of Spearman's correlation of a method's scores of the eight with these
effects; scores that are all equal count as 0. `loo_training`: the same with messages left out of a short training by gradient descent.

`query_ms`: the median time of finding the five nearest of 100,000 vectors in the file that a night writes; they are real ones
repeated with noise of a tenth of each number's standard deviation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from agents.runtime.adapter import Adapter
from agents.runtime.lm import LanguageModel
from agents.runtime.lora_gradients import Differentiator, Row, Sketches
from agents.runtime.spec import ModelSpec
from bench.chats import open_chat
from bench.report import now_and_then, print_result
from consolidation.attribution import layer_of, manifest_of, vectors_of
from consolidation.behaviour_training import training_settings
from consolidation.influence import influences
from consolidation.stage import TrainSettings, never
from consolidation.trainer.job import JobFolder, TrainJob
from consolidation.trainer.job import Row as TrainingRow
from consolidation.training_child import put_job, trained
from memory import message_vectors
from memory.embedders.minilm import MiniLM
from memory.message_vectors import MessageVectors, Nearest
from memory.ports import FloatMatrix
from memory.search.documents import Doc, Scope
from memory.search.text import Engine, Texts
from memory.search.words import content_words, words
from simulator.attribution import SHORTLIST, exchange

PLANTED = Path(__file__).with_name("attribution_planted.toml")
METHODS = ("activation", "gradient", "bm25", "dense")
K = 5
N_TOGETHER = 8  # messages of a conversation from which one is left out
N_VECTORS = 100_000
N_QUERIES = 60
_STEPS = 8  # of the short trainings
_RATE = 0.05  # of a step, as a share of the factors' length


@dataclass(frozen=True)
class Planted:
    kind: str  # words | meaning
    asked: str
    message: str
    reply: str


@dataclass
class History:
    """The chat with the planted messages in it. `place` of planted i is `places[i]`."""

    texts: list[str]
    before: list[str]
    planted: list[Planted]
    places: list[int]


def load_planted(split: str, engine: Engine) -> list[Planted]:
    """Both kinds in turn. Raises SystemExit where a pair of the kind `meaning` shares a content word."""
    read = tomllib.loads(PLANTED.read_text(encoding="utf-8"))[split]
    by_word = [
        Planted("words", group["asked"], group["message"].format(fill=fill), group["reply"].format(fill=fill))
        for group in read["words"]
        for fill in group["fills"]
    ]
    by_meaning = [Planted("meaning", *row) for row in read["meaning"]]
    stems = Texts(engine).stems
    for pair in by_meaning:
        shared = set(stems(content_words(pair.message))) & set(stems(content_words(pair.reply)))
        if shared:
            raise SystemExit(f"message and reply share {', '.join(sorted(shared))}: {pair.message!r}")
    found = []
    for place in range(max(len(by_word), len(by_meaning))):
        found += [*by_word[place : place + 1], *by_meaning[place : place + 1]]
    return found


def plant(chat: Sequence[str], planted: Sequence[Planted], seed: int) -> History:
    """The chat in its order, a planted message after messages that the seed draws."""
    dice = np.random.default_rng(seed)
    after = dice.integers(0, len(chat), len(planted))
    texts: list[str] = []
    places = [0] * len(planted)
    for i, text in enumerate(chat):
        texts.append(text)
        for number in np.flatnonzero(after == i).tolist():
            places[number] = len(texts)
            texts.append(planted[number].message)
    return History(texts, ["", *texts[:-1]], list(planted), places)


def by_words(history: History, engine: Engine) -> list[FloatMatrix]:
    """BM25 of each reply's content words, as the product's search has it; with all words it finds a fifth less."""
    with engine.writing(is_build=True) as writer:
        for number, text in enumerate(history.texts):
            writer.put("unit", Doc(number, 0, 0.0, (), [("unit", text)]))
    texts = Texts(engine)
    found = []
    for planted in history.planted:
        scores = np.zeros(len(history.texts), np.float32)
        stems = texts.stems(content_words(planted.reply) or words(planted.reply))
        numbers, values = texts.search("unit", stems, len(history.texts), Scope())
        scores[numbers] = values
        found.append(scores)
    return found


def by_sentences(history: History) -> list[FloatMatrix]:
    """Cosines of MiniLM's vectors."""
    encoder = MiniLM.load()
    rows = encoder.encode(history.texts)
    replies = encoder.encode([planted.reply for planted in history.planted])
    return list(np.asarray(replies @ rows.T, np.float32))


def index_of(history: History, model: LanguageModel) -> MessageVectors:
    """What a night would write."""
    manifest = manifest_of(model)
    vectors = vectors_of(model, history.texts, manifest.layer)
    return message_vectors.merged(manifest, None, {i: (0, vector) for i, vector in enumerate(vectors)})


def by_activation(history: History, index: MessageVectors, model: LanguageModel) -> list[FloatMatrix]:
    replies = vectors_of(model, [planted.reply for planted in history.planted], index.manifest.layer)
    rows = index.unit_ND.astype(np.float32)
    return [rows @ index.towards(reply) for reply in replies]


def train_on(history: History, spec: ModelSpec, folder: Path, steps: int | None, seed: int) -> Adapter:
    """The night's trainer on every message as an answer to the one before it."""
    rows = [
        TrainingRow(f"style:{place}", "style", tuple(_messages(before, text)))
        for place, (before, text) in enumerate(zip(history.before, history.texts, strict=True))
    ]
    settings = training_settings(TrainSettings(max_minutes=10), len(rows), steps)
    job = TrainJob(
        spec.source, str(spec.cache_dir), settings=replace(settings, kl_per_step=0), seed=seed, meta={}
    )
    put_job(JobFolder(folder), job, rows)
    trained(JobFolder(folder), now_and_then("training"), never)
    return Adapter.load(JobFolder(folder).adapter)


def _messages(before: str, text: str) -> list[dict[str, str]]:
    asked = [{"role": "user", "content": before}] if before else []
    return [*asked, {"role": "assistant", "content": text}]


@dataclass
class Gradients:
    """Of all messages and replies, under the adapter; the product takes those of a shortlist only."""

    messages: Sketches
    replies: Sketches

    def influence(self, reply: int, places: Sequence[int]) -> FloatMatrix:
        chosen = {name: part[list(places)] for name, part in self.messages.items()}
        return influences({name: part[reply : reply + 1] for name, part in self.replies.items()}, chosen)


def rows_of(history: History, model: LanguageModel) -> tuple[list[Row], list[Row]]:
    """Messages and replies as `why-said` differentiates them."""
    messages = [
        exchange(model, before, text) for before, text in zip(history.before, history.texts, strict=True)
    ]
    return messages, [exchange(model, planted.asked, planted.reply) for planted in history.planted]


def gradients_of(history: History, model: LanguageModel, adapter: Adapter) -> Gradients:
    worn = [(adapter, 1.0)]
    model.apply(worn)
    differentiator = Differentiator(model, worn)
    messages, replies = rows_of(history, model)
    found = Gradients(
        differentiator.gradients(messages, now_and_then("gradients")), differentiator.gradients(replies)
    )
    model.reset()
    return found


def gradient_seconds(history: History, model: LanguageModel, adapter: Adapter) -> float:
    """What one answer by gradients takes, its shortlist given."""
    messages, replies = rows_of(history, model)
    chosen = np.random.default_rng(0).permutation(len(messages))[:SHORTLIST]
    model.apply([(adapter, 1.0)])
    started = time.perf_counter()
    differentiator = Differentiator(model, [(adapter, 1.0)])
    influences(differentiator.gradients(replies[:1]), differentiator.gradients([messages[i] for i in chosen]))
    seconds = time.perf_counter() - started
    model.reset()
    return seconds


def by_gradient(gradients: Gradients, activation: Sequence[FloatMatrix]) -> list[FloatMatrix]:
    """Influence of the nearest by activation; the others are not compared."""
    found = []
    for reply, near in enumerate(activation):
        shortlist = np.argsort(-near, kind="stable")[:SHORTLIST]
        scores = np.full(len(near), -np.inf, np.float32)
        scores[shortlist] = gradients.influence(reply, shortlist.tolist())
        found.append(scores)
    return found


def recall(history: History, scores: Sequence[FloatMatrix]) -> dict[str, Any]:
    """Recall in the first five, over all and by kind, and the mean reciprocal rank. What has no score is not found."""
    ranks = []
    for place, each in zip(history.places, scores, strict=True):
        rank = 1 + int((each > each[place]).sum()) + int((each[:place] == each[place]).sum())
        ranks.append(rank if np.isfinite(each[place]) and each[place] != 0 else 10**9)
    kinds = {planted.kind for planted in history.planted}
    by_kind = {
        kind: fmean(rank <= K for rank, one in zip(ranks, history.planted, strict=True) if one.kind == kind)
        for kind in sorted(kinds)
    }
    return {
        "planted_recall_at_5": fmean(rank <= K for rank in ranks),
        "by_kind": by_kind,
        "mrr": fmean(1 / rank for rank in ranks),
    }


def conversations(history: History, n: int, seed: int) -> list[list[int]]:
    """Per reply the places of its message and of seven others, in random order."""
    dice = np.random.default_rng(seed + 1)
    planted = set(history.places)
    others = [place for place in range(len(history.texts)) if place not in planted]
    found = []
    for place in history.places[:n]:
        chosen = [place, *dice.choice(others, N_TOGETHER - 1, replace=False).tolist()]
        found.append([chosen[i] for i in dice.permutation(N_TOGETHER)])
    return found


def effects_in_context(
    history: History, model: LanguageModel, together: Sequence[Sequence[int]]
) -> list[FloatMatrix]:
    """How much the reply's log-probability falls when a message's line is left out of the conversation, (8,) each."""
    found = []
    progress = now_and_then("left out of context")
    for reply, places in enumerate(together):
        planted = history.planted[reply]
        lines = [history.texts[place].replace("\n", " ") for place in places]
        variants = [lines] + [[*lines[:i], *lines[i + 1 :]] for i in range(len(lines))]
        rows = [
            model.template.supervised(_messages("\n".join([*kept, planted.asked]), planted.reply))
            for kept in variants
        ]
        whole, *without = _log_probabilities(model, rows)
        found.append(np.array([whole - one for one in without], np.float32))
        progress(reply + 1, len(together))
    return found


def _log_probabilities(model: LanguageModel, rows: Sequence[Row]) -> list[float]:
    scored = model.rows_logprobs([ids for ids, _ in rows])
    return [float(each[np.array(counted[1:])].sum()) for each, (_, counted) in zip(scored, rows, strict=True)]


def effects_in_training(
    history: History, model: LanguageModel, adapter: Adapter, together: Sequence[Sequence[int]]
) -> list[FloatMatrix]:
    """The same for messages that are left out of a short training on top of the adapter."""
    messages, replies = rows_of(history, model)
    progress = now_and_then("left out of training")
    found = []
    for reply, places in enumerate(together):
        rows = [messages[place] for place in places]
        likely = []
        for left_out in range(-1, len(rows)):
            kept = [row for i, row in enumerate(rows) if i != left_out]
            learnt_from(model, adapter, kept)
            likely += _log_probabilities(model, [replies[reply]])
        found.append(np.array([likely[0] - one for one in likely[1:]], np.float32))
        progress(reply + 1, len(together))
    model.reset()
    return found


def learnt_from(model: LanguageModel, adapter: Adapter, rows: Sequence[Row]) -> None:
    """The model wears the adapter after some steps of gradient descent on the mean loss of the rows."""
    for _ in range(_STEPS):
        model.apply([(adapter, 1.0)])
        found = Differentiator(model, [(adapter, 1.0)], width=1 << 30).gradients(rows)
        steps = {}
        for name, (a, b) in adapter.modules.items():
            mean = (
                found[name].sum(axis=0) / N_TOGETHER
            )  # one row fewer is a shorter step, not a longer one each
            steps[name] = (mean[b.size :].reshape(a.shape), mean[: b.size].reshape(b.shape))
        length = np.sqrt(sum(float(np.square(part).sum()) for both in steps.values() for part in both))
        size = np.sqrt(
            sum(float(np.square(part).sum()) for both in adapter.modules.values() for part in both)
        )
        rate = np.float32(_RATE * size / max(length, 1e-12) / _STEPS)
        modules = {
            name: (a - rate * steps[name][0], b - rate * steps[name][1])
            for name, (a, b) in adapter.modules.items()
        }
        adapter = replace(adapter, modules=modules)
    model.apply([(adapter, 1.0)])


def correlation(effects: Sequence[FloatMatrix], scores: Sequence[FloatMatrix]) -> float:
    """The mean of Spearman's correlations; 0 where all scores are equal."""
    each = [
        0.0 if np.ptp(score) == 0 or np.ptp(effect) == 0 else float(spearmanr(effect, score).statistic)
        for effect, score in zip(effects, scores, strict=True)
    ]
    return fmean(each)


def query_times(index: MessageVectors, home: Path, seed: int) -> dict[str, float]:
    """Median and 95th percentile of a query in milliseconds, its processor time, and how long opening takes."""
    dice = np.random.default_rng(seed)
    raw = index.raw()
    chosen = dice.integers(0, len(raw), N_VECTORS)
    noise = dice.standard_normal((N_VECTORS, raw.shape[1]), np.float32)
    noise *= 0.1 * raw.std(axis=0)
    ids = np.arange(N_VECTORS, dtype=np.uint64)
    message_vectors.write(
        home / "many.safetensors", message_vectors.compared(index.manifest, ids, ids, raw[chosen] + noise)
    )
    del noise
    started = time.perf_counter()
    found = message_vectors.read(home / "many.safetensors")
    assert found is not None
    nearest = Nearest(found)
    open_s = time.perf_counter() - started
    times, worked = [], []
    for i in dice.integers(0, len(raw), N_QUERIES):
        started, processor = time.perf_counter(), time.process_time()
        nearest.best(raw[i], 8 * K)
        times.append(1000 * (time.perf_counter() - started))
        worked.append(1000 * (time.process_time() - processor))
    return {
        "query_ms": round(median(times), 2),
        "query_processor_ms": round(median(worked), 2),
        "query_ms_p95": round(float(np.quantile(times, 0.95)), 2),
        "open_s": round(open_s, 2),
    }


def main(argv: Sequence[str] | None = None) -> int:
    started = time.perf_counter()
    parser = argparse.ArgumentParser(prog="python -m bench.attribution", description=__doc__)
    parser.add_argument("--chat", type=Path, required=True)
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--steps", type=int, help="of training; default: by the number of messages")
    parser.add_argument("--loo", type=int, default=50, help="replies with messages left out of context")
    parser.add_argument(
        "--loo-training", type=int, default=6, help="replies with messages left out of training"
    )
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        numbers = measure(args, Path(folder))
    print_result(numbers, seed=args.seed, started=started)
    return 0


def measure(args: argparse.Namespace, home: Path) -> dict[str, Any]:
    engine = Engine(home / "text", is_new=True)
    chat = [message.text for message in open_chat(args.chat).messages() if _is_text(message)]
    history = plant(chat, load_planted(args.split, engine), args.seed)
    spec = ModelSpec(args.cache or home / "cache", args.model)
    model = LanguageModel.load(spec)
    index = index_of(history, model)
    say("activations of %d messages taken", len(history.texts))
    numbers: dict[str, Any] = query_times(index, home, args.seed)
    say("%s", numbers)
    scores = {"activation": by_activation(history, index, model)}
    scores["bm25"] = by_words(history, engine)
    scores["dense"] = by_sentences(history)
    for method, found in scores.items():
        say("%s %s", method, recall(history, found))
    adapter = train_on(history, spec, home / "training", args.steps, args.seed)
    gradients = gradients_of(history, model, adapter)
    scores["gradient"] = by_gradient(gradients, scores["activation"])
    together = conversations(history, args.loo, args.seed)
    effects = effects_in_context(history, model, together)
    in_training = effects_in_training(history, model, adapter, together[: args.loo_training])
    for method in METHODS:
        of_eight = [
            gradients.influence(reply, places) if method == "gradient" else scores[method][reply][places]
            for reply, places in enumerate(together)
        ]
        numbers[method] = {
            **recall(history, scores[method]),
            "loo_rank_correlation": correlation(effects, of_eight),
            "loo_training": correlation(in_training, of_eight[: len(in_training)]) if in_training else None,
        }
        say("%s %s", method, numbers[method])
    return numbers | {
        "planted": len(history.planted),
        "messages": len(history.texts),
        "split": args.split,
        "layer": layer_of(model.n_layers),
        "shortlist": SHORTLIST,
        "shortlist_recall": fmean(
            place in np.argsort(-near, kind="stable")[:SHORTLIST]
            for place, near in zip(history.places, scores["activation"], strict=True)
        ),
        "gradient_s": round(gradient_seconds(history, model, adapter), 2),
        "loo": len(effects),
        "loo_in_training": len(in_training),
        "vectors": N_VECTORS,
    }


def _is_text(message: Any) -> bool:
    return getattr(message, "kind", "") == "text" and bool(message.text.strip())


def say(what: str, *values: object) -> None:
    print(what % values, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
