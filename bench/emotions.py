"""How well emotions are found: `python -m bench.emotions --train FILE --test FILE [--chat DIR] [--retrain]`.

Measures F1 of the labels on the test file: of the shipped head where the training file is the one that it was trained on
(its hash is in the head's manifest), else, and with --retrain, of a head that is trained here (a quarter of an hour for
GoEmotions). `parameters` counts the whole network with its encoder, `shipped_parameters` what the head adds to it;
`most_frequent` is what naming the commonest label always would get. With a chat folder the shipped tagger (head,
lexicon, chat layer) is held against the chat's gold tags, over messages that have gold tags and the 22 concepts that gold uses:

harbor_agreement: share of those messages whose strongest tag is among their gold tags (no tag counts as wrong).
chat.f1_at_5: micro F1 over (message, concept) pairs of intensity 5 or more on each side.
chat.intensity_mae: mean distance of intensities where both name the concept.
chat.very_strong, chat.very_strong_right: our tags of 8 and more, and how many of them gold has at 7 or more.
chat.strong_without_gold: share of the messages without gold that get a tag of 5 or more.
chat.always_most_frequent: harbor_agreement of naming the commonest gold concept everywhere.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.emotion_head import Head, Reader
from agents.emotion_scores import scores
from agents.emotion_training import Labelled, TrainingSettings, read_labelled, read_labels, train_head
from agents.emotions import HEAD_PATH, EmotionHead
from agents.encoder_changes import sha256
from bench.chats import open_chat
from bench.report import print_result
from memory.embedders.minilm import MiniLM
from memory.feelings import CONCEPTS
from memory.reading import said_before

STRONG, VERY_STRONG = 5.0, 8.0
Tags = Mapping[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.emotions", description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--labels", type=Path, help="default: labels.txt beside the training file")
    parser.add_argument("--chat", type=Path)
    parser.add_argument(
        "--retrain", action="store_true", help="train a head, also where the shipped one fits"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    started = time.perf_counter()
    labels, encoder = read_labels(args.train, args.labels), MiniLM.load()
    head = None if args.retrain else shipped(args.train, labels)
    is_trained_here = head is None
    if head is None:
        settings = TrainingSettings(seed=args.seed)
        head = train_head(read_labelled(args.train, len(labels)), labels, encoder, settings)
    numbers = measure(Reader(head, encoder), read_labelled(args.test, len(labels)))
    numbers["is_trained_here"] = is_trained_here
    chat = against_chat(EmotionHead.load(encoder), args.chat) if args.chat else None
    numbers["harbor_agreement"] = chat["agreement"] if chat else None
    numbers["chat"] = chat
    print_result(numbers, seed=args.seed, started=started)
    return 0


def shipped(train: Path, labels: Sequence[str]) -> Head | None:
    """The shipped head, if it was trained on that file with those labels."""
    head = Head.load(HEAD_PATH)
    fits = head.manifest.get("train_sha256") == sha256(train) and head.labels == tuple(labels)
    return head if fits else None


def measure(reader: Reader, test: Labelled) -> dict[str, Any]:
    begun = time.perf_counter()
    predicted = reader.probabilities(test.texts) >= reader.head.thresholds
    seconds = time.perf_counter() - begun
    return {
        **scores(predicted, test.targets_NK, reader.head.labels),
        "texts_per_s": round(len(test.texts) / seconds, 1),
        "parameters": reader.n_parameters,
        "shipped_parameters": reader.head.n_parameters,
        "most_frequent": most_frequent(test),
    }


def most_frequent(test: Labelled) -> dict[str, float]:
    """Macro and micro F1 of naming the commonest label for every text."""
    right = float(test.targets_NK.sum(axis=0).max())
    f1 = 2 * right / (len(test.texts) + right)
    micro = 2 * right / (len(test.texts) + float(test.targets_NK.sum()))
    return {"macro_f1": round(f1 / test.targets_NK.shape[1], 4), "micro_f1": round(micro, 4)}


def against_chat(tagger: EmotionHead, folder: Path) -> dict[str, Any]:
    """The tagger against `emotions.json` of a chat folder, every message after what was said before it."""
    messages = list(open_chat(folder).messages())
    gold: dict[int, Tags] = {
        row["message"]: row["emotions"]
        for row in json.loads((folder / "emotions.json").read_text(encoding="utf-8"))
    }
    before = said_before([(message.speaker, message.time, message.text) for message in messages])
    tagged = tagger.tag_after([message.text for message in messages], before)
    ours = [{c: v for c, v in tags.items() if c in CONCEPTS} for tags in tagged]
    others = [tags for number, tags in enumerate(ours) if number not in gold]
    return {
        **compare([ours[number] for number in gold], list(gold.values())),
        "strong_without_gold": round(sum(bool(_strong(tags)) for tags in others) / max(len(others), 1), 4),
    }


def compare(ours: Sequence[Tags], gold: Sequence[Tags]) -> dict[str, Any]:
    agreed = sum(
        bool(tags) and max(tags, key=tags.__getitem__) in right
        for tags, right in zip(ours, gold, strict=True)
    )
    commonest = Counter(concept for right in gold for concept in right).most_common(1)[0]
    pairs = [(_strong(tags), _strong(right)) for tags, right in zip(ours, gold, strict=True)]
    both = sum(len(a & b) for a, b in pairs)
    either = sum(len(a) + len(b) for a, b in pairs)
    matched = [
        (tags[concept], right[concept])
        for tags, right in zip(ours, gold, strict=True)
        for concept in tags.keys() & right.keys()
    ]
    return {
        "messages": len(gold),
        "agreement": round(agreed / len(gold), 4),
        "f1_at_5": round(2 * both / max(either, 1), 4),
        "precision_at_5": round(both / max(sum(len(a) for a, _ in pairs), 1), 4),
        "recall_at_5": round(both / max(sum(len(b) for _, b in pairs), 1), 4),
        "intensity_mae": round(sum(abs(a - b) for a, b in matched) / max(len(matched), 1), 3),
        "very_strong": sum(value >= VERY_STRONG for tags in ours for value in tags.values()),
        "very_strong_right": sum(a >= VERY_STRONG and b >= VERY_STRONG - 1 for a, b in matched),
        "untagged": sum(not tags for tags in ours),
        "always_most_frequent": round(commonest[1] / len(gold), 4),
    }


def _strong(tags: Tags) -> set[str]:
    return {concept for concept, intensity in tags.items() if intensity >= STRONG}


if __name__ == "__main__":
    raise SystemExit(main())
