"""The log: no formatter writes an error's words; each line of the JSON form is an object."""

from __future__ import annotations

import io
import json
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.daemon import notify
from service.daemon.logs import log_to_stderr

SECRET = "the harbour office"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, hook = list(root.handlers), root.level, threading.excepthook
    yield
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)
    threading.excepthook = hook


def fail() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        raise ValueError(f"not {SECRET}") from error


@pytest.mark.parametrize("kind", ["text", "json"])
def test_an_error_is_its_class_and_its_place_and_never_its_words(kind: str) -> None:
    stream = io.StringIO()
    log_to_stderr(kind, stream)
    try:
        fail()
    except ValueError:
        logging.getLogger("x").exception("broke off after %d", 3)
    said = stream.getvalue()
    assert SECRET not in said
    assert "broke off after 3" in said
    assert "KeyError" in said
    assert "ValueError" in said
    assert "test_logs.py" in said


def test_a_thread_that_ends_with_an_error_keeps_its_words_too() -> None:
    stream = io.StringIO()
    log_to_stderr("json", stream)
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    line = json.loads(stream.getvalue())
    assert (line["level"], line["error"]) == ("error", "ValueError")
    assert SECRET not in stream.getvalue()


def test_json_lines_are_objects_with_a_time() -> None:
    stream = io.StringIO()
    log_to_stderr("json", stream)
    logging.getLogger("night").info("night %s\nended", "r1")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line).keys() == {"at", "level", "logger", "message"}


def test_systemd_is_told_where_it_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notify.tell(notify.READY)  # nobody asked
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "n"))
        heard.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        notify.tell(notify.READY)
        assert heard.recv(64) == b"READY=1"
    notify.tell(notify.STOPPING)  # nobody hears: no matter
