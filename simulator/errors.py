"""Errors of the simulator.

SimulatorError
├── NoConsent      nobody has recorded that this person agreed to be simulated
└── SamePerson     somebody was to talk with their own persona (autocomplete is meant for that)
"""

from __future__ import annotations


class SimulatorError(Exception):
    """Base of everything `simulator` raises on purpose."""


class NoConsent(SimulatorError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f'{name} is simulated only with consent; when they have agreed, run `slowwave consent "{name}" --by WHO`'
        )
        self.name = name


class SamePerson(SimulatorError):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name} cannot talk with themselves; use --autocomplete to continue as oneself")
