"""Fit the layer for chats: `python -m agents.emotion_chat_training --chat EXPORT GOLD [ME] --chat ...`.

GOLD is a list of {message, emotions: {concept: 0-10}} by the number of the message in the export; ME is the name of who
made an export that calls them "Me". Logistic regression by Adam, with a ridge; messages without gold count for
half, as such with nothing felt. Every chat is left out once to measure; what ships is fitted on all. A minute.
Letters of shapes as in `emotion_chats.py`.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.emotion_chats import ChatLayer, Said
from agents.emotion_head import Head, Reader, sigmoid
from agents.emotion_lexicon import Lexicon
from agents.emotions import CHATS_PATH, HEAD_PATH, look
from agents.encoder_changes import sha256
from memory.embedders.minilm import MiniLM
from memory.feelings import CONCEPTS
from memory.importing import ImportOptions, open_export
from memory.ports import FloatMatrix
from memory.reading import said_before
from memory.types import Message

logger = logging.getLogger(__name__)
RIDGE = 40.0
UNLABELLED = 0.5  # what a message without gold counts for
STEPS = 200
LR = 0.05


@dataclass(frozen=True, slots=True)
class Chat:
    """Messages in the order of the export; `gold` by their numbers."""

    name: str
    messages: list[Message]
    gold: dict[int, dict[str, float]]

    def before(self) -> list[str]:
        return said_before([(m.speaker, m.time, m.text) for m in self.messages])


@dataclass(frozen=True, slots=True)
class Rows:
    """One chat as the layer sees it, with intensities in gold and what each message counts for."""

    said: Said
    gold_NC: FloatMatrix
    weight_N: FloatMatrix


def read_chat(export: Path, gold: Path, me: str = "Me") -> Chat:
    messages = list(open_export(export, ImportOptions(me=me)).messages())
    rows = json.loads(gold.read_text(encoding="utf-8"))
    return Chat(export.parent.name, messages, {row["message"]: row["emotions"] for row in rows})


def rows_of(chat: Chat, reader: Reader, lexicon: Lexicon) -> Rows:
    gold_NC = np.zeros((len(chat.messages), len(CONCEPTS)), np.float32)
    weight_N = np.full(len(chat.messages), UNLABELLED, np.float32)
    for number, felt in chat.gold.items():
        weight_N[number] = 1
        for concept, intensity in felt.items():
            gold_NC[number, CONCEPTS.index(concept)] = intensity
    weight_N[[not message.text.strip() for message in chat.messages]] = 0
    return Rows(look(reader, lexicon, [m.text for m in chat.messages], chat.before()), gold_NC, weight_N)


def fit(rows: Sequence[Rows]) -> ChatLayer:
    """The same rows give the same layer."""
    features_NF = np.concatenate([row.said.features() for row in rows])
    gold_NC = np.concatenate([row.gold_NC for row in rows])
    weight_N = np.concatenate([row.weight_N for row in rows])
    weights, bias = _logistic(features_NF, gold_NC > 0, weight_N)
    return ChatLayer(weights, bias, _intensity(rows), {})


def _logistic(
    features_NF: FloatMatrix, is_felt_NC: npt.NDArray[np.bool_], weight_N: FloatMatrix
) -> tuple[FloatMatrix, FloatMatrix]:
    """Weights and bias, by Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1) at a falling rate."""
    centre_F = np.average(features_NF, axis=0, weights=weight_N).astype(np.float32)
    x_NF, felt_NC = features_NF - centre_F, is_felt_NC.astype(np.float32)
    n_felt_C = (felt_NC * weight_N[:, None]).sum(axis=0)
    rest = np.log(np.maximum(n_felt_C, 0.5) / (weight_N.sum() - n_felt_C))
    found = np.concatenate([np.zeros((x_NF.shape[1], len(CONCEPTS))), rest[None]]).astype(np.float32)
    first, second = np.zeros_like(found), np.zeros_like(found)
    for step in range(1, STEPS + 1):
        error_NC = (sigmoid(x_NF @ found[:-1] + found[-1]) - felt_NC) * weight_N[:, None]
        gradient = np.concatenate([x_NF.T @ error_NC + RIDGE * found[:-1], error_NC.sum(axis=0)[None]])
        first += 0.1 * (gradient - first)
        second += 0.001 * (gradient * gradient - second)
        update = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        found -= np.float32(LR * (1 - step / (STEPS + 1))) * update
    return found[:-1], found[-1] - centre_F @ found[:-1]


def _intensity(rows: Sequence[Rows]) -> FloatMatrix:
    """Least squares over what is in gold: at rest, by loudness, by the lexicon's level."""
    knowns, wanted = [], []
    for row in rows:
        levels_NC = row.said.levels()
        for n, c in zip(*np.nonzero(row.gold_NC), strict=True):
            knowns.append((1.0, row.said.loudness[n], levels_NC[n, c]))
            wanted.append(row.gold_NC[n, c])
    found: FloatMatrix = np.linalg.lstsq(np.array(knowns), np.array(wanted), rcond=None)[0]
    return found.astype(np.float32)


def agreement(layer: ChatLayer, rows: Rows) -> float:
    """Share of the messages with gold whose likeliest concept is in it."""
    likeliest = layer.probabilities(rows.said).argmax(axis=1)
    labelled = np.flatnonzero(rows.gold_NC.any(axis=1))
    return round(float((rows.gold_NC[labelled, likeliest[labelled]] > 0).mean()), 4)


def left_out(chats: Sequence[Chat], rows: Sequence[Rows]) -> dict[str, float]:
    """Agreement with each chat of a layer that was fitted on the others."""
    return {
        chat.name: agreement(fit([other for other in rows if other is not row]), row)
        for chat, row in zip(chats, rows, strict=True)
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m agents.emotion_chat_training", description=__doc__)
    parser.add_argument("--chat", nargs="+", action="append", required=True, metavar="FILE")
    parser.add_argument("--head", type=Path, default=HEAD_PATH)
    parser.add_argument("--out", type=Path, default=CHATS_PATH)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    chats = [read_chat(Path(given[0]), Path(given[1]), *given[2:3]) for given in args.chat]
    reader, lexicon = Reader(Head.load(args.head), MiniLM.load()), Lexicon.load()
    rows = [rows_of(chat, reader, lexicon) for chat in chats]
    layer = fit(rows)
    told: dict[str, Any] = {"head_sha256": sha256(args.head), "left_out_agreement": left_out(chats, rows)}
    told["chats"] = {chat.name: len(chat.gold) for chat in chats}
    told["settings"] = {"ridge": RIDGE, "unlabelled": UNLABELLED, "steps": STEPS, "lr": LR}
    ChatLayer(layer.weights, layer.bias, layer.intensity, told).save(args.out)
    print(json.dumps(told["left_out_agreement"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
