"""Who reads facts without a language model: the rules, with the trained reader beside them where there is one for the encoder."""

from __future__ import annotations

from agents.extractors.both import UnionExtractor
from agents.extractors.rules import RuleExtractor
from agents.extractors.spans import SpanReader
from agents.span_head import HEAD_PATH, SpanHead
from memory.embedders.minilm import MiniLM
from memory.ports import Embedder, PatientExtractor
from memory.registry import Registry


def local_extractor(encoder: Embedder, registry: Registry) -> RuleExtractor | PatientExtractor:
    """Rules alone with another encoder than the embedded one, for which the reader was trained."""
    if not isinstance(encoder, MiniLM) or not HEAD_PATH.exists():
        return RuleExtractor()
    return UnionExtractor(RuleExtractor(), SpanReader(SpanHead.load(encoder)), registry)
