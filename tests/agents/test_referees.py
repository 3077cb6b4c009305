from __future__ import annotations

import json

import pytest

from agents.backends.scripted import ScriptedChat
from agents.referees import ModelReferee


def test_a_model_reasons_before_it_compares() -> None:
    answer = {"reasoning": "Both name her rent.", "label": "contradiction", "confidence": 0.9}
    model = ScriptedChat([json.dumps(answer)])
    verdict = ModelReferee(model).compare("Ana's rent is 600.", "Ana's rent is 700.")
    assert (verdict.label, verdict.reason, verdict.confidence) == ("contradiction", answer["reasoning"], 0.9)
    assert "Ana's rent is 700." in model.calls[0][1]["content"]


@pytest.mark.parametrize("answers", [[], ["no json"], ['{"label": "contradiction"}']])
def test_a_model_that_is_away_or_wrong_compares_nothing(answers: list[str]) -> None:
    verdict = ModelReferee(ScriptedChat(answers)).compare("a", "b")
    assert verdict.label is None
    assert verdict.reason
