"""Requests made of the OpenAPI document, a few for each route; `python -m bench.api` sends ten thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import api


@pytest.mark.slow
def test_no_request_that_the_document_allows_or_forbids_makes_the_daemon_fail(tmp_path: Path) -> None:
    tally = api.run(tmp_path, 360, 1, with_night=False)
    assert tally.n_cases >= 300
    assert tally.failures == []
