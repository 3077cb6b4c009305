"""Exports of weights on record, and what the certificate of an erasure says of those that hold the erased."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any


def test_the_certificate_names_the_exports_that_still_hold_the_erased(
    told_vectors: Any, tmp_path: Path
) -> None:
    assert told_vectors("recipe", "exports").out == "no weights were exported\n"
    assert told_vectors("recipe", "add", tmp_path / "one", "--about", "Bo").code == 0
    assert told_vectors("recipe", "export", "--out", tmp_path / "before").code == 0
    assert told_vectors("recipe", "add", tmp_path / "two", "--about", "Ada").code == 0
    made = [
        told_vectors("recipe", "export", "--out", tmp_path / name, "--json").json
        for name in ("out", "moved", "voice of Ada Lund")
    ]
    shutil.rmtree(tmp_path / "moved")
    shown = told_vectors("forget", "person", "Ada", "--json").json
    (line,) = [line for line in shown["lines"] if line["kind"] == "export"]
    assert (line["act"], line["ids"]) == ("stays", [one["folder"] for one in made])
    done = told_vectors("forget", "person", "Ada", "--yes")
    assert done.code == 0, done.err
    assert "3 exports of weights hold it, 2 of them where they were written" in done.out
    seq = told_vectors("ledger", "show", "--json").json[0]["payload"]["began_seq"]
    certificate = told_vectors("forget", "--certificate", seq).json
    assert [one["sha256"] for one in certificate["exports"]] == [one["sha256"] for one in made]
    assert [one["there"] for one in certificate["exports"]] == [True, False, True]
    assert str(tmp_path) not in json.dumps(certificate)
    found = told_vectors("recipe", "exports", "--json").json
    assert [one["holds_erased"] for one in found] == [False, True, True, True]
    assert [one["folder"] and Path(one["folder"]).name for one in found] == ["before", "out", "moved", None]
    told = told_vectors("recipe", "exports").out.splitlines()
    assert told[0].endswith(f": {tmp_path / 'before'}")
    assert told[1].endswith(f"as peft: {tmp_path / 'out'}; holds what was erased, delete it")
    assert told[2].endswith("; held what was erased; not there any more")
    assert told[3].endswith(": a folder whose path held an erased name; holds what was erased, delete it")
    assert told_vectors("verify").code == 0


def test_an_export_that_is_refused_is_not_there(told_vectors: Any, tmp_path: Path) -> None:
    assert told_vectors("recipe", "export", "--out", tmp_path / "out").code == 1
    assert told_vectors("recipe", "exports", "--json").json == []
