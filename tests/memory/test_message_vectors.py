"""The file of one vector per message: what it holds, how it is searched, and that what is erased leaves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memory import erasure, message_vectors
from memory.erasure import Target
from memory.message_vectors import Manifest, MessageVectors, Nearest, merged, read, write
from memory.search.columns import as_number, digest_of
from memory.verify import verify

MADE_WITH = Manifest("m" * 64, "t" * 64, layer=1, width=8)
ANA, BEN = "Ana Reis", "Ben Ode"


def given(seed: int, *numbers: int) -> dict[int, tuple[int, Any]]:
    dice = np.random.default_rng(seed)
    return {number: (number + 7, dice.normal(3.0, 1.0, 8).astype(np.float32)) for number in numbers}


def indexed(world: Any, home: Path, **texts: str) -> dict[str, str]:
    """A file with a vector for each text that Ana says; name -> message id."""
    said = {name: world.say(ANA, day, text=text) for day, (name, text) in enumerate(texts.items())}
    dice = np.random.default_rng(0)
    rows = {
        as_number(said[name]): (digest_of(text), dice.normal(size=8).astype(np.float32))
        for name, text in texts.items()
    }
    write(message_vectors.path_of(home, world.space_id), merged(MADE_WITH, None, rows))
    return said


def stored(world: Any, home: Path) -> MessageVectors:
    found = read(message_vectors.path_of(home, world.space_id))
    assert found is not None
    return found


def test_what_was_written_is_read_back_mapped(tmp_path: Path) -> None:
    made = merged(MADE_WITH, None, given(0, 3, 1, 2))
    write(tmp_path / "a" / "f.safetensors", made)
    found = read(tmp_path / "a" / "f.safetensors")
    assert found is not None
    assert isinstance(found.unit_ND, np.memmap)
    assert found.unit_ND.dtype == np.float16
    assert found.manifest == MADE_WITH
    np.testing.assert_array_equal(found.ids, [3, 1, 2])
    np.testing.assert_allclose(found.raw(), made.raw())


def test_rows_are_centred_whitened_and_of_unit_length() -> None:
    vectors = given(1, *range(400))
    raw = np.stack([vector for _, vector in vectors.values()]) * np.linspace(1, 40, 8, dtype=np.float32)
    made = merged(MADE_WITH, None, {key: (0, row) for key, row in enumerate(raw)})
    np.testing.assert_allclose(made.centre, raw.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(made.unit_ND.astype(np.float32), axis=1), 1, atol=2e-3)
    variances = ((raw - made.centre) @ made.whitening).var(axis=0)
    assert variances.max() < 1.01
    assert variances[3:].min() > 0.5  # the smallest ones are damped
    np.testing.assert_allclose(made.raw(), raw, rtol=1e-3)


def test_few_vectors_can_be_whitened() -> None:
    made = merged(MADE_WITH, None, given(1, 5, 6))
    assert np.isfinite(made.unit_ND.astype(np.float32)).all()
    alone = merged(MADE_WITH, None, given(1, 5))
    assert not alone.unit_ND.any()
    assert len(merged(MADE_WITH, alone, {})) == 1


def test_adding_in_two_parts_gives_what_adding_at_once_gives() -> None:
    vectors = given(2, *range(12))
    first = merged(MADE_WITH, None, {key: vectors[key] for key in range(7)})
    both = merged(MADE_WITH, first, {key: vectors[key] for key in range(5, 12)})
    once = merged(MADE_WITH, None, vectors)
    order = np.argsort(both.ids)
    np.testing.assert_array_equal(both.ids[order], once.ids)
    np.testing.assert_allclose(both.raw()[order], once.raw(), atol=5e-3)


def test_the_nearest_are_those_of_an_exact_comparison() -> None:
    made = merged(MADE_WITH, None, given(3, *range(200)))
    question = np.random.default_rng(9).normal(3.0, 1.0, 8).astype(np.float32)
    places, cosines = Nearest(made).best(question, 5)
    white = (np.vstack([made.raw(), question]) - made.centre) @ made.whitening
    white /= np.linalg.norm(white, axis=1, keepdims=True)
    exact = white[:-1] @ white[-1]
    np.testing.assert_array_equal(places, np.argsort(-exact)[:5])
    np.testing.assert_allclose(cosines, exact[places], atol=2e-3)


def test_vectors_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        merged(MADE_WITH, None, {1: (0, np.full(8, np.nan, np.float32))})


def test_vectors_too_large_for_the_file_are_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        merged(MADE_WITH, None, {1: (0, np.full(8, 1e6, np.float32))})


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, b"\x00" * 64])
def test_a_damaged_file_counts_as_none(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "f.safetensors"
    write(path, merged(MADE_WITH, None, given(5, 1, 2)))
    path.write_bytes(path.read_bytes()[:40] + damage)
    assert read(path) is None


def test_an_erased_message_leaves_the_file_in_the_same_erasure(world: Any, tmp_path: Path) -> None:
    said = indexed(world, tmp_path, gone="the red door sticks in winter", kept="soup again", other="yes")
    before = stored(world, tmp_path)
    row = np.flatnonzero(before.ids == as_number(said["gone"]))[0]
    halves = np.array(before.unit_ND[row]).tobytes(), np.array(before.raw_ND[row]).tobytes()
    plan = erasure.make_plan(world.database, world.space_id, tmp_path, Target("episode", said["gone"]))
    assert plan.ids("message_vector", "goes") == {said["gone"]}
    erasure.erase(world.database, world.space_id, tmp_path, Target("episode", said["gone"]), world.registry)
    after = stored(world, tmp_path)
    assert as_number(said["gone"]) not in after.ids
    assert len(after) == 2
    every = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not any(half in every for half in halves)
    assert as_number(said["gone"]).to_bytes(8, "little") not in every
    raw = before.raw()[before.ids != as_number(said["gone"])]
    np.testing.assert_allclose(after.centre, raw.mean(axis=0), atol=1e-5)


def test_a_message_with_other_words_loses_its_vector(world: Any, tmp_path: Path) -> None:
    indexed(world, tmp_path, named="Ben Ode fell off the ferry", kept="soup again")
    erasure.erase(
        world.database,
        world.space_id,
        tmp_path,
        Target("person", world.person(BEN), mentions="redact"),
        world.registry,
    )
    assert len(stored(world, tmp_path)) == 1


def test_pruning_removes_a_file_that_cannot_be_read(world: Any, tmp_path: Path) -> None:
    indexed(world, tmp_path, one="soup again")
    path = message_vectors.path_of(tmp_path, world.space_id)
    path.write_bytes(b"nothing")
    with world.database.reading() as session:
        message_vectors.prune(session, world.space_id, tmp_path)
    assert not path.exists()


def test_verify_tells_of_vectors_without_a_message(world: Any, tmp_path: Path) -> None:
    indexed(world, tmp_path, one="soup again")

    def found() -> list[str]:
        report = verify(world.database, world.space_id, tmp_path, world.registry)
        return [problem.what for problem in report.problems if problem.check == "attribution"]

    assert found() == []
    path = message_vectors.path_of(tmp_path, world.space_id)
    write(path, merged(MADE_WITH, read(path), given(6, 99)))
    assert found() == ["1 vectors for attribution are of messages that are not there"]
    path.write_bytes(b"nothing")
    assert found() == [f"{path.relative_to(tmp_path).as_posix()} cannot be read"]
