"""How every error below becomes an exit code and an HTTP status; and the errors of the entrances.

ServiceError
├── BadSettings    a setting is unknown or of the wrong kind
├── BadText        what was given to be read holds no text
├── CannotDraw     a picture was asked for that cannot be drawn; carries why
├── NoConsent      a person without a consent record was to be simulated
├── PortTaken      another program listens there
├── ServerAway     a slowwave daemon elsewhere could not be asked; carries why
├── MissingExtra   an optional part of the installation is needed
└── NotLoopback    an address other than loopback was to be served without a token
"""

from __future__ import annotations

from agents.errors import (
    AgentError,
    BackendMissing,
    BackendUnreachable,
    BadAnswer,
    BaseChanged,
    BudgetSpent,
    QuotaSpent,
)
from consolidation.errors import NightError, UnknownRun
from db.errors import DatabaseError, LeaseHeld, SchemaTooNew, StoreFull, StoreUnusable
from memory.errors import (
    BrokenExport,
    CannotDecide,
    CannotMerge,
    CannotUndo,
    CannotUnmerge,
    EmptyChat,
    GraphError,
    ModelMissing,
    NameTaken,
    NewerFormat,
    NotTheirName,
    PlanChanged,
    SpaceInUse,
    TaintedArtifact,
    UnknownCertificate,
    UnknownClaim,
    UnknownDecision,
    UnknownDigest,
    UnknownEpisode,
    UnknownFact,
    UnknownFormat,
    UnknownLine,
    UnknownMerge,
    UnknownPerson,
    UnknownPredicate,
    UnknownSession,
    UnknownSource,
    UnknownVersion,
    WrongEmbedder,
    WrongEntrance,
)
from simulator.errors import (
    NoConsent,
    OtherBase,
    SimulatorError,
    SteeringElsewhere,
    TooFewExamples,
    UnknownDirection,
    UnknownTurn,
)


class ServiceError(Exception):
    """Base of everything `service` raises on purpose."""


class BadSettings(ServiceError):
    """The message names the key and where it was set."""


class BadText(ServiceError):
    """`name` is a file's name, or what else the texts came from; never a text."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} cannot be read: {why}; give a text, or a file with one in each line")


class CannotDraw(ServiceError):
    def __init__(self, why: str) -> None:
        super().__init__(f"the picture cannot be drawn: {why}")


class PortTaken(ServiceError):
    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(f"cannot listen on {host}:{port} ({why}); stop what does, or give another --port")


class MissingExtra(ServiceError):
    def __init__(self, extra: str, module: str) -> None:
        super().__init__(f"{module} is not installed; run `pip install 'slowwave[{extra}]'`")


class ServerAway(ServiceError):
    def __init__(self, address: str, why: str, hint: str) -> None:
        super().__init__(f"cannot read {address}: {why}; {hint}")


class NotLoopback(ServiceError):
    def __init__(self, host: str) -> None:
        super().__init__(f"serving on {host} needs a token; set SLOWWAVE_TOKEN, or serve on 127.0.0.1")


EXPECTED: tuple[type[Exception], ...] = (
    ServiceError,
    SimulatorError,
    NightError,
    AgentError,
    GraphError,
    DatabaseError,
)

# The nearest class in an error's ancestry decides.
HTTP_STATUS: dict[type[Exception], int] = {
    DatabaseError: 500,
    SchemaTooNew: 503,
    StoreFull: 507,
    StoreUnusable: 503,
    LeaseHeld: 409,
    GraphError: 400,
    UnknownFormat: 415,
    BrokenExport: 400,
    EmptyChat: 400,
    NewerFormat: 400,
    WrongEntrance: 415,
    SpaceInUse: 409,
    UnknownPerson: 404,
    NotTheirName: 404,
    NameTaken: 409,
    UnknownMerge: 404,
    CannotMerge: 409,
    CannotUnmerge: 409,
    UnknownFact: 404,
    UnknownDecision: 404,
    UnknownDigest: 404,
    UnknownSession: 404,
    UnknownClaim: 404,
    UnknownLine: 404,
    UnknownVersion: 404,
    UnknownPredicate: 404,
    UnknownEpisode: 404,
    UnknownSource: 404,
    UnknownCertificate: 404,
    PlanChanged: 409,
    TaintedArtifact: 409,
    CannotDecide: 409,
    CannotUndo: 409,
    WrongEmbedder: 409,
    ModelMissing: 503,
    AgentError: 502,
    BaseChanged: 409,
    BackendMissing: 503,
    BackendUnreachable: 502,
    QuotaSpent: 503,
    BudgetSpent: 503,
    BadAnswer: 502,
    NightError: 409,
    UnknownRun: 404,
    SimulatorError: 400,
    NoConsent: 403,
    UnknownDirection: 404,
    UnknownTurn: 404,
    SteeringElsewhere: 409,
    TooFewExamples: 409,
    OtherBase: 409,
    ServiceError: 400,
    BadSettings: 400,
    BadText: 400,
    CannotDraw: 400,
    PortTaken: 409,
    ServerAway: 502,
    MissingExtra: 503,
    NotLoopback: 400,
}


def http_status(error: Exception) -> int:
    for kind in type(error).__mro__:
        if kind in HTTP_STATUS:
            return HTTP_STATUS[kind]
    return 500


def one_line(error: BaseException) -> str:
    """The message for people: one line, no traceback."""
    return " ".join(str(error).split()) or type(error).__name__
