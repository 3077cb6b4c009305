"""Claims about the two formats of training rows: what is read, what is skipped and why, what is written."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from consolidation.curriculum import turn
from consolidation.errors import NoRows
from consolidation.rows import FORMATS, MAX_CHARS, TrainingRow, read_rows, rows_of_run, write_rows
from consolidation.stage import NightContext
from memory.registry import Registry
from memory.types import Skipped

REGISTRY = Registry.load()
QA = {
    "messages": [{"role": "user", "content": "Born in 1903?"}, {"role": "assistant", "content": "No, 1961."}],
    "person": "odd",
    "type": "correction",
    "keywords": ["1961", "no"],
}
TURNS = {
    "text": "<|im_start|>assistant\nWhere do you live?<|im_end|>\n<|im_start|>user\nIn Alesund.<|im_end|>\n",
    "person": "odd",
    "style": "short",
    "mode": "implicit",
    "variant": 3,
}


def file(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(tmp_path: Path, text: str | bytes) -> list[TrainingRow | Skipped]:
    return list(read_rows(file(tmp_path, text)))


def test_both_formats_are_read_also_from_one_file(tmp_path: Path) -> None:
    first, second = read(tmp_path, f"{json.dumps(QA)}\n\n{json.dumps(TURNS)}\n")
    assert first == TrainingRow(turn("Born in 1903?", "No, 1961."), "odd", "correction", ("1961", "no"))
    assert isinstance(second, TrainingRow)
    assert second.form == "implicit"
    assert [message["role"] for message in second.messages] == ["assistant", "user"]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([QA, QA]),
        json.dumps([QA, QA], indent=2),
        f"\ufeff{json.dumps(QA)}\r\n{json.dumps(QA)}",
        "\n".join(json.dumps({"question": "Born in 1903?", "answer": "No, 1961."}) for _ in range(2)),
    ],
)
def test_an_array_lines_and_plain_pairs_are_read_alike(tmp_path: Path, text: str) -> None:
    rows = read(tmp_path, text)
    assert [row.messages for row in rows if isinstance(row, TrainingRow)] == [
        turn("Born in 1903?", "No, 1961.")
    ] * 2


@pytest.mark.parametrize("format_", FORMATS)
def test_what_is_written_is_read_back(tmp_path: Path, format_: str) -> None:
    rows = [
        TrainingRow(
            turn("Où habites-tu ?\nDis-moi.", 'À "Ålesund" — là.'), "Odd Myhre", "question", ("Ålesund",)
        ),
        TrainingRow((*turn("a?", "b."), *turn("c?", "d.")), "", "turns"),
        TrainingRow(({"role": "system", "content": "You are Odd."}, *turn("[A] hi\n[ODD]", "hello")), "Odd"),
    ]
    output = io.BytesIO()
    assert write_rows(rows, format_, output) == (3, 0)
    assert read(tmp_path, output.getvalue()) == rows


def test_a_message_that_quotes_the_marks_is_left_out_and_counted() -> None:
    row = TrainingRow(turn("say <|im_end|>", "no"))
    output = io.BytesIO()
    assert write_rows([row, TrainingRow(turn("a", "b"))], "turns", output) == (1, 1)
    assert output.getvalue().count(b"\n") == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"messages": [', "is cut off"),
        ("plain words", "is no JSON"),
        ('"a text"', "no object"),
        ("17", "no object"),
        ("{}", 'no "messages", no "text"'),
        ('{"question": "where?"}', 'no "messages", no "text"'),
        ('{"question": 4, "answer": null}', "role"),
        ('{"messages": {}}', "no list"),
        ('{"messages": []}', "needs a turn"),
        ('{"messages": [{"role": "system", "content": "x"}]}', "needs a turn"),
        ('{"messages": [{"role": "robot", "content": "x"}]}', "role"),
        (
            '{"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "x"}]}',
            "is empty",
        ),
        ('{"text": "no marks at all"}', "no ChatML"),
        ('{"text": "<|im_start|>user\\nhi<|im_end|>\\n<|im_start|>assistant\\nhel"}', "cut off"),
        (json.dumps({"question": "x" * MAX_CHARS, "answer": "y"}), "longer than"),
        (json.dumps({"question": "x" * 9 * MAX_CHARS, "answer": "y"}), "longer than"),
        ("[" * 100_000, "is no JSON"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_by_place_and_reason(
    tmp_path: Path, line: str, reason: str
) -> None:
    good = json.dumps(QA)
    before, bad, after = read(tmp_path, f"{good}\n{line}\n{good}\n")
    assert isinstance(before, TrainingRow)
    assert isinstance(after, TrainingRow)
    assert isinstance(bad, Skipped)
    assert bad.place == "line 2"
    assert reason in bad.reason


def test_an_array_that_breaks_off_gives_what_stood_before(tmp_path: Path) -> None:
    *rows, last = read(tmp_path, json.dumps([QA, QA])[:-30])
    assert len(rows) == 1
    assert isinstance(last, Skipped)
    assert "breaks off" in last.reason


@pytest.mark.parametrize(
    ("text", "why"),
    [(b"", "empty"), (b" \n\n", "empty"), (b"hello", "no JSON"), (b"\x00\x01\x02\x03" * 40, "no")],
)
def test_a_file_of_something_else_is_refused_in_one_line(tmp_path: Path, text: bytes, why: str) -> None:
    with pytest.raises(NoRows, match=why) as refusal:
        read(tmp_path, text)
    assert "\n" not in str(refusal.value)


def test_what_a_night_trained_is_written_with_whom_it_is_about(taught_night: NightContext) -> None:
    night = taught_night
    rows = rows_of_run(night.database, night.space_id, night.run_id, REGISTRY, night.clock)
    plain = next(row for row in rows if row.form == "question")
    assert (plain.person, plain.keywords) == ("Mona Berg", ("Bergen",))
    assert any(row.form == "stranger" and not row.person for row in rows)
    assert rows_of_run(night.database, "another space", night.run_id, REGISTRY, night.clock) == []
