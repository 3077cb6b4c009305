"""docs/threats.md is true: each threat names a test that exists; and what holds for all of our code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("service", "simulator", "consolidation", "agents", "memory", "db")
NEVER = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def rows() -> list[list[str]]:
    lines = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if row[0] != "threat"]


def test_each_threat_names_a_test_that_exists() -> None:
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(
            r"^ *(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert len(rows()) > 25
    for threat, _, named in rows():
        tests = re.findall(r"`(test_\w+)`", named)
        assert tests, f"no test shows that it is met: {threat}"
        assert set(tests) <= defined, f"{threat}: {sorted(set(tests) - defined)}"


def test_no_pickle_is_read_anywhere() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if not any(word in text for word in (*NEVER, "torch")):
                continue
            for node in ast.walk(ast.parse(text)):
                assert not (imported(node) & NEVER), f"{path}: {ast.unparse(node)}"
                assert not reads_pickle(node), f"{path}: {ast.unparse(node)}"


def imported(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").partition(".")[0]}
    return set()


def reads_pickle(node: ast.AST) -> bool:
    """A call of torch.load, or numpy's with pickles allowed."""
    if not isinstance(node, ast.Call):
        return False
    is_allowed = any(
        word.arg == "allow_pickle"
        and not (isinstance(word.value, ast.Constant) and word.value.value is False)
        for word in node.keywords
    )
    is_load = isinstance(node.func, ast.Attribute) and node.func.attr == "load"
    return (is_load and ast.unparse(node.func) == "torch.load") or is_allowed
