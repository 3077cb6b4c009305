"""Which texts a step trains: unlearned first, nothing forgotten, people and facts mixed.

Stateless apart from what was seen: the choice for a step depends on the seed, the step and each text's last loss and
number of showings. That state is small and goes into the checkpoint, so a resumed run chooses the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from consolidation.stage import TrainSettings
from consolidation.trainer.engine import Text

LEARNED_LOSS = 0.05  # nats per answer token below which a text counts as learnt


@dataclass(slots=True)
class Seen:
    shown: int = 0
    loss: float = float("inf")


@dataclass
class Curriculum:
    """Texts of one job by kind."""

    texts: Sequence[Text]
    settings: TrainSettings
    seed: int
    seen: dict[str, Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for text in self.texts:
            self.seen.setdefault(text.id, Seen())
        self._by_kind: dict[str, list[Text]] = {}
        for text in self.texts:
            self._by_kind.setdefault(text.kind, []).append(text)

    def choose(self, step: int) -> list[Text]:
        """The texts of a step: new facts, refusals, earlier nights, real talk, the base's own text."""
        rng = random.Random(f"{self.seed}:{step}")
        settings = self.settings
        return [
            *self._pick("answer", settings.facts_per_step, rng, per_fact=2),
            *self._pick("negative", settings.negatives_per_step, rng),
            *self._pick("replay", settings.replay_per_step, rng),
            *self._rotate("style", settings.style_per_step, step),
            *self._rotate("kl", settings.kl_per_step, step),
        ]

    def record(self, texts: Sequence[Text], losses: Sequence[float]) -> None:
        for text, loss in zip(texts, losses, strict=True):
            entry = self.seen[text.id]
            entry.shown += 1
            entry.loss = loss

    def is_learned(self, min_showings: int = 2) -> bool:
        """Whether every answer and refusal was shown often enough and was known the last time."""
        return all(
            self.seen[text.id].shown >= min_showings and self.seen[text.id].loss < LEARNED_LOSS
            for kind in ("answer", "negative", "replay")
            for text in self._by_kind.get(kind, ())
        )

    def share_learned(self) -> float:
        answers = self._by_kind.get("answer", [])
        return sum(self.seen[text.id].loss < LEARNED_LOSS for text in answers) / max(1, len(answers))

    def state(self) -> dict[str, Any]:
        return {key: [entry.shown, entry.loss] for key, entry in self.seen.items() if entry.shown}

    def restore(self, state: dict[str, Any]) -> None:
        for key, (shown, loss) in state.items():
            self.seen[key] = Seen(shown, loss)

    def _pick(self, kind: str, n: int, rng: random.Random, per_fact: int | None = None) -> list[Text]:
        """Half by turns, so that everything is repeated at intervals; a quarter where the last loss was highest, and a
        quarter of wordings little shown of those facts whose last losses were highest: what is hard is asked in new words.

        A text that stays hard (nobody can guess it from its question) is held to twice the mean number of showings.
        """
        texts = self._by_kind.get(kind, [])
        if len(texts) <= n:
            return list(texts)
        mean = sum(self.seen[text.id].shown for text in texts) / len(texts)
        noise = {text.id: rng.uniform(0.5, 1.5) for text in texts}
        by_turn = sorted(texts, key=lambda text: (self.seen[text.id].shown, noise[text.id]))
        hard = [text for text in texts if 0 < self.seen[text.id].shown <= 2 * mean]
        by_loss = sorted(hard, key=lambda text: -(self.seen[text.id].loss + 0.01) * noise[text.id])
        by_fact = self._new_words(by_turn, rng) if per_fact is not None else by_loss
        chosen: dict[str, Text] = {}
        counts: dict[str | None, int] = {}
        for order, limit in ((by_loss, n // 4), (by_fact, n // 2), (by_turn, n), (by_turn, n)):
            for text in order:
                is_full = per_fact is not None and counts.get(text.fact_id, 0) >= per_fact
                if len(chosen) < limit and text.id not in chosen and not is_full:
                    chosen[text.id] = text
                    counts[text.fact_id] = counts.get(text.fact_id, 0) + 1
            if order is by_turn:
                per_fact = None
        return list(chosen.values())

    def _new_words(self, by_turn: Sequence[Text], rng: random.Random) -> list[Text]:
        """Each fact's least shown text, those first whose texts had the highest mean loss when last shown."""
        losses: dict[str | None, list[float]] = {}
        fresh: dict[str | None, Text] = {}
        for text in by_turn:
            fresh.setdefault(text.fact_id, text)
            if self.seen[text.id].shown:
                losses.setdefault(text.fact_id, []).append(self.seen[text.id].loss)
        hardness = {fact: (sum(of) / len(of) + 0.01) * rng.uniform(0.5, 1.5) for fact, of in losses.items()}
        return [fresh[fact] for fact in sorted(hardness, key=lambda fact: -hardness[fact])]

    def _rotate(self, kind: str, n: int, step: int) -> list[Text]:
        """Every text of the kind equally often, in an order that changes each round."""
        texts = self._by_kind.get(kind, [])
        if len(texts) <= n:
            return list(texts)
        chosen: list[Text] = []
        for place in range(step * n, (step + 1) * n):
            round_, at = divmod(place, len(texts))
            order = list(range(len(texts)))
            random.Random(f"{self.seed}:{kind}:{round_}").shuffle(order)
            if texts[order[at]].id not in {text.id for text in chosen}:
                chosen.append(texts[order[at]])
        return chosen
