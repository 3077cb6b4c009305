"""JSON under a grammar: a random model would write anything, so what it writes shows what the grammar forbids."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.backends.local import LocalChat
from agents.errors import BadSchema, CutOff
from agents.extractors.model import SCHEMA as FACTS
from agents.runtime.constrained import JsonWriter
from agents.runtime.lm import LanguageModel
from agents.sampling import Sampling
from agents.structured import misfit, parsed

ASK = [{"role": "user", "content": "Ana lives in Porto and works as a nurse. List the facts as JSON."}]
SMALL: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["label", "why", "n", "tags", "sure"],
    "properties": {
        "label": {"type": "string", "enum": ["yes", "no"]},
        "why": {"type": ["string", "null"], "maxLength": 4},
        "kind": {"type": ["string", "null"], "enum": ["a", None]},
        "n": {"type": "integer", "minimum": 0, "maximum": 9},
        "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 3}},
        "sure": {"type": "boolean"},
    },
}


@pytest.mark.parametrize("seed", range(12))
def test_a_random_model_writes_only_what_fits(tiny: LanguageModel, seed: int) -> None:
    written = JsonWriter(tiny).write(
        tiny.chat_ids(ASK), SMALL, Sampling(max_new_tokens=300, temperature=1.5, min_p=0, seed=seed)
    )
    assert written.is_whole
    assert misfit(json.loads(written.text), SMALL) is None


@pytest.mark.parametrize("max_tokens", [1, 5, 40, 90, 200, 400])
def test_an_answer_that_reaches_its_limit_fits_or_is_refused(tiny: LanguageModel, max_tokens: int) -> None:
    model = LocalChat(language_model=tiny)
    try:
        text = model.complete_json(ASK, FACTS, max_tokens=max_tokens)
    except CutOff:
        return
    assert parsed("tiny", text, FACTS) is not None


def test_the_same_question_gets_the_same_answer(tiny: LanguageModel) -> None:
    model = LocalChat(language_model=tiny)
    assert model.complete_json(ASK, SMALL) == model.complete_json(ASK, SMALL)


def test_a_question_longer_than_the_window_is_refused(tiny: LanguageModel) -> None:
    long = [{"role": "user", "content": "where is the boat " * 60}]
    with pytest.raises(CutOff, match="reads 512"):
        LocalChat(language_model=tiny).complete_json(long, SMALL)


def test_a_form_that_the_grammar_does_not_know_is_named(tiny: LanguageModel) -> None:
    with pytest.raises(BadSchema):
        LocalChat(language_model=tiny).complete_json(ASK, {"type": "string", "pattern": "(?=a)b"})


def test_the_embedded_model_answers_in_the_form_that_is_asked_for(embedded: LanguageModel) -> None:
    answer = LocalChat(language_model=embedded).complete_json(ASK, SMALL, max_tokens=60)
    assert parsed("embedded", answer, SMALL)["label"] in ("yes", "no")
