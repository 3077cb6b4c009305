"""Starts the reader's child by forking a process that has it loaded, so that ten thousand cases take minutes.

What runs in the child is the product's own (`memory.parsing.__main__.main`), under the limits that it sets itself; only
the start of an interpreter is saved. `bench.uploads` starts every so many cases as the daemon does.
"""

from __future__ import annotations

import importlib
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

_STATUS = struct.Struct("<iq")  # exit code as Popen has it, and the child's largest resident kilobytes


class Nursery:
    """Close it when done."""

    def __init__(self, folder: Path) -> None:
        self._address = str(folder / "nursery")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.upload_nursery", self._address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()  # it listens

    def start(self, request: bytes, out: int, scratch: Path) -> Born:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.connect(self._address)
        asked, ask = os.pipe()
        said, say = os.pipe()
        socket.send_fds(line, [str(scratch).encode()], [asked, out, say])
        os.close(asked)
        os.close(say)
        pid = struct.unpack("<i", line.recv(4))[0]
        born = Born(pid, line, os.fdopen(ask, "wb"), os.fdopen(said, "rb", 0))
        born.stdin.write(request)
        born.stdin.flush()
        return born

    def close(self) -> None:
        with self._process:  # its pipes are closed and it is waited for
            self._process.kill()


class Born:
    """As much of a `Popen` as whoever attends a child needs."""

    largest_kb = 0  # of all of them

    def __init__(self, pid: int, line: socket.socket, stdin: IO[bytes], stderr: IO[bytes]) -> None:
        self.pid, self.stdin, self.stderr = pid, stdin, stderr
        self.returncode: int | None = None
        self._line = line

    def poll(self) -> int | None:
        return self._ended(0.0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("child", timeout or 0)
        return code

    def kill(self) -> None:
        os.kill(self.pid, 9)

    def _ended(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._line.settimeout(timeout)
            try:
                told = self._line.recv(_STATUS.size)
            except (TimeoutError, BlockingIOError):
                return None
            self.returncode, kb = _STATUS.unpack(told)
            Born.largest_kb = max(Born.largest_kb, kb)
            self._line.close()
        return self.returncode


def serve(address: str) -> None:
    """Fork once for each connection, for as long as standard input stays open."""
    for name in ("memory.parsing.__main__", "memory.exchange.detect"):  # what the children need
        importlib.import_module(name)

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    while True:
        line, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _attend(line)
        line.close()
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _attend(line: socket.socket) -> Any:
    scratch, files, _, _ = socket.recv_fds(line, 4096, 3)
    pid = os.fork()
    if pid == 0:
        _be_the_child(line, scratch.decode(), files)
    for file in files:
        os.close(file)
    line.send(struct.pack("<i", pid))
    _, status, usage = os.wait4(pid, 0)
    line.send(_STATUS.pack(os.waitstatus_to_exitcode(status), usage.ru_maxrss))
    os._exit(0)


def _be_the_child(line: socket.socket, scratch: str, files: list[int]) -> None:
    line.close()
    os.setsid()
    for place, file in enumerate(files):
        os.dup2(file, place)
        os.close(file)
    os.chdir(scratch)
    os.environ.clear()
    os.environ["TMPDIR"] = scratch
    from memory.parsing.__main__ import main

    try:
        os._exit(main())
    finally:
        os._exit(1)


if __name__ == "__main__":
    serve(sys.argv[1])
