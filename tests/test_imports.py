from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TRAINING = ("torch", "transformers", "peft")


def loaded_after(statement: str, sought: Sequence[str] = TRAINING) -> set[str]:
    code = f"import sys; {statement}; print('\\n' + ' '.join(m for m in {sought!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_no_package_loads_torch_when_imported() -> None:
    assert (
        loaded_after(
            "import db, memory, agents, consolidation, simulator, service, service.cli, service.wiring"
        )
        == set()
    )


def test_the_modules_of_the_graph_never_load_torch() -> None:
    assert (
        loaded_after(
            "import memory.ask, memory.index, memory.embedders.minilm, agents.emotions, agents.judges"
        )
        == set()
    )


def test_a_persona_that_a_server_speaks_for_never_loads_torch() -> None:
    statement = (
        "import simulator.opening, simulator.scripted, simulator.drawing as d; d.sampling_with({}, {})"
    )
    assert loaded_after(statement) == set()


def test_help_loads_neither_the_store_nor_arithmetic() -> None:
    statement = "from service.cli import cli; cli.main(['--help'], standalone_mode=False)"
    assert loaded_after(statement, ("sqlalchemy", "numpy", "rich", "asyncio")) == set()


def test_the_state_of_things_is_told_without_search_and_arithmetic(tmp_path: Path) -> None:
    statement = f"from service.cli import cli; cli.main(['--home', {str(tmp_path / 'home')!r}, 'status'], standalone_mode=False)"
    sought = (
        "numpy",
        "networkx",
        "tantivy",
        "faiss",
        "tokenizers",
        "memory.erasure",
        "memory.ask",
        "service.cli.recipe",
    )
    loaded_after(statement)  # makes the store, which needs more
    assert loaded_after(statement, sought) == set()
