from __future__ import annotations

import json

import pytest

from bench.sensitive import main


def test_the_last_line_is_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(result["first"]) == {"recall", "false_alarms", "by_kind", "messages"}
    assert result["messages_per_s"] > 0
