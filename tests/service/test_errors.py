from __future__ import annotations

import importlib
import inspect

import pytest

from service.errors import EXPECTED, HTTP_STATUS, http_status, one_line

PACKAGES = ("db", "memory", "agents", "consolidation", "simulator", "service")


def all_errors() -> list[type[Exception]]:
    found = []
    for package in PACKAGES:
        module = importlib.import_module(f"{package}.errors")
        found += [
            value
            for _, value in inspect.getmembers(module, inspect.isclass)
            if issubclass(value, Exception) and value.__module__ == module.__name__
        ]
    return found


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_error_below_has_an_exit_and_a_status(kind: type[Exception]) -> None:
    assert issubclass(kind, EXPECTED)
    assert any(ancestor in HTTP_STATUS for ancestor in kind.__mro__)


def test_an_unexpected_error_is_a_500() -> None:
    assert http_status(ValueError("x")) == 500


def test_a_message_is_one_line() -> None:
    assert one_line(ValueError("a\n  b")) == "a b"
