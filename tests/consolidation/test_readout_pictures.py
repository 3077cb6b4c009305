"""Claims about pictures of readouts: what they show, that they are well formed, and that they ask nothing of the outside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import numpy as np
import pytest

from consolidation.readout_pictures import (
    HTML,
    READINGS,
    SVG,
    TAGS,
    Felt,
    Picture,
    alike,
    as_file,
    cross_talk,
    layer_curves,
    speakers,
    timeline,
)
from consolidation.readouts import Activations, Contrast, Manifest, Provenance, build

NAMES = ("joy", "delight", "fear", "<b>awe & dread</b>")
ANA, BO = "Ana Reis", "Bo <Lund>"
MONDAY = datetime(2025, 3, 3, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    """Layer 5 of 4, 5, 6 carries four directions, of which the first two are nearly one."""
    random = np.random.default_rng(0)
    acts = random.normal(size=(240, 3, 16)).astype(np.float32)
    directions = np.eye(16, dtype=np.float32)[:4]
    directions[1] = directions[0] + 0.2 * directions[1]
    for row in range(200):
        acts[row, 1] += 3 * directions[row % 4]
    contrasts = {
        name: Contrast(tuple(range(k, 200, 4)), tuple(range(200, 240))) for k, name in enumerate(NAMES)
    }
    seen = Activations(acts, np.ones(3, np.float32), (4, 5, 6))
    return build(seen, contrasts, (), Provenance("b" * 64, "t", None, {}, seed=0), n_layers=2).manifest


def weeks(n: int, person: str, joy: Sequence[float], fear: float = 0.0) -> list[Felt]:
    """Four messages a week: `joy[week]` give or take a little, and a steady fear."""
    return [
        Felt(
            person,
            MONDAY + timedelta(weeks=week, days=day),
            {"joy": joy[week] + 0.1 * (day - 1.5), "fear": fear},
        )
        for week in range(n)
        for day in range(4)
    ]


def texts_of(drawing: str) -> list[str]:
    return [
        element.text or ""
        for element in ElementTree.fromstring(drawing).iter()
        if element.tag.endswith("text")
    ]


def test_concepts_that_read_alike_stand_beside_each_other() -> None:
    cosines = np.array([[1, 0, 0.9, 0], [0, 1, 0, 0.8], [0.9, 0, 1, 0], [0, 0.8, 0, 1.0]], np.float32)
    order = alike(cosines)
    assert abs(order.index(0) - order.index(2)) == 1
    assert abs(order.index(1) - order.index(3)) == 1
    assert alike(cosines[:2, :2]) == [0, 1]


def test_cross_talk_shows_every_cosine(manifest: Manifest) -> None:
    (picture,) = cross_talk(manifest)
    by_name = {row[0]: dict(zip(picture.head[1:], row[1:], strict=True)) for row in picture.rows}
    mean = np.mean(manifest.cross_talk, axis=0)
    assert by_name["joy"]["delight"] == f"{mean[0, 1]:.2f}"
    assert set(by_name["fear"].values()) <= set(texts_of(picture.drawing))


def test_layers_show_the_held_out_auroc_of_every_layer_tried(manifest: Manifest) -> None:
    curves, field = layer_curves(manifest)
    assert curves.head == ("", "4", "5", "6")
    assert curves.drawing.count("<polyline") == 6  # four concepts, their mean and chance
    shown = {row[0]: row[1:] for row in field.rows}
    assert shown["fear"] == tuple(f"{row[2]:.2f}" for row in manifest.tried_auroc)
    assert all(str(layer) in curves.title for layer in manifest.layers)


def test_a_manifest_from_before_layers_were_kept_shows_those_it_has(manifest: Manifest) -> None:
    from dataclasses import replace

    old = replace(manifest, tried=(), tried_auroc=())
    assert layer_curves(old)[-1].head == ("", *map(str, old.layers))


def test_a_timeline_has_a_point_per_person_and_week_and_draws_what_moves_first() -> None:
    felt = weeks(3, ANA, (0, 2, -1), fear=0.3) + weeks(2, BO, (1, 1), fear=0.3)
    pictures = timeline(felt, (ANA, BO), READINGS)
    assert [picture.title for picture in pictures] == ["joy: reading by week", "fear: reading by week"]
    assert pictures[0].rows == (
        ("2025-03-03", "0.00 of 4", "1.00 of 4"),
        ("2025-03-10", "2.00 of 4", "1.00 of 4"),
        ("2025-03-17", "-1.00 of 4", ""),
    )
    assert "week of 2025-03-17" in texts_of(pictures[0].drawing)


def test_weeks_with_few_messages_and_concepts_without_any_are_not_drawn() -> None:
    felt = [*weeks(2, ANA, (0, 1)), Felt(ANA, MONDAY + timedelta(weeks=5), {"joy": 9.0})]
    (picture,) = timeline(felt, (ANA, BO), TAGS, ["joy"])
    assert [row[0] for row in picture.rows] == ["2025-03-03", "2025-03-10"]
    assert timeline(felt[-1:], (ANA, BO), TAGS) == []


def test_a_message_without_a_tag_counts_as_none_of_it() -> None:
    felt = [Felt(ANA, MONDAY, {"joy": 8.0}), *(Felt(ANA, MONDAY, {}) for _ in range(3))]
    (picture,) = timeline(felt, (ANA,), TAGS, ["joy"])
    assert picture.rows[0][1] == "2.00 of 4"


def test_speakers_stand_apart_from_the_mean_of_all_of_them() -> None:
    felt = weeks(2, ANA, (2, 2)) + weeks(2, BO, (0, 0)) + [Felt("Cy", MONDAY, {"joy": 9.0})]
    apart, means = speakers(felt, (ANA, BO, "Cy"), ("joy", "fear"))
    assert apart.rows == ((f"{ANA} (8)", "1.00", "0.00"), (f"{BO} (8)", "-1.00", "0.00"))
    assert means.rows[0] == (f"{ANA} (8)", "2.00", "0.00")
    assert speakers(felt[-1:], ("Cy",), ("joy",)) == []


@pytest.fixture
def pictures(manifest: Manifest) -> list[Picture]:
    felt = weeks(3, ANA, (0, 2, -1)) + weeks(3, BO, (1, 1, 0))
    return [
        *cross_talk(manifest),
        *layer_curves(manifest),
        *timeline(felt, (ANA, BO), READINGS),
        *speakers(felt, (ANA, BO), ("joy", "fear")),
    ]


def test_a_file_is_well_formed_light_and_dark_and_asks_nothing_of_the_outside(
    pictures: list[Picture],
) -> None:
    text = as_file(pictures, "Readouts: all", SVG)
    root = ElementTree.fromstring(text)
    assert root.attrib["role"] == "img"
    assert all(picture.title in root.attrib["aria-label"] for picture in pictures)
    assert "prefers-color-scheme: dark" in text
    assert "var(--" not in text
    assert not re.search(r"(?:href|src|url\(|@import|<script)", text)


def test_a_page_names_every_drawing_and_has_its_numbers_as_a_table(pictures: list[Picture]) -> None:
    text = as_file(pictures, "Readouts: all", HTML)
    assert text.count("<svg") == text.count('aria-label="') == text.count("<table>") == len(pictures)
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"(?:href|src=|url\(|@import|<script)", text)
    for marked in (BO, NAMES[3]):
        assert marked not in text
    assert "Bo &lt;Lund&gt;" in text
