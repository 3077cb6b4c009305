"""The span head: where a message states facts, by the embedded sentence encoder with small changes to its matrices.

It reads a message together with the one before it and says of every token whether it belongs to the object of a fact
and of which predicate, where the one the fact is about stands, and whether the fact begins, ends or is mended. The
encoder's changes are low-rank (https://arxiv.org/abs/2106.09685) and added on loading; trained by
`agents.span_training`. What a span means for the graph is decided in `agents/extractors/spans.py`.
Letters of shapes: B batch, T token, D hidden, P label, C change, Q width of a pointer, F all outputs side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Encoding, Tokenizer

from agents.encoder_changes import HeadWeights
from agents.entailment import softmax
from memory.embedders.minilm import TOKENIZER, WEIGHTS, MiniLM
from memory.ports import FloatMatrix
from memory.types import Change

HEAD_PATH = Path(__file__).parent / "data" / "span_head.safetensors"
PREDICATES = (
    "lives_in", "hometown", "roommate", "neighbour", "address", "birthday", "age", "nationality", "speaks", "nickname",
    "named_after", "job", "workplace", "boss", "colleague", "teaches", "studies", "school", "retired_on", "starts_on",
    "interview_date", "partner", "fiance", "husband", "wife", "wedding_date", "proposal_place", "honeymoon_place", "met_at",
    "mother", "father", "sister", "brother", "daughter", "son", "number_of_children", "grandmother", "grandfather", "aunt",
    "uncle", "cousin", "niece", "nephew", "due_date", "birth_weight", "died_on", "friend", "relation", "dog", "cat", "pet",
    "breed", "owns", "sold", "phone_number", "email", "health_condition", "injury", "surgery", "medication",
    "medication_dose", "allergy", "diet", "gave_up", "exercise", "hobby", "plays", "sings", "favourite", "likes", "dislikes", "fears",
    "opening_date", "closing_date", "arrival", "visits",
)  # fmt: skip
LABELS = ("", *PREDICATES)  # of a token; the first is no object
CHANGES: tuple[Change, ...] = ("state", "update", "end", "correct")
MAX_BEFORE = 16  # tokens; of a longer message before, the end is read
MAX_TEXT = 64  # tokens; of a longer message the start is read
WHO = {True: "me :", False: "you :"}  # in front of the message before: who said it
POINTER = 64
WIDTHS = (
    len(LABELS),
    len(CHANGES),
    POINTER,
    POINTER,
)  # of a token's outputs: label, change, what asks, what is pointed at
ME, YOU, THEM = "me", "you", "them"  # whom a fact is about: the speaker, the addressee, somebody not named


@dataclass(frozen=True, slots=True)
class Turn:
    """A message with the one before it; `before` is empty where nothing was."""

    before: str
    is_same: bool  # whether the same person said both
    text: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """`ids` are [CLS] before [SEP] text [SEP]; the token after `n_first` is the first of the text. The places of [CLS] and of
    the two [SEP] stand for the speaker, the addressee, and somebody not named. `spans` gives characters, per token."""

    ids: list[int]
    n_first: int
    spans: list[tuple[int, int]]
    words: list[int]  # number of the word that a token is a piece of, -1 of none

    @property
    def kinds(self) -> list[int]:
        return [0] * self.n_first + [1] * (len(self.ids) - self.n_first)


@dataclass(frozen=True, slots=True)
class Span:
    """One object in a text. `subject` is ME, YOU, THEM, or where its word stands: (is in the message before, place)."""

    start: int
    end: int
    predicate: str
    change: Change
    subject: str | tuple[bool, int]
    probability: float  # of the label
    certainty: float  # of the subject


class TurnTokenizer:
    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._cls, self._sep = self._tokenizer.encode("").ids

    def __call__(self, turns: Sequence[Turn]) -> list[Tokens]:
        before = self._encode([f"{WHO[t.is_same]} {t.before}" if t.before else "" for t in turns])
        text = self._encode([t.text for t in turns])
        return [self._join(turn, a, b) for turn, a, b in zip(turns, before, text, strict=True)]

    def _encode(self, texts: list[str]) -> list[Encoding]:
        return self._tokenizer.encode_batch(texts, add_special_tokens=False)

    def _join(self, turn: Turn, before: Encoding, text: Encoding) -> Tokens:
        shift = len(WHO[turn.is_same]) + 1
        first = list(zip(before.ids, before.offsets, strict=True))
        if len(first) > MAX_BEFORE:
            first = first[:2] + first[2 - MAX_BEFORE :]
        second = list(zip(text.ids, text.offsets, strict=True))[:MAX_TEXT]
        none = (-1, -1)
        spans = [none, *((a - shift, b - shift) for _, (a, b) in first), none, *(o for _, o in second), none]
        ids = [self._cls, *(i for i, _ in first), self._sep, *(i for i, _ in second), self._sep]
        words = [-1 if number is None else number for number in text.word_ids[: len(second)]]
        return Tokens(ids, len(first) + 2, spans, [*[-1] * (len(first) + 2), *words, -1])


class SpanWeights(HeadWeights):
    """Changes to the encoder, and the layer on top, whose outputs stand side by side as in WIDTHS."""

    __slots__ = ()
    FORMAT = "slowwave-span-head/1"
    NAMES = ("predicates", PREDICATES)
    TRAINER = "agents.span_training"


class SpanHead:
    """Immutable; calls take turns with the encoder they share a processor with."""

    def __init__(self, weights: SpanWeights, encoder: MiniLM) -> None:
        weights.changes.require_fit(encoder, "span_head", weights.TRAINER)
        self.name = f"spans-{weights.manifest.get('version', '1')}"
        self.weights = weights
        self._encoder = encoder
        self._tokenize = TurnTokenizer(encoder.folder)
        first = min(int(name.split(".")[2]) for name in weights.changes.lora)
        merged = weights.changes.merged(load_file(encoder.folder / WEIGHTS))
        self._network = encoder.network.with_layers(merged, first)

    @classmethod
    def load(cls, encoder: MiniLM, path: Path = HEAD_PATH) -> SpanHead:
        """The shipped head. Raises BadHead for damaged files or another encoder than it was trained on."""
        return cls(SpanWeights.load(path), encoder)

    def read(self, turns: Sequence[Turn]) -> list[list[Span]]:
        """The objects of each turn's text, left to right, none overlapping, however unlikely."""
        tokens = self._tokenize(turns)
        found: list[list[Span]] = [[] for _ in turns]

        def work(rows: list[int]) -> None:
            for row, spans in zip(rows, self._spans([tokens[row] for row in rows]), strict=True):
                found[row] = spans

        self._encoder.in_batches([len(each.ids) for each in tokens], work)
        return found

    def _spans(self, tokens: list[Tokens]) -> Iterator[list[Span]]:
        x_BTD, _ = self._network([each.ids for each in tokens], [each.kinds for each in tokens])
        out_BTF = x_BTD @ self.weights.out + self.weights.bias
        for each, out_TF in zip(tokens, out_BTF, strict=True):
            yield list(decoded(each, out_TF[: len(each.ids)]))


def decoded(tokens: Tokens, out_TF: FloatMatrix) -> Iterator[Span]:
    """The spans that the outputs of a row's tokens tell of: whole words, each with its likeliest label."""
    label_TP, change_TC, asks_TQ, offers_TQ = np.split(out_TF, np.cumsum(WIDTHS[:-1]), axis=1)
    shares_TP = softmax(label_TP)
    for start, end, label in _runs(tokens, shares_TP):
        inside = slice(start, end)
        places_T = (asks_TQ[inside].mean(axis=0) @ offers_TQ.T) * POINTER**-0.5
        place = int(places_T.argmax())
        yield Span(
            tokens.spans[start][0],
            tokens.spans[end - 1][1],
            LABELS[label],
            CHANGES[int(change_TC[inside].mean(axis=0).argmax())],
            _pointed(tokens, place),
            float(shares_TP[inside, label].mean()),
            float(softmax(places_T[None])[0, place]),
        )


def _pointed(tokens: Tokens, place: int) -> str | tuple[bool, int]:
    points = {0: ME, tokens.n_first - 1: YOU, len(tokens.ids) - 1: THEM}
    return points.get(place) or (place < tokens.n_first, tokens.spans[place][0])


def _runs(tokens: Tokens, shares_TP: FloatMatrix) -> Iterator[tuple[int, int, int]]:
    """Stretches of words of the text that have one label, which is not the first: start, end, label."""
    words = list(_words(tokens))
    labels = [int(shares_TP[start:end].mean(axis=0).argmax()) for start, end in words]
    for place in range(1, len(words) - 1):
        is_sign = tokens.spans[words[place][0]][0] + 1 == tokens.spans[words[place][1] - 1][1]
        if is_sign and not labels[place] and labels[place - 1] == labels[place + 1]:
            labels[place] = labels[place - 1]  # "St. Brigid's"
    for label, group in groupby(zip(words, labels, strict=True), key=itemgetter(1)):
        if label:
            inside = [word for word, _ in group]
            yield inside[0][0], inside[-1][1], label


def _words(tokens: Tokens) -> Iterator[tuple[int, int]]:
    """Start and end of the tokens of each word of the text; a mark is a word."""
    last = len(tokens.ids) - 1
    start = tokens.n_first
    for place in range(start + 1, last + 1):
        if tokens.words[place] != tokens.words[start]:
            yield start, place
            start = place
