"""How every error below becomes an exit code and an HTTP status; and the errors of the entrances.

ServiceError
├── BadSettings    a setting is unknown or of the wrong kind
├── BadText        what was given to be read holds no text
├── CannotDraw     a picture was asked for that cannot be drawn; carries why
├── NoConsent      a person without a consent record was to be simulated
├── PortTaken      another program listens there
├── AlreadyServed  a daemon serves the home; carries its address and process
├── NightNotBegun  a night's process could not begin it
├── ServerAway     a slowwave daemon elsewhere could not be asked; carries why
├── MissingExtra   an optional part of the installation is needed
├── UnknownJob     the space has no job of that id
├── JobEnded       a job that has ended was to be cancelled
├── JobUnfinished  what a job works with was to be removed
├── UnknownUpload  nothing of that id waits to be imported
├── UploadTooLarge more was sent, or is kept already, than the settings allow
├── UploadsBusy    another upload is being looked at
├── BadUpload      what was sent is no upload; carries why
├── ChangedMeanwhile what is to be changed is another one than was read
├── BadKey         an Idempotency-Key that is none
├── KeyInUse       a request with the same Idempotency-Key is being answered
├── KeyOfAnother   the Idempotency-Key belongs to another request
├── UnknownPlace   a list was to go on behind a row that is not in it any more
├── BadToken       a token was asked for that cannot be
├── TokenExists    a token that opens something has that name
├── UnknownToken   no token has that id or name
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
from consolidation.errors import (
    BadName,
    BadRule,
    NightError,
    UnknownBehaviour,
    UnknownEntry,
    UnknownProbe,
    UnknownQuestion,
    UnknownReadout,
    UnknownRecipe,
    UnknownRun,
)
from db.errors import DatabaseError, LeaseHeld, SchemaTooNew, StoreFull, StoreUnusable
from memory.errors import (
    BrokenExport,
    CannotDecide,
    CannotMerge,
    CannotUndo,
    CannotUnmerge,
    EmptyChat,
    ExportTooCostly,
    GraphError,
    ModelMissing,
    NameTaken,
    NewerFormat,
    NotTheirName,
    PlanChanged,
    SpaceExists,
    SpaceInUse,
    TaintedArtifact,
    UnknownCertificate,
    UnknownClaim,
    UnknownDecision,
    UnknownDigest,
    UnknownEntity,
    UnknownEpisode,
    UnknownFact,
    UnknownFormat,
    UnknownLine,
    UnknownMerge,
    UnknownPerson,
    UnknownPredicate,
    UnknownSession,
    UnknownSource,
    UnknownSpace,
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


class AlreadyServed(ServiceError):
    """Without `url` and `pid` the daemon that has the home is only starting."""

    def __init__(self, url: str | None, pid: int | None) -> None:
        who = f"at {url} (process {pid})" if url else "and is just starting"
        super().__init__(f"a daemon serves this home already, {who}; use that one, or stop it first")
        self.url, self.pid = url, pid


class MissingExtra(ServiceError):
    def __init__(self, extra: str, module: str) -> None:
        super().__init__(f"{module} is not installed; run `pip install 'slowwave[{extra}]'`")


class NightNotBegun(ServiceError):
    """`why` is a class or words of ours."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the night could not begin: {why}; the daemon's log has the place")


class ServerAway(ServiceError):
    def __init__(self, address: str, why: str, hint: str) -> None:
        super().__init__(f"cannot read {address}: {why}; {hint}")


class UnknownJob(ServiceError, LookupError):
    def __init__(self, job_id: str) -> None:
        super().__init__(f"this space has no job {job_id[:64]}; GET /v1/jobs and `slowwave status` list them")


class JobEnded(ServiceError):
    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"job {job_id} has ended already: {state}")


class JobUnfinished(ServiceError):
    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} works with it; cancel that with DELETE /v1/jobs/{job_id}")


class UnknownUpload(ServiceError, LookupError):
    def __init__(self, upload_id: str) -> None:
        super().__init__(
            f"nothing that was uploaded waits under {upload_id[:64]}: it was imported, erased or too old; send it again"
        )


class UploadTooLarge(ServiceError):
    def __init__(self, why: str) -> None:
        super().__init__(f"{why}; raise imports.spool_mb, or use `slowwave import` on the daemon's machine")


class UploadsBusy(ServiceError):
    def __init__(self) -> None:
        super().__init__(
            "another upload is being looked at; confirm this one without a look, or ask again in a minute"
        )


class PersonasBusy(ServiceError):
    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            f"too many requests wait for this space's personas already; ask again in {retry_after_s} s"
        )
        self.retry_after_s = retry_after_s


class BadUpload(ServiceError):
    def __init__(self, why: str) -> None:
        super().__init__(f"what was sent cannot be taken: {why}")


class ChangedMeanwhile(ServiceError):
    def __init__(self) -> None:
        super().__init__(
            "it was changed since you read it; read it again, and send the ETag of that as If-Match"
        )


class BadKey(ServiceError):
    def __init__(self) -> None:
        super().__init__(
            "an Idempotency-Key is 1 to 128 visible ASCII characters; a random UUID is a good one"
        )


class KeyInUse(ServiceError):
    def __init__(self) -> None:
        super().__init__("a request with this Idempotency-Key is being answered; ask again in a moment")


class KeyOfAnother(ServiceError):
    def __init__(self) -> None:
        super().__init__(
            "this Idempotency-Key belongs to another request; give each request a key of its own"
        )


class UnknownPlace(ServiceError):
    """`place` is the `after` of a request: an id."""

    def __init__(self, place: str) -> None:
        super().__init__(f"nothing of this list has the id {place[:64]} now; begin again without `after`")


class BadToken(ServiceError):
    """The message names what is wrong with what was asked for; never a secret."""


class TokenExists(ServiceError):
    def __init__(self, name: str) -> None:
        super().__init__(f"a token called {name!r} is valid already; revoke it first, or choose another name")


class UnknownToken(ServiceError, LookupError):
    def __init__(self, reference: str) -> None:
        super().__init__(f"no token has the id or name {reference[:64]!r}; `slowwave token list` shows them")


class NotLoopback(ServiceError):
    def __init__(self, host: str) -> None:
        super().__init__(
            f"serving on {host} needs a token; make one with `slowwave token add NAME`, set SLOWWAVE_TOKEN, "
            "or serve on 127.0.0.1"
        )


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
    ExportTooCostly: 413,
    NewerFormat: 400,
    WrongEntrance: 415,
    SpaceInUse: 409,
    SpaceExists: 409,
    UnknownSpace: 404,
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
    UnknownEntity: 404,
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
    UnknownRecipe: 404,
    UnknownEntry: 404,
    UnknownReadout: 404,
    UnknownProbe: 404,
    UnknownBehaviour: 404,
    UnknownQuestion: 404,
    BadRule: 400,
    BadName: 400,
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
    AlreadyServed: 409,
    NightNotBegun: 503,
    ServerAway: 502,
    MissingExtra: 503,
    NotLoopback: 400,
    BadToken: 400,
    TokenExists: 409,
    UnknownToken: 404,
    UnknownPlace: 400,
    ChangedMeanwhile: 412,
    BadKey: 400,
    KeyInUse: 409,
    KeyOfAnother: 422,
    UnknownJob: 404,
    JobEnded: 409,
    JobUnfinished: 409,
    UnknownUpload: 404,
    UploadTooLarge: 413,
    BadUpload: 400,
    UploadsBusy: 503,
    PersonasBusy: 503,
}


def http_status(error: Exception) -> int:
    for kind in type(error).__mro__:
        if kind in HTTP_STATUS:
            return HTTP_STATUS[kind]
    return 500


def one_line(error: BaseException) -> str:
    """The message for people: one line, no traceback."""
    return " ".join(str(error).split()) or type(error).__name__
