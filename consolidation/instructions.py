"""Whether a text talks to machines: such a text is data like any other, and never supports a fact.

Ordinary talk about machines ("she works as an AI researcher", "you're a machine") must pass, or its facts are lost.
"""

from __future__ import annotations

import re

_KIND = r"(?:a\.?i\.?|llm|(?:large\s+)?language\s+model|chat\s?bot|(?:a\.?i\.?|virtual|digital)\s+(?:assistant|agent|model|system))"
_PLAIN = rf"{_KIND}s?\b(?!\s+(?:researcher|engineer|developer|expert|company|startup|start-up|team|lab|teacher|course))"
_CALLED = re.compile(
    rf"\b(?:notice|note|message|attention|warning|instructions?|dear|hey|hello|hi)[\s,:]+(?:to\s+|for\s+)?"
    rf"(?:(?:all|any|every|the|you)\s+)*(?:{_PLAIN}|assistants\b)"
    rf"|\b(?:any|all|every|whichever)\s+(?:{_PLAIN}|assistants?\b)\s+(?:reading|that|who|which|must|should|shall|processing|seeing)\b"
    rf"|\bif\s+you\s+are\s+an?\s+{_PLAIN}"
    rf"|\b(?:you\s+are|you're|act|behave|respond|answer|reply)\s+(?:now\s+)?(?:as\s+)?an?\s+{_PLAIN}"
    rf"|\bas\s+an?\s+(?:a\.?i\.?|language\s+model)\s*(?:,|language\b|assistant\b|model\b|you\b|i\s+(?:can|am|must))",
    re.IGNORECASE,
)
_ORDERED = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass)\s+(?:\w+\s+){0,4}?"
    r"(?:previous|prior|earlier|above|preceding|system|existing|your)\s+(?:\w+\s+){0,2}?"
    r"(?:instructions?|prompts?|rules|guidelines|directives|memory|memories|context)\b"
    r"|\b(?:system|developer|hidden)\s+prompts?\b|\bprompt\s+injection\b"
    r"|<\|?\s*(?:im_start|im_end|system|assistant|user)\b|\[/?(?:inst|system|assistant)\]|^\s*(?:system|assistant)\s*:"
    r"|\b(?:store|record|save|write|remember|add|update|delete|erase)\s+(?:[^\s.!?]+\s+){0,8}?(?:in|into|to|from)\s+"
    r"(?:your\s+|the\s+)?(?:long-term\s+memory|memory\s+graph|knowledge\s+(?:base|graph)|fact\s+store|memories)\b",
    re.IGNORECASE,
)


def addresses_machines(text: str) -> bool:
    """Whether the text speaks to an AI or gives instructions to one."""
    plain = " ".join(text.split())
    return bool(_CALLED.search(plain) or _ORDERED.search(plain))
