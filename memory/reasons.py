"""Why something is erased. Imports nothing, so that help costs nothing."""

from typing import Literal, get_args

Reason = Literal["request", "consent", "mistake", "retention", "law", "other"]
REASONS: tuple[Reason, ...] = get_args(Reason)
