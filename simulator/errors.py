"""Errors of the simulator.

SimulatorError
├── NoConsent         nobody has recorded that this person agreed to be simulated
├── EmptyTurn         nothing was said (also a ValueError)
├── BadSampling       what is no setting of how words are drawn, or beyond its bounds (also a ValueError)
├── SteeringElsewhere a persona that a server speaks was to be steered
├── SamePerson        somebody was to talk with their own persona
├── TooManyPersonas   more were to talk with each other than can, a human among them counted (also a ValueError)
├── UnknownTurn       no turn of a persona, or more than one, goes by that id (also a LookupError)
├── UnknownDirection  nothing to steer by goes by that name (also a LookupError)
├── TooFewExamples    too few messages to make a direction of
├── OtherBase         a direction was made with another base model; carries both hashes
├── BadDose           what cannot be a direction with a dose (also a ValueError)
├── NothingHeldOut    a person said nothing that their weights have not seen
└── BadChoices        a file is no sheet's key, or no choices made on it (also a ValueError)
"""

from __future__ import annotations

from collections.abc import Sequence


class SimulatorError(Exception):
    """Base of everything `simulator` raises on purpose."""


class NoConsent(SimulatorError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f'{name} is simulated only with consent; when they have agreed, run `slowwave consent "{name}" --by WHO`'
        )
        self.name = name


class EmptyTurn(SimulatorError, ValueError):
    def __init__(self) -> None:
        super().__init__(
            "nothing was said; say something, or use --autocomplete to let them go on by themselves"
        )


class BadSampling(SimulatorError, ValueError):
    def __init__(self, text: str, known: Sequence[str]) -> None:
        super().__init__(f"{text!r} cannot be set; what can: {', '.join(known)}, as in temperature=0.9")


class SteeringElsewhere(SimulatorError):
    def __init__(self) -> None:
        super().__init__(
            'steering changes a model in this process, and a server speaks; set persona.engine = "local", '
            "or leave --steer out"
        )


class UnknownTurn(SimulatorError, LookupError):
    def __init__(self, name: str, n_found: int) -> None:
        many = "no turn of a persona goes" if not n_found else f"{n_found} turns of personas go"
        super().__init__(f"{many} by {name or 'that'}; `slowwave why-said` lists the newest with their ids")


class SamePerson(SimulatorError):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} cannot talk with themselves; name somebody else (with --autocomplete, --as is whom {name} writes to)"
        )


class TooManyPersonas(SimulatorError, ValueError):
    def __init__(self, n: int, most: int) -> None:
        super().__init__(
            f"{n} are more than can talk with each other; name {most} at most, a human among them counted"
        )


class UnknownDirection(SimulatorError, LookupError):
    def __init__(self, name: str, known: Sequence[str]) -> None:
        have = f"the readout has {', '.join(known)}" if known else "there is no readout; run `slowwave sleep`"
        super().__init__(
            f"there is no direction {name}: {have}; two are paired as ONE-OTHER, and topic:WORDS, mentions:NAME and "
            "probe:NAME are made of messages and probes"
        )
        self.name = name


class TooFewExamples(SimulatorError):
    def __init__(self, name: str, n_having: int, n_lacking: int, least: int) -> None:
        super().__init__(
            f"{name} has {n_having} messages and {n_lacking} without it; a direction takes {least} of either, "
            "so import more of the chat or ask for something commoner"
        )


class OtherBase(SimulatorError):
    def __init__(self, name: str, made_with: str, base_hash: str) -> None:
        super().__init__(
            f"the direction {name} was made with base {made_with[:12]}, the model is {base_hash[:12]}; "
            "set base_model back, or run `slowwave sleep` for new ones"
        )
        self.made_with = made_with
        self.base_hash = base_hash


class BadDose(SimulatorError, ValueError):
    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} is no dose; write DIRECTION=DOSE, as in joy=0.2, with a dose from -4 to 4"
        )


class NothingHeldOut(SimulatorError):
    def __init__(self, name: str, n_replies: int, least: int) -> None:
        super().__init__(
            f"{name} has {n_replies} replies that their weights have not seen; a report takes {least}, "
            "so import more of the chat"
        )


class BadChoices(SimulatorError, ValueError):
    def __init__(self, why: str) -> None:
        super().__init__(
            f"the choices cannot be counted: {why}; give the sheet's .key.json, and the files that judges saved"
        )
