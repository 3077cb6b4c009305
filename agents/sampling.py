"""How text is drawn, as plain numbers: whoever asks for a text says it, and torch is needed only where a token is drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sampling:
    """How text is drawn. `temperature` 0 is greedy. Penalties and filters apply in the order of the fields.

    dry_*: a token that would go on with a repetition of at least `dry_allowed_length` tokens loses
    multiplier * base ** (length - allowed_length) of its logit, which stops copying and leaves single words alone (the DRY
    sampler, github.com/oobabooga/text-generation-webui/pull/5677). No repetition reaches across a breaker.
    """

    max_new_tokens: int = 128
    repetition_penalty: float = 1.0  # > 1 makes tokens of the last `penalty_window` less likely
    penalty_window: int = 64
    dry_multiplier: float = 0.0  # 0: off
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_window: int = 2048  # tokens that are searched
    dry_breakers: tuple[str, ...] = ("\n", ":", '"', "*")
    temperature: float = 0.7
    top_k: int = 0  # 0: all
    min_p: float = 0.05  # share of the likeliest token's probability below which a token is never drawn
    top_p: float = 1.0
    seed: int = 0
