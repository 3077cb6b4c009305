"""New wordings of a question by a language model; dreams are made of them.

A wording is kept only if it still is a question about the same thing: it names every name and number of the
original, does not give the answer away, and is neither the original nor a repetition.
"""

from __future__ import annotations

import re

from agents.errors import AgentError
from agents.structured import ask_json, fenced
from memory.ports import ChatModel

MAX_WORDINGS = 20
_SYSTEM = """You rewrite questions. Give new wordings that ask exactly the same thing, as different from each other as
possible: other words, other sentence forms, formal and casual. Keep every name and number. Never answer the
question and never hint at the answer. Answer with JSON only: {"wordings": ["...", "..."]}."""
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["wordings"],
    "properties": {
        "wordings": {
            "type": "array",
            "maxItems": MAX_WORDINGS,
            "items": {"type": "string", "maxLength": 300},
        }
    },
}


class ModelTeacher:
    """Implements Teacher. A model that is away or answers badly adds nothing; it never stops a night."""

    def __init__(self, chat_model: ChatModel) -> None:
        self.name = f"model/{chat_model.name}"
        self.n_failures = 0
        self._model = chat_model

    def reword(self, question: str, answer: str, n: int) -> list[str]:
        """At most `n` wordings, fewer where the model has fewer good ones."""
        request = f"Write {min(n, MAX_WORDINGS)} new wordings of the question.\n{fenced(question=question)}"
        messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": request}]
        try:
            wordings = ask_json(self._model, messages, SCHEMA)["wordings"]
        except AgentError:
            self.n_failures += 1
            return []
        kept: dict[str, str] = {}
        for wording in (" ".join(wording.split()) for wording in wordings):
            if _keeps_the_question(wording, question, answer):
                kept.setdefault(_plain(wording), wording)
        kept.pop(_plain(question), None)
        return list(kept.values())[:n]


def _keeps_the_question(wording: str, question: str, answer: str) -> bool:
    return (
        bool(wording)
        and _anchors(question) <= set(_plain(wording).split())
        and (not _plain(answer) or f" {_plain(answer)} " not in f" {_plain(wording)} ")
    )


def _anchors(question: str) -> set[str]:
    """Names (capitals after the first word) and numbers, without possessive endings."""
    words = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", question)
    picked = [w for i, w in enumerate(words) if w[0].isdigit() or (i > 0 and w[0].isupper() and w != "I")]
    return {token for word in picked for token in _plain(re.sub(r"['’]s?$", "", word)).split()}


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", " ", re.sub(r"['’]s?\b", " ", text.casefold())).split())
