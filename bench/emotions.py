"""How well emotions are found: `python -m bench.emotions --train FILE --test FILE [--chat DIR]`.

Trains a head on the training file and measures F1 on the test file, beside two baselines of the same data: the
head on the sentence vectors alone, and naming the most frequent label always. With a chat folder the whole
tagger (head and lexicon) is held against the chat's gold tags, over messages that have gold tags and over the 22
concepts that gold uses:

harbor_agreement: share of those messages whose strongest tag is among their gold tags (no tag counts as wrong).
chat.f1_at_5: micro F1 over (message, concept) pairs of intensity 5 or more on each side.
chat.intensity_mae: mean distance of intensities where both name the concept.
chat.always_most_frequent: harbor_agreement of naming the commonest gold concept everywhere.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.emotion_lexicon import Lexicon
from agents.emotion_training import HeadSettings, Labelled, measure, read_labelled, read_labels, train_head
from agents.emotions import CONCEPTS, EmotionHead
from bench.report import print_result
from memory.embedders.minilm import MiniLM
from memory.importing import open_export

STRONG = 5.0
GOLD_FILES = ("facts", "not_facts", "emotions", "constitution", "questions", "exam")
Tags = Mapping[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.emotions", description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--labels", type=Path, help="default: labels.txt beside the training file")
    parser.add_argument("--chat", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    started = time.perf_counter()
    labels = read_labels(args.labels or args.train.with_name("labels.txt"))
    labels = labels if "neutral" in labels else (*labels, "neutral")
    embedder = MiniLM.load()
    train = read_labelled(args.train, len(labels), embedder)
    test = read_labelled(args.test, len(labels), embedder)
    print(f"embedded {len(train.texts) + len(test.texts)} texts", flush=True)
    settings = HeadSettings(seed=args.seed)
    head = train_head(train, labels, embedder.name, settings)
    numbers: dict[str, Any] = {**measure(head, test), "parameters": head.n_parameters}
    numbers["baselines"] = baselines(train, test, labels, embedder.name, settings)
    chat = against_chat(EmotionHead(head, Lexicon.load(), embedder), args.chat) if args.chat else None
    numbers["harbor_agreement"] = chat["agreement"] if chat else None
    numbers["chat"] = chat
    print_result(numbers, seed=args.seed, started=started)
    return 0


def baselines(
    train: Labelled, test: Labelled, labels: Sequence[str], embedder: str, settings: HeadSettings
) -> dict[str, dict[str, float]]:
    """Macro and micro F1 of the hidden layer without n-grams, and of the most frequent label for every text."""
    vectors_only = train_head(train, labels, embedder, replace(settings, n_grams=0))
    found = {"vectors_only": _macro_micro(measure(vectors_only, test))}
    share = train.targets_NK.mean(axis=0)
    right = float(test.targets_NK[:, share.argmax()].sum())
    f1 = 2 * right / (len(test.texts) + right)
    micro = 2 * right / (len(test.texts) + float(test.targets_NK.sum()))
    found["most_frequent"] = {"macro_f1": round(f1 / len(labels), 4), "micro_f1": round(micro, 4)}
    return found


def against_chat(tagger: EmotionHead, folder: Path) -> dict[str, Any]:
    """The tagger against `emotions.json` of a chat folder."""
    texts = [message.text for message in open_export(export_of(folder)).messages()]
    gold: dict[int, Tags] = {
        row["message"]: row["emotions"]
        for row in json.loads((folder / "emotions.json").read_text(encoding="utf-8"))
    }
    tagged = tagger.tag([texts[index] for index in gold])
    ours = [{c: v for c, v in tags.items() if c in CONCEPTS} for tags in tagged]
    return compare(ours, list(gold.values()))


def compare(ours: Sequence[Tags], gold: Sequence[Tags]) -> dict[str, Any]:
    agreed = sum(
        bool(tags) and max(tags, key=tags.__getitem__) in right
        for tags, right in zip(ours, gold, strict=True)
    )
    commonest = Counter(concept for right in gold for concept in right).most_common(1)[0]
    pairs = [(_strong(tags), _strong(right)) for tags, right in zip(ours, gold, strict=True)]
    both = sum(len(a & b) for a, b in pairs)
    either = sum(len(a) + len(b) for a, b in pairs)
    distances = [
        abs(tags[concept] - right[concept])
        for tags, right in zip(ours, gold, strict=True)
        for concept in tags.keys() & right.keys()
    ]
    return {
        "messages": len(gold),
        "agreement": round(agreed / len(gold), 4),
        "f1_at_5": round(2 * both / max(either, 1), 4),
        "precision_at_5": round(both / max(sum(len(a) for a, _ in pairs), 1), 4),
        "recall_at_5": round(both / max(sum(len(b) for _, b in pairs), 1), 4),
        "intensity_mae": round(sum(distances) / max(len(distances), 1), 3),
        "untagged": sum(not tags for tags in ours),
        "always_most_frequent": round(commonest[1] / len(gold), 4),
    }


def export_of(folder: Path) -> Path:
    """The only file of a chat folder that is neither a gold file nor its description."""
    known = {f"{name}.json" for name in GOLD_FILES} | {"README.md"}
    return next(path for path in sorted(folder.iterdir()) if path.is_file() and path.name not in known)


def _strong(tags: Tags) -> set[str]:
    return {concept for concept, intensity in tags.items() if intensity >= STRONG}


def _macro_micro(measured: Mapping[str, Any]) -> dict[str, float]:
    return {name: measured[name] for name in ("macro_f1", "micro_f1")}


if __name__ == "__main__":
    raise SystemExit(main())
