from __future__ import annotations

from consolidation.style_page import StyleLine, section

CHECK = {"number": "ppl_change", "value": 0.012, "limit": 0.05, "passed": True, "at_least": False}
TOLD = {
    "person": "1",
    "standing": "trained",
    "n_messages": 400,
    "n_windows": 210,
    "steps": 80,
    "serves": True,
    "why": None,
    "effect": {
        "n": 40,
        "coefficient": 1.0,
        "before": {"nats_per_token": 4.5, "bits_per_char": 2.2},
        "after": {"nats_per_token": 3.1, "bits_per_char": 1.5},
        "checks": [CHECK],
        "passed": True,
    },
}
SAMPLE = {"said": ["hi <b>"], "without": "Hello!", "styled": "hey\nyou ok?"}


def test_a_page_without_anybody_who_agreed_has_no_such_part() -> None:
    assert section([]) == ""


def test_what_was_trained_stands_with_its_numbers_its_loss_and_its_samples() -> None:
    html = section([StyleLine("Ada <i>", TOLD, {"real talk": [(1, 3.0), (2, 2.0)]}, [SAMPLE])])
    assert "Ada &lt;i&gt;" in html
    assert "4.500 → 3.100" in html
    assert "2.200 → 1.500" in html
    assert "+1.2 %" in html
    assert "<svg" in html
    assert "hey<br>you ok?" in html
    assert "hi &lt;b&gt;" in html


def test_who_was_not_trained_is_named_with_the_reason() -> None:
    few = {"person": "1", "standing": "prompt only", "n_messages": 12, "n_trained": None}
    refused = {**TOLD, "serves": False, "why": "ppl_change 0.090 is over 0.050"}
    html = section([StyleLine("Bo", few), StyleLine("Cy", refused)])
    assert "prompt only" in html
    assert "left out: ppl_change 0.090 is over 0.050" in html
