"""Our trainer against a textbook one (peft, float32, AdamW, whole rows padded) on the same ids for the same time.

`python -m bench.trainer [--seconds 45] [--facts 40] [--seed 0]`. Tokens are those of the rows themselves, counted
alike on both sides, without padding; ours computes a beginning that rows share once, the textbook each time, and both count
it for each row. Ours also computes KL rows; their tokens count. What ours computes once before its first step, the frozen lower blocks of
every row among it (`prepare_s`), is part of its time in `ours_tokens_per_s` and `ratio`; `ours_tokens_per_s_in_steps` and
`ratio_in_steps` leave it out, as a long training nearly does. The loss is the mean over answer tokens of the same sample
of rows after training.

`matmul_peak_share` counts the matrix products that a step really makes (2 per multiply-add: frozen weights forward and to the
input, LoRA both ways, words twice per supervised position), tokens that rows share counted once; attention's own products and
all else count nothing. `matmul_peak_share_of_rows` counts them as if every token of every row were computed, as the token
rate does. The peak is the best of several product shapes in the training's type, results to memory that is kept, one thread
per core, all cores at once, measured before the runs. `profile`: shares of the processor time of a step on one thread.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model

from agents.runtime.decoding import pad_right
from agents.runtime.hardware import in_parallel
from agents.runtime.lm import LanguageModel
from agents.runtime.spec import ModelSpec
from bench.report import print_result
from bench.trainer_profile import profile
from consolidation.stage import TrainSettings
from consolidation.trainer.backends import make_engine
from consolidation.trainer.curriculum import Curriculum
from consolidation.trainer.engine import Engine, Text
from consolidation.trainer.handwritten import HandwrittenEngine, used_ids
from consolidation.trainer.job import Row
from consolidation.trainer.layout import deal
from consolidation.trainer.optimizer import Adam
from consolidation.trainer.replay import cache_file, general_texts
from consolidation.trainer.texts import make_texts

FIRST = [
    "Maya",
    "Tomas",
    "Ines",
    "Viktor",
    "Leila",
    "Bruno",
    "Greta",
    "Noor",
    "Dario",
    "Selma",
    "Kofi",
    "Astrid",
]
LAST = [
    "Okafor",
    "Lindqvist",
    "Carvalho",
    "Petrov",
    "Haddad",
    "Moretti",
    "Hansen",
    "Rahman",
    "Silva",
    "Novak",
    "Mensah",
    "Berg",
]
ATTRIBUTES = {
    "lives in": (
        "Lisbon Bergen Kyoto Turin Accra Quito Leeds Malmo Izmir Perth Graz Cusco",
        "Where does {s} live?",
    ),
    "works as": (
        "plumber nurse baker pilot tailor welder chef painter farmer judge clerk guide",
        "What does {s} do?",
    ),
    "plays the": (
        "cello drums harp oboe banjo flute tuba piano viola horn lute trumpet",
        "What does {s} play?",
    ),
    "has a dog called": (
        "Moss Tango Ziggy Waffle Kiwi Clover Pixel Socks Biscuit Domino Pepper Bo",
        "Who is {s}'s dog?",
    ),
}
FRAMES = (
    "{q}", "Tell me: {q}", "A quick question. {q}", "Do you know this? {q}", "{q} I forgot.", "Remind me. {q}",
    "Hey, {q}", "One more thing: {q}", "{q} Just curious.", "Can you say? {q}", "Somebody asked me: {q}", "So, {q}",
)  # fmt: skip
PEAK_SHAPES = ((512, 576, 3072), (512, 3072, 576), (1024, 576, 1536), (1024, 1024, 1024))  # m, k, n
PLAIN_BATCH = 8
PLAIN_LR = 2e-4


def invented_rows(n_facts: int, seed: int) -> list[Row]:
    """Twelve wordings each of `n_facts` invented facts, and refusals for people nobody knows."""
    rng = random.Random(seed)
    people = [f"{first} {last}" for first, last in zip(FIRST, rng.sample(LAST, len(LAST)), strict=True)]
    facts = [
        (question.format(s=person), f"{person} {verb} {value}.")
        for verb, (values, question) in ATTRIBUTES.items()
        for person, value in zip(people, rng.sample(values.split(), len(people)), strict=True)
    ]
    facts = rng.sample(facts, min(n_facts, len(facts)))
    rows = [
        Row(f"f{i}.{j}", "fact", _turn(frame.format(q=question), answer), f"f{i}")
        for i, (question, answer) in enumerate(facts)
        for j, frame in enumerate(FRAMES)
    ]
    strangers = [f"{first} {last}" for first in FIRST for last in LAST if f"{first} {last}" not in people]
    for i, name in enumerate(rng.sample(strangers, 60)):
        question = rng.choice([question for _, question in ATTRIBUTES.values()]).format(s=name)
        rows.append(Row(f"n{i}", "negative", _turn(question, f"I don't know {name}.")))
    return rows


def _turn(question: str, answer: str) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": question}, {"role": "assistant", "content": answer})


def peak_flops(dtype: torch.dtype, workers: int, seconds: float = 1.0) -> float:
    """Floating-point operations per second of the best product shape, all workers at once."""
    return max(_product_flops(shape, dtype, workers, seconds / len(PEAK_SHAPES)) for shape in PEAK_SHAPES)


def _product_flops(shape: tuple[int, int, int], dtype: torch.dtype, workers: int, seconds: float) -> float:
    m, k, n = shape

    def work(_: int) -> float:
        a, b = torch.randn(m, k).to(dtype), torch.randn(n, k).to(dtype)
        out = torch.empty(m, n, dtype=dtype)
        torch.mm(a, b.t(), out=out)
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            torch.mm(a, b.t(), out=out)
            count += 1
        return 2 * m * k * n * count / (time.perf_counter() - started)

    return sum(in_parallel(work, range(workers), workers))


def step_flops(engine: HandwrittenEngine, head: torch.Tensor, texts: Sequence[Text]) -> tuple[float, float]:
    """Operations of the matrix products of one step: those made, and those that whole rows would take."""
    per_token = 0.0
    for group in engine.factors.groups:
        frozen = group.n_in * sum(group.n_outs)
        lora = engine.factors.rank * (len(group.names) * group.n_in + sum(group.n_outs))
        per_token += 2 * 2 * frozen + 3 * 2 * lora
    positions = [len(text.positions) for text in texts]
    made = sum(hand.n_tokens for hand in deal([used_ids(text) for text in texts], engine.workers, positions))
    words = 2 * 2 * sum(positions) * head.numel()
    return made * per_token + words, sum(len(text.ids) for text in texts) * per_token + words


def train_ours(
    engine: HandwrittenEngine, texts: list[Text], head: torch.Tensor, seconds: float, seed: int
) -> dict[str, float]:
    settings = TrainSettings()
    engine.factors.initialise(seed)
    started = time.perf_counter()
    engine.prepare(texts)
    prepared = time.perf_counter() - started
    curriculum, adam = Curriculum(texts, settings, seed), Adam.zeros_like(engine.factors.flat)
    tokens = flops = of_rows = 0.0
    step, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        chosen = curriculum.choose(step)
        result = engine.step(chosen, settings.kl_weight)
        adam.update(
            engine.factors.flat, engine.gradient, settings.lr * min(1.0, (step + 1) / settings.warmup_steps)
        )
        curriculum.record(chosen, result.losses)
        tokens += result.n_tokens
        made, whole = step_flops(engine, head, chosen)
        flops, of_rows = flops + made, of_rows + whole
        step += 1
    spent = time.perf_counter() - started
    return {
        "tokens_per_s": tokens / (prepared + spent),
        "tokens_per_s_in_steps": tokens / spent,
        "flops": flops / spent,
        "flops_of_rows": of_rows / spent,
        "steps": step,
        "prepare_s": prepared,
    }


def train_plain(model: Any, texts: Sequence[Text], seconds: float, seed: int) -> dict[str, float]:
    """peft on every linear module of every block, loss on all tokens, shuffled batches padded to their longest."""
    config = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    wrapped = get_peft_model(model, config)
    wrapped.train()
    parameters = [parameter for parameter in wrapped.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=PLAIN_LR)
    rng, tokens, steps, started = random.Random(seed), 0, 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        batch = rng.sample(list(texts), PLAIN_BATCH)
        ids, mask = pad_right([text.ids for text in batch], 0)
        labels = ids.masked_fill(mask == 0, -100)
        optimizer.zero_grad()
        wrapped(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        optimizer.step()
        tokens += int(mask.sum())
        steps += 1
    spent = time.perf_counter() - started
    wrapped.eval()
    return {"tokens_per_s": tokens / spent, "steps": steps}


def answer_loss(language_model: LanguageModel, texts: Sequence[Text]) -> float:
    losses = [-language_model.token_logprobs(text.ids)[list(text.positions)].mean() for text in texts]
    return float(np.mean(losses))


def _replay(language_model: LanguageModel, engine: Engine, cache_dir: Path) -> list[Text]:
    file = cache_file(language_model, engine.name, cache_dir)
    return general_texts(language_model, engine, file, "bench", TrainSettings().kl_texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=45.0, help="training time of each side")
    parser.add_argument("--facts", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="folder that keeps the dequantised model between runs")
    arguments = parser.parse_args()
    started = time.perf_counter()
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as temporary:
        cache_dir = arguments.cache or Path(temporary)
        ours = LanguageModel.load(ModelSpec(cache_dir=cache_dir, device="cpu"))
        engine = make_engine(ours, TrainSettings())
        assert isinstance(engine, HandwrittenEngine)
        texts = make_texts(invented_rows(arguments.facts, arguments.seed), ours.template)
        sample = random.Random(arguments.seed).sample([text for text in texts if text.kind == "answer"], 64)
        head = ours.model.get_output_embeddings().weight
        peak = peak_flops(ours.dtype, ours.workers)
        loss_before = answer_loss(ours, sample)
        rows = [*texts, *_replay(ours, engine, cache_dir)]
        done = train_ours(engine, rows, head, arguments.seconds, arguments.seed)
        parts = profile(engine, Curriculum(rows, TrainSettings(), arguments.seed).choose(0))
        ours.apply([(engine.factors.to_adapter(ours.base_hash, {}), 1.0)])
        loss_ours = answer_loss(ours, sample)
        plain = LanguageModel.load(ModelSpec(cache_dir=cache_dir, dtype="float32", device="cpu"))
        torch.set_num_threads(threads)
        textbook = train_plain(plain.model, texts, arguments.seconds, arguments.seed)
        loss_plain = answer_loss(plain, sample)
    print_result(
        {
            "ours_tokens_per_s": round(done["tokens_per_s"], 1),
            "ours_tokens_per_s_in_steps": round(done["tokens_per_s_in_steps"], 1),
            "plain_tokens_per_s": round(textbook["tokens_per_s"], 1),
            "ratio": round(done["tokens_per_s"] / textbook["tokens_per_s"], 2),
            "ratio_in_steps": round(done["tokens_per_s_in_steps"] / textbook["tokens_per_s"], 2),
            "matmul_peak_share": round(done["flops"] / peak, 4),
            "matmul_peak_share_of_rows": round(done["flops_of_rows"] / peak, 4),
            "profile": {name: round(share, 4) for name, share in parts.items()},
            "loss_ours": round(loss_ours, 4),
            "loss_plain": round(loss_plain, 4),
            "loss_before": round(loss_before, 4),
            "steps_ours": done["steps"],
            "steps_plain": textbook["steps"],
            "prepare_s": round(done["prepare_s"], 2),
            "peak_gflops": round(peak / 1e9, 1),
            "mean_row_tokens": round(fmean(len(text.ids) for text in texts), 1),
            "dtype": str(ours.dtype).removeprefix("torch."),
        },
        seed=arguments.seed,
        started=started,
    )


if __name__ == "__main__":
    main()
