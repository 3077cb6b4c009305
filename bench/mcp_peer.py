"""An MCP server in a process of its own, spoken to over standard input and output, line by line."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

PROTOCOL = "2025-11-25"
RELEASE = "2026.8.31"
PACKAGE = "@modelcontextprotocol/server-memory"


class Peer:
    """Use it in a `with`. Raises EOFError where the server ends, TimeoutError never: whoever calls bounds the run."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            cwd=cwd,
            env={**os.environ, **environment},
        )
        self._n = 0
        self.notes: list[dict[str, Any]] = []  # what it said without being asked

    def __enter__(self) -> Self:
        hello = {
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": {"name": "bench", "version": "1"},
        }
        self.ask("initialize", hello)
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return self.ask("tools/call", {"name": tool, "arguments": dict(arguments)})

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The result, or the error under `error`."""
        self._n += 1
        self._write({"jsonrpc": "2.0", "id": self._n, "method": method, "params": dict(params or {})})
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            answer = json.loads(line)
            if answer.get("id") == self._n:
                return dict(answer["result"]) if "result" in answer else {"error": answer["error"]}
            self.notes.append(answer)
        raise EOFError("the server has ended")

    def _write(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


def installed(folder: Path, package: str = PACKAGE, release: str = RELEASE) -> Path:
    """The package's folder, installed by npm into a scratch folder where it is not there."""
    home = folder / "node_modules" / package
    if not home.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", f"{package}@{release}"]
        subprocess.run(command, cwd=folder, check=True, timeout=600, stdout=subprocess.DEVNULL)
    return home


def official(folder: Path, memory: Path) -> Peer:
    """The official server, which keeps everything in `memory`."""
    script = installed(folder) / "dist" / "index.js"
    return Peer(["node", str(script)], {"MEMORY_FILE_PATH": str(memory)}, folder)
