"""Behaviours: a way of replying that examples show and a measure tells, before it is trained and after.

A behaviour comes from a TOML file of its own, from one that slowwave ships, or from a pattern that the graph holds
(`behaviour_patterns`). What it is measured on is held out: prompts that are never trained. A vector's manifest keeps these
prompts and the measure, so that whoever has the vector can measure it; the examples themselves are kept nowhere.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation.behaviour_measures import Measure, measure_of
from consolidation.errors import BadBehaviour, UnknownBehaviour
from consolidation.trainer.job import Row
from consolidation.vectors import hash_rows

if TYPE_CHECKING:
    from agents.runtime.lm import LanguageModel

SHIPPED = Path(__file__).with_name("behaviours")
LEAST_EXAMPLES, LEAST_HELD_OUT = 12, 4
REPLY_TOKENS = 128  # a reply is measured that far
_HELD_OUT_SHARE = 4  # where a file names no prompts of its own, one in so many examples is held out
_SIDES = ("less", "more")
_FIELDS = ("description", "measure", "wanted", "examples", "held_out")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_NEXT_TAG = re.compile(r"\n\[")  # where a model goes on with what somebody else says

Messages = tuple[dict[str, str], ...]


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What tells whether a behaviour shows: prompts that are never trained, and how the replies to them are measured.

    `wanted`: less | more, which side of the base the behaviour lies on. `behaviour` is its name.
    """

    behaviour: str
    measure: str
    wanted: str
    held_out: tuple[Messages, ...]

    def __post_init__(self) -> None:
        measure_of(self.measure, self.behaviour)
        if self.wanted not in _SIDES:
            raise BadBehaviour(self.behaviour, f"wanted is {self.wanted!r}; write less or more")
        if len(self.held_out) < LEAST_HELD_OUT:
            raise BadBehaviour(
                self.behaviour,
                f"{len(self.held_out)} held-out prompts tell nothing; give {LEAST_HELD_OUT} or more",
            )

    @property
    def rule(self) -> Measure:
        return measure_of(self.measure, self.behaviour)

    def as_json(self) -> dict[str, Any]:
        return {
            "behaviour": self.behaviour,
            "measure": self.measure,
            "wanted": self.wanted,
            "held_out": [[dict(message) for message in prompt] for prompt in self.held_out],
        }


@dataclass(frozen=True, slots=True)
class Behaviour:
    """`examples` end with the reply that is learnt. Made by `read_behaviour`, `shipped` and `behaviour_patterns`.

    Raises BadBehaviour where an example holds a held-out prompt, or where there are too few.
    """

    description: str
    examples: tuple[Messages, ...]
    yardstick: Yardstick

    def __post_init__(self) -> None:
        if len(self.examples) < LEAST_EXAMPLES:
            raise BadBehaviour(
                self.name, f"{len(self.examples)} examples are too few; give {LEAST_EXAMPLES} or more"
            )
        trained = {_plain(message["content"]) for example in self.examples for message in example[:-1]}
        for prompt in self.yardstick.held_out:
            if _plain(prompt[-1]["content"]) in trained:
                said = " ".join(prompt[-1]["content"].split())
                raise BadBehaviour(
                    self.name,
                    f"the held-out prompt {said[:40]!r} stands in an example; take it out of one of them",
                )

    @property
    def name(self) -> str:
        return self.yardstick.behaviour

    def rows(self) -> list[Row]:
        """The training rows: of kind style, so that each is shown equally often."""
        return [Row(f"style:{place}", "style", example) for place, example in enumerate(self.examples)]

    @property
    def sha256(self) -> str:
        """Of what is trained; the held-out prompts are no part of it."""
        return hash_rows(self.rows())


def check_name(name: str) -> str:
    """Raises BadBehaviour for what cannot be one."""
    if not _NAME.fullmatch(name):
        raise BadBehaviour(name[:40], "a name has small letters, digits and dashes, 40 at most")
    return name


# Reading


def shipped_names() -> list[str]:
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def shipped(name: str) -> Behaviour:
    """Raises UnknownBehaviour."""
    if name not in shipped_names():
        raise UnknownBehaviour(name)
    return read_behaviour(SHIPPED / f"{name}.toml", name)


def read_behaviour(path: Path, name: str) -> Behaviour:
    """A behaviour from a TOML file (docs/behaviours.md). Raises BadBehaviour."""
    check_name(name)
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadBehaviour(name, f"{path.name} cannot be read ({error.strerror}); check its name") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadBehaviour(name, f"{path.name} is no valid TOML: {error}") from error
    unknown = sorted(set(fields) - set(_FIELDS))
    if unknown:
        raise BadBehaviour(name, f"{path.name} has a field {unknown[0]!r}; there are {', '.join(_FIELDS)}")
    examples = [_conversation(name, "examples", texts, 0) for texts in _list(name, fields, "examples")]
    if "held_out" in fields:
        held_out = [_conversation(name, "held_out", texts, 1) for texts in _list(name, fields, "held_out")]
    else:
        examples, held_out = split(examples)
    yardstick = Yardstick(
        name, _text(name, fields, "measure"), _text(name, fields, "wanted"), tuple(held_out)
    )
    return Behaviour(_text(name, fields, "description"), tuple(examples), yardstick)


def split(examples: Sequence[Messages]) -> tuple[list[Messages], list[Messages]]:
    """Examples to train on and prompts to hold out, by the hash of the prompt: which is which hangs on nothing else."""
    prompts = [example[:-1] for example in examples]
    order = sorted(set(map(_digest, prompts)))
    chosen = set(order[: len(order) // _HELD_OUT_SHARE])
    kept = [example for example in examples if _digest(example[:-1]) not in chosen]
    return kept, list({_digest(prompt): prompt for prompt in prompts if _digest(prompt) in chosen}.values())


def _digest(prompt: Messages) -> str:
    return hashlib.sha256(json.dumps([_plain(message["content"]) for message in prompt]).encode()).hexdigest()


def _plain(text: str) -> str:
    """The same for texts that differ in case, signs and spaces alone."""
    return " ".join(re.findall(r"\w+", text.casefold())) or text


def _text(name: str, fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadBehaviour(name, f'it has no {key}; write {key} = "..."')
    return value


def _list(name: str, fields: Mapping[str, Any], key: str) -> list[Any]:
    value = fields.get(key)
    if not isinstance(value, list) or not value:
        raise BadBehaviour(name, f"it has no {key}; write {key} = [...]")
    return value


def _conversation(name: str, key: str, texts: Any, odd: int) -> Messages:
    """`texts` by turns a person's and the reply's; `odd` is 1 where a person has the last word, 0 where the reply has."""
    said = [texts] if isinstance(texts, str) else texts
    is_whole = isinstance(said, list) and all(isinstance(text, str) and text.strip() for text in said)
    if not is_whole or len(said) % 2 != odd or not said:
        wanted = (
            "a message, or a list that ends with one" if odd else "a list of message, reply, message, reply"
        )
        raise BadBehaviour(
            name, f"each of {key} is {wanted}, and {json.dumps(texts, ensure_ascii=False)[:60]} is not"
        )
    return tuple(
        {"role": "assistant" if place % 2 else "user", "content": text.strip()}
        for place, text in enumerate(said)
    )


def yardstick_of(meta: Mapping[str, Any]) -> Yardstick | None:
    """The yardstick in the notes of a behaviour's vector; None for a vector of something else, or notes that are damaged."""
    try:
        prompts = tuple(tuple(map(dict, prompt)) for prompt in meta["held_out"])
        return Yardstick(meta["behaviour"], meta["measure"], meta["wanted"], prompts)
    except (KeyError, TypeError, ValueError, BadBehaviour):
        return None


# Measuring


@dataclass(frozen=True, slots=True)
class Effect:
    """What the replies to the held-out prompts measure before and after, `values` one by one."""

    yardstick: Yardstick
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def change(self) -> float:
        """Above 0 on the side that is wanted."""
        change = mean(self.after) - mean(self.before)
        return change if self.yardstick.wanted == "more" else -change

    @property
    def n_toward(self) -> int:
        return self._count(1)

    @property
    def n_away(self) -> int:
        return self._count(-1)

    @property
    def p(self) -> float:
        """One-sided sign test: how often as many prompts or more would move the wanted way by chance."""
        return _sign_test(self.n_toward, self.n_away)

    @property
    def p_away(self) -> float:
        """The same for the other way."""
        return _sign_test(self.n_away, self.n_toward)

    def _count(self, way: int) -> int:
        sign = way if self.yardstick.wanted == "more" else -way
        return sum((after - before) * sign > 0 for before, after in zip(self.before, self.after, strict=True))

    def as_json(self) -> dict[str, Any]:
        return {
            "measure": self.yardstick.measure,
            "wanted": self.yardstick.wanted,
            "before": mean(self.before),
            "after": mean(self.after),
            "n": len(self.before),
            "n_toward": self.n_toward,
            "n_away": self.n_away,
            "p": self.p,
        }


def _sign_test(n_for: int, n_against: int) -> float:
    n = n_for + n_against
    return float(sum(comb(n, k) for k in range(n_for, n + 1)) / 2**n)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def values_of(model: LanguageModel, yardstick: Yardstick) -> tuple[float, ...]:
    """The measure of each reply to the held-out prompts, with the weights as they are worn. Replies are greedy."""
    replies = model.answer(yardstick.held_out, REPLY_TOKENS, batch_size=len(yardstick.held_out))
    return tuple(yardstick.rule.of(_NEXT_TAG.split(reply, maxsplit=1)[0]) for reply in replies)


def measured(model: LanguageModel, behaviour: str | Yardstick) -> float:
    """The mean of the measure with the weights as they are worn; of a shipped behaviour by name, or of any by its yardstick.

    Raises UnknownBehaviour.
    """
    return mean(
        values_of(model, behaviour if isinstance(behaviour, Yardstick) else shipped(behaviour).yardstick)
    )
