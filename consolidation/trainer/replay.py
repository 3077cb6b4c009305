"""The base model's own general text, held against forgetting: what it wrote and what it thought at each position.

Prompts and openings of prose are ours (general_prompts.json), and more are what the base itself puts into a user's mouth
(talks). All else is drawn from the base once; what the embedded model wrote is shipped (general_replies.json:
`draw_replies`, `draw_talks` and three of `draw_prose`, bfloat16) because drawing takes minutes. They are kept in the cache with the base's final hidden
states of those that some night looked at, so that training needs no teacher pass. The cache is keyed by all it depends on.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from agents.runtime.hardware import in_parallel
from agents.runtime.lm import LanguageModel
from consolidation.trainer.engine import Engine, Text
from memory.whole import whole_file

PROMPTS = Path(__file__).with_name("general_prompts.json")
SHIPPED = Path(__file__).with_name("general_replies.json")
REPLY_TOKENS = 64
SHEAF = 16  # texts looked at together, always the same: no state's bits depend on what else a night looks at
N_TALKS = 48  # drawn for a base that none are shipped for
_ASKED_TOKENS = 40
_ASKING_TEMPERATURE = 1.0  # at less, half of what it asks is the same
_TEMPERATURE = 0.8
_VERSION = 6


def cache_file(language_model: LanguageModel, engine_name: str, cache_dir: Path) -> Path:
    parts = (
        language_model.base_hash,
        language_model.template.sha256,
        hashlib.sha256(PROMPTS.read_bytes()).hexdigest(),
        hashlib.sha256(SHIPPED.read_bytes()).hexdigest(),
        f"{engine_name} {language_model.dtype} {REPLY_TOKENS} {_TEMPERATURE} {_VERSION}",
    )
    return cache_dir / "replay" / f"{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:20]}.safetensors"


@dataclass(slots=True)
class General:
    """The base's own texts: token ids, the positions that it wrote, and its states there, of texts looked at so far."""

    rows: list[tuple[tuple[int, ...], tuple[int, ...]]]
    teachers: dict[int, torch.Tensor] = field(default_factory=dict)  # place in rows -> (P, D)


def general_texts(language_model: LanguageModel, engine: Engine, file: Path, seed: str, n: int) -> list[Text]:
    """So many of the base's own texts, in whole sheaves, with its states; other ones for another seed: what one night does
    not look at, the next one does. Texts and states are made where the file lacks them. The model must wear no adapter.
    """
    general = load_general(file) or General(_rows(language_model))
    places = range(len(general.rows))
    sheaves = [places[start : start + SHEAF] for start in range(0, len(places), SHEAF)]
    chosen = sheaves if len(places) <= n else random.Random(seed).sample(sheaves, -(-n // SHEAF))
    missing = [sheaf for sheaf in chosen if sheaf[0] not in general.teachers]

    def look_at(sheaf: Sequence[int]) -> list[torch.Tensor]:
        states = engine.final_hidden([general.rows[place][0] for place in sheaf])
        at = [list(general.rows[place][1]) for place in sheaf]
        return [one[positions].cpu().contiguous() for one, positions in zip(states, at, strict=True)]

    for sheaf, states in zip(missing, in_parallel(look_at, missing, language_model.workers), strict=True):
        general.teachers |= zip(sheaf, states, strict=True)
    if missing or not file.is_file():
        _save(general, file)
    device = language_model.device
    return [
        Text(f"kl:{place}", "kl", None, *general.rows[place], general.teachers[place].to(device))
        for sheaf in chosen
        for place in sheaf
    ]


def load_general(file: Path) -> General | None:
    """None where the cache has none (or a damaged one)."""
    try:
        tensors = load_file(file)
        ids, positions = (_parted(tensors[name], tensors[f"{name}.n"]) for name in ("ids", "positions"))
    except (OSError, SafetensorError, KeyError):
        return None
    teachers = {int(name[8:]): states for name, states in tensors.items() if name.startswith("teacher.")}
    return General(list(zip(ids, positions, strict=True)), teachers)


def _parted(flat: torch.Tensor, counts: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(part.tolist()) for part in torch.split(flat, counts.tolist())]


def draw_replies(
    language_model: LanguageModel, starts: Sequence[Sequence[int]], seed: int = 0
) -> list[list[int]]:
    """What the base goes on with after each start, at temperature 0.8."""
    return language_model.continue_ids(starts, REPLY_TOKENS, temperature=_TEMPERATURE, seed=seed)


def draw_talks(language_model: LanguageModel, n: int, seed: int = 0) -> list[tuple[str, str]]:
    """At most `n` different things that the base has a user say, given nothing but the head of a user's turn (after
    Xu et al. 2024, arXiv:2406.08464), and its own replies, as texts."""
    asked = language_model.continue_ids(
        [language_model.template.user_header()] * n,
        _ASKED_TOKENS,
        temperature=_ASKING_TEMPERATURE,
        seed=seed,
    )
    prompts = list(dict.fromkeys(text for ids in asked if (text := language_model.decode(ids).strip())))
    starts = [language_model.chat_ids([{"role": "user", "content": text}]) for text in prompts]
    replies = draw_replies(language_model, starts, seed)
    return [(prompt, language_model.decode(ids)) for prompt, ids in zip(prompts, replies, strict=True)]


def draw_prose(language_model: LanguageModel, openings: Sequence[str], seed: int = 0) -> list[str]:
    """How the base goes on after each opening outside any conversation: what else would hold its prose?"""
    starts = [language_model.template.encode(text) for text in openings]
    return [language_model.decode(ids) for ids in draw_replies(language_model, starts, seed)]


def _beginnings(
    language_model: LanguageModel, prompts: Mapping[str, Sequence[str]]
) -> list[tuple[list[int], list[int]]]:
    """Ids of beginnings and how the base goes on: shipped where they are this base's, else drawn now."""
    template = language_model.template

    def asked(text: str) -> list[int]:
        return language_model.chat_ids([{"role": "user", "content": text}])

    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    if shipped["base_hash"] == language_model.base_hash:
        replies = [template.encode(text) for text in shipped["chat"]]
        talks, prose = shipped["talks"], shipped["prose"]
    else:
        replies = draw_replies(language_model, [*map(asked, prompts["chat"])])
        talks = draw_talks(language_model, N_TALKS)
        prose = zip(prompts["openings"], draw_prose(language_model, prompts["openings"]), strict=True)
    return [
        *zip(map(asked, prompts["chat"]), replies, strict=True),
        *((asked(prompt), template.encode(reply)) for prompt, reply in talks),
        *((template.encode(opening), template.encode(text)) for opening, text in prose),
    ]


def _rows(language_model: LanguageModel) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    prompts = json.loads(PROMPTS.read_text(encoding="utf-8"))
    return [
        (tuple(start + reply), tuple(range(len(start) - 1, len(start) + len(reply))))
        for start, reply in _beginnings(language_model, prompts)
        if reply
    ]


def _save(general: General, file: Path) -> None:
    tensors = {f"teacher.{place}": states for place, states in general.teachers.items()}
    for name, parts in zip(("ids", "positions"), zip(*general.rows, strict=True), strict=True):
        tensors[name] = torch.tensor([token for part in parts for token in part])
        tensors[f"{name}.n"] = torch.tensor([len(part) for part in parts])
    with whole_file(file) as part:
        save_file(tensors, part)
