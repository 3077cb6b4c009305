from __future__ import annotations

import subprocess
import sys


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(m for m in ('torch', 'transformers', 'peft') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


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
