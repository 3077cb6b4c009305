"""JSON piece by piece: the same values as all at once, memory for one element, damage with its place."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.importers import json_stream
from memory.importers.files import File
from memory.importers.json_stream import JsonDamage, JsonStream

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def stream_of(folder: Path, text: str | bytes) -> JsonStream:
    path = folder / "x.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return JsonStream(File(path.name, path.stat().st_size, path))


@given(st.lists(_VALUES, max_size=6), st.sampled_from([None, 1]), st.integers(1, 9))
def test_elements_are_what_the_standard_library_reads(
    tmp_path_factory: Any, values: list[Any], indent: int | None, n_read: int
) -> None:
    text = json.dumps({"skip": values, "messages": values, "end": 1}, indent=indent, ensure_ascii=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_READ", n_read)
        found: list[Any] = []
        with stream_of(tmp_path_factory.mktemp("json"), text) as stream:
            for key in stream.members():
                if key == "messages":
                    found += stream.elements()
    assert found == json.loads(json.dumps(values))


def test_parts_that_are_not_asked_for_are_passed_over(tmp_path: Path) -> None:
    with stream_of(tmp_path, '{"a": {"b": [1, {"c": 2}]}, "d": [[1, 2], 3], "e": "f"}') as stream:
        assert list(stream.members()) == ["a", "d", "e"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"messages": [1, 2', "line 1, column 19"),
        ('{"messages": [\n1,\n  x]}', "line 3, column 3"),
        ('{"messages": [{"a": 1}\n{"b": 2}]}', "line 2, column 1"),
        ('{"messages" 3}', "line 1, column 13"),
        ("{3: 4}", "line 1, column 2"),
        ('{"messages": [' + "[" * 100_000, "line 1, column 15"),
    ],
)
def test_damage_is_told_with_its_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(JsonDamage) as caught, stream_of(tmp_path, text) as stream:
        _ = [part for _ in stream.members() for part in stream.elements()]
    assert caught.value.place == place


def test_the_place_is_right_far_behind_the_first_buffer(tmp_path: Path) -> None:
    rows = ",\n".join(json.dumps({"text": "word " * 50}) for _ in range(3000))
    with pytest.raises(JsonDamage) as caught, stream_of(tmp_path, f"[{rows},\n  oops]") as stream:
        list(stream.elements())
    assert caught.value.place == "line 3001, column 3"


def test_memory_holds_one_element_and_not_the_file(tmp_path: Path) -> None:
    rows = ",".join(json.dumps({"text": "word " * 40}) for _ in range(40_000))
    with stream_of(tmp_path, f"[{rows}]") as stream:
        tracemalloc.start()
        n_elements = sum(1 for _ in stream.elements())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert n_elements == 40_000
    assert peak < 2_000_000  # of 8.6 MB


def test_bytes_that_are_no_text_are_counted(tmp_path: Path) -> None:
    with stream_of(tmp_path, b'["caf\xe9", "\xff\xfe"]') as stream:
        assert list(stream.elements()) == ["caf\ufffd", "\ufffd\ufffd"]
        assert stream.file.meter.n_lost == 3
