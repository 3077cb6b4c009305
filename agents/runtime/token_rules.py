"""Which tokens of a text stand for the whole of it when its residuals are pooled to one vector. No torch here."""

from __future__ import annotations

MEAN = "mean of content tokens"
LAST = "last content token"
TOKEN_RULES = (MEAN, LAST)
