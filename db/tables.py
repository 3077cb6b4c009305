"""Every table, as SQLAlchemy 2.1 declarative classes.

One row of `Space` is a tenant; every other table carries `space_id`. Ids are 16 hex digits made by
`new_id`, except where a content hash is the identity. Times are stored in UTC and come back aware.
Intervals are half-open `[valid_from, valid_to)` with None for open. No domain rule lives here.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy import text as as_sql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def new_id() -> str:
    """16 random hex digits."""
    return secrets.token_hex(8)


def new_ids(n: int) -> list[str]:
    """Ids for n rows that are written together: random in their first half, ascending, so that an index grows at one end."""
    found: list[str] = []
    while len(found) < n:
        block, first = secrets.token_hex(5), secrets.randbelow(1 << 20)
        found += [f"{block}{number:06x}" for number in range(first, min(first + n - len(found), 1 << 24))]
    return found


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored as naive UTC so that SQLite and Postgres agree; naive input is refused."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the store; attach a time zone first")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


def clean_text(text: str) -> str:
    """The text without what a store cannot hold: NUL and halves of surrogate pairs become U+FFFD."""
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class Words(TypeDecorator[str]):
    """Text from outside, of any length. SQLite and Postgres store the same: what `clean_text` leaves."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean_text(value)


class Label(TypeDecorator[str]):
    """A short text from outside. One that is too long is refused by every store, not by Postgres alone.

    A name is compared and ordered by code points on every store, whatever language a Postgres database is in.
    """

    impl = String
    cache_ok = True

    def __init__(self, length: int, *, is_name: bool = False) -> None:
        super().__init__(length)
        self.length = length
        self.is_name = is_name

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        collation = "C" if self.is_name and dialect.name == "postgresql" else None
        return dialect.type_descriptor(String(self.length, collation=collation))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        if len(value) > self.length:
            raise ValueError(f"a text of {len(value)} characters has no room in {self.length}; shorten it")
        return clean_text(value)


class Float32Vector(TypeDecorator[bytes]):
    """The bytes of a little-endian float32 vector: a BLOB on SQLite, pgvector's `vector` on Postgres.

    Postgres keeps every bit of a number and refuses those that are not finite.
    """

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(LargeBinary())
        from pgvector.sqlalchemy import VECTOR

        return dialect.type_descriptor(VECTOR())

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "postgresql":
            return value
        import numpy as np  # a store in SQLite needs none

        return np.frombuffer(value, "<f4")

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:
        return _packed(value) if isinstance(value, list) else value


def _packed(vector: list[float]) -> bytes:
    import numpy as np

    packed: bytes = np.asarray(vector, "<f4").tobytes()
    return packed


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
        str: Label(255),
    }


def _id() -> Mapped[str]:
    return mapped_column(String(64), primary_key=True, default=new_id)


def _space() -> Mapped[str]:
    return mapped_column(ForeignKey("space.id"), index=True)


def _long() -> TypeEngine[int]:
    """64 bits, which SQLite's integers have anyway."""
    return BigInteger().with_variant(Integer(), "sqlite")


def _name() -> Mapped[str]:
    return mapped_column(Label(255, is_name=True))


class Space(Base):
    __tablename__ = "space"
    id: Mapped[str] = _id()
    name: Mapped[str] = mapped_column(unique=True)
    timezone: Mapped[str] = mapped_column(default="UTC")
    created_at: Mapped[datetime]


class Source(Base):
    """One import or one live channel."""

    __tablename__ = "source"
    __table_args__ = (UniqueConstraint("space_id", "sha256"),)
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    kind: Mapped[str]  # the format that it came in (whatsapp, slack, ...), or chat for a live channel
    name: Mapped[str] = mapped_column(Words)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class Conversation(Base):
    """A chat with fixed participants; the unit of who could hear what."""

    __tablename__ = "conversation"
    __table_args__ = (UniqueConstraint("space_id", "name"),)
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    name: Mapped[str] = _name()


class Node(Base):
    """A thing in the graph. kind: person | place | organisation | thing | topic | pattern | digest | vector | night."""

    __tablename__ = "node"
    __table_args__ = (UniqueConstraint("space_id", "kind", "name_key"),)
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    kind: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = _name()
    name_key: Mapped[str] = _name()  # memory.names.key(name): case-folded, accents stripped
    is_speaker: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    merged_into: Mapped[str | None] = mapped_column(String(64))  # the node that took this one's place


class PersonMerge(Base):
    """Two people found to be one. `effects` is what undo needs."""

    __tablename__ = "person_merge"
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    kept_id: Mapped[str] = mapped_column(ForeignKey("node.id"), index=True)
    merged_id: Mapped[str] = mapped_column(ForeignKey("node.id"), index=True)
    effects: Mapped[list[Any]]
    merged_at: Mapped[datetime]
    undone_at: Mapped[datetime | None]


class Alias(Base):
    __tablename__ = "alias"
    __table_args__ = (
        UniqueConstraint("space_id", "node_id", "name_key"),
        Index("ix_alias_key", "space_id", "name_key"),
    )
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    node_id: Mapped[str] = mapped_column(ForeignKey("node.id"), index=True)
    name: Mapped[str] = _name()
    name_key: Mapped[str] = _name()


class Edge(Base):
    __tablename__ = "edge"
    __table_args__ = (UniqueConstraint("space_id", "src_id", "dst_id", "kind"),)
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    src_id: Mapped[str] = mapped_column(ForeignKey("node.id"), index=True)
    dst_id: Mapped[str] = mapped_column(ForeignKey("node.id"), index=True)
    kind: Mapped[str] = mapped_column(String(64))
    weight: Mapped[float] = mapped_column(default=1.0)


class Participant(Base):
    __tablename__ = "participant"
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversation.id"), primary_key=True)
    node_id: Mapped[str] = mapped_column(ForeignKey("node.id"), primary_key=True)
    space_id: Mapped[str] = _space()


class Episode(Base):
    """One message or event. `key` makes a second import of the same line a no-op.

    It changes only where a later export shows that it was edited or deleted; `EpisodeVersion` keeps what it was.
    """

    __tablename__ = "episode"
    __table_args__ = (
        UniqueConstraint("space_id", "key"),
        Index("ix_episode_time", "space_id", "time"),
        Index(
            "ix_episode_external",
            "conversation_id",
            "external_id",
            sqlite_where=as_sql("external_id IS NOT NULL"),
            postgresql_where=as_sql("external_id IS NOT NULL"),
        ),
    )
    id: Mapped[str] = _id()
    space_id: Mapped[str] = mapped_column(ForeignKey("space.id"))  # two indexes begin with it
    source_id: Mapped[str] = mapped_column(ForeignKey("source.id"), index=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversation.id"), index=True)
    position: Mapped[int]  # 0-based over user-sent messages of the source, in file order
    speaker_id: Mapped[str] = mapped_column(ForeignKey("node.id"), index=True)
    time: Mapped[datetime]
    text: Mapped[str] = mapped_column(Words)
    kind: Mapped[str] = mapped_column(String(16), default="text")  # text | media | deleted
    is_edited: Mapped[bool] = mapped_column(default=False)
    origin: Mapped[str] = mapped_column(String(16), default="observed")  # observed | inferred | simulated
    key: Mapped[str] = mapped_column(String(64))  # begins with the time, so that its index grows at one end
    extracted_by: Mapped[str | None]  # name of the extractor that has read it; None = not read yet
    external_id: Mapped[str | None] = mapped_column(String(32))  # hash of its id in its format


class EpisodeVersion(Base):
    """What a message was before a later export showed it edited or deleted."""

    __tablename__ = "episode_version"
    __table_args__ = (
        UniqueConstraint("episode_id", "number"),
        Index("ix_episode_version_key", "space_id", "key"),
    )
    id: Mapped[str] = _id()
    space_id: Mapped[str] = mapped_column(ForeignKey("space.id"))
    episode_id: Mapped[str] = mapped_column(ForeignKey("episode.id"))
    number: Mapped[int]  # 1 is the message as it first came
    source_id: Mapped[str] = mapped_column(ForeignKey("source.id"), index=True)  # which showed the change
    text: Mapped[str] = mapped_column(Words)
    kind: Mapped[str] = mapped_column(String(16))
    is_edited: Mapped[bool]
    key: Mapped[str] = mapped_column(String(64))
    replaced_at: Mapped[datetime]


class Pending(Base):
    """A message that its extractor could not read when it was asked to. It goes once the message is read."""

    __tablename__ = "pending"
    episode_id: Mapped[str] = mapped_column(ForeignKey("episode.id"), primary_key=True)
    space_id: Mapped[str] = _space()
    reason: Mapped[str] = mapped_column(String(16))  # a key of memory.pending.REASONS
    since: Mapped[datetime]


class Fact(Base):
    """subject, predicate, object in world time (`valid_*`) and system time (`recorded_at`, `retracted_at`)."""

    __tablename__ = "fact"
    __table_args__ = (Index("ix_fact_slot", "space_id", "subject_id", "predicate"),)
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    subject_id: Mapped[str] = mapped_column(ForeignKey("node.id"), index=True)
    predicate: Mapped[str] = mapped_column(Label(64))
    object: Mapped[str] = mapped_column(Words)
    object_key: Mapped[str] = mapped_column(Words)
    object_id: Mapped[str | None] = mapped_column(ForeignKey("node.id"), index=True)
    valid_from: Mapped[datetime | None]
    valid_to: Mapped[datetime | None]
    stated_to: Mapped[datetime | None]  # the end that was said, where a successor made `valid_to` earlier
    recorded_at: Mapped[datetime]
    retracted_at: Mapped[datetime | None]
    # candidate | stored | quarantined | rejected
    state: Mapped[str] = mapped_column(String(16), default="candidate", index=True)
    # what the words asked for: state | update | correct | end
    change: Mapped[str] = mapped_column(String(16), default="state")
    corrects: Mapped[str | None] = mapped_column(Words)  # the withdrawn value, where it was said
    confidence: Mapped[float]
    origin: Mapped[str] = mapped_column(String(16), default="observed")
    rule: Mapped[str] = mapped_column(Label(128))  # which rule or model found it
    asserted_by: Mapped[str | None] = mapped_column(ForeignKey("node.id"))
    is_contested: Mapped[bool] = mapped_column(default=False)
    superseded_by: Mapped[str | None] = mapped_column(String(64), index=True)
    salience: Mapped[float | None]
    salience_terms: Mapped[dict[str, Any] | None]
    check_result: Mapped[dict[str, Any] | None]
    pinned_at: Mapped[datetime | None]  # since when it never fades and is always trained
    # never | years | months | days, where its words say otherwise than its predicate (memory/permanence.py)
    volatility: Mapped[str | None] = mapped_column(String(8))


class Evidence(Base):
    __tablename__ = "evidence"
    fact_id: Mapped[str] = mapped_column(ForeignKey("fact.id"), primary_key=True)
    episode_id: Mapped[str] = mapped_column(ForeignKey("episode.id"), primary_key=True, index=True)
    space_id: Mapped[str] = _space()


class Digest(Base):
    """An old stretch of one conversation, read through the messages that its lines name; a node of kind digest."""

    __tablename__ = "digest"
    id: Mapped[str] = mapped_column(ForeignKey("node.id"), primary_key=True)
    space_id: Mapped[str] = _space()
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversation.id"), index=True)
    began_at: Mapped[datetime]  # of its first message
    ended_at: Mapped[datetime]  # of its last message
    n_messages: Mapped[int]
    made_from: Mapped[str] = mapped_column(String(64))  # sha256 of the ids of its messages
    made_at: Mapped[datetime]


class DigestLine(Base):
    __tablename__ = "digest_line"
    digest_id: Mapped[str] = mapped_column(ForeignKey("digest.id"), primary_key=True)
    episode_id: Mapped[str] = mapped_column(ForeignKey("episode.id"), primary_key=True, index=True)
    space_id: Mapped[str] = _space()


class FactUse(Base):
    """How often a fact was part of an answer, and when last; never what was asked."""

    __tablename__ = "fact_use"
    fact_id: Mapped[str] = mapped_column(ForeignKey("fact.id"), primary_key=True)
    space_id: Mapped[str] = _space()
    n: Mapped[int]
    last_at: Mapped[datetime]


class EmotionTag(Base):
    """Concept and intensity 0-10 on an episode or a node, with who judged it."""

    __tablename__ = "emotion_tag"
    __table_args__ = (UniqueConstraint("space_id", "episode_id", "node_id", "concept", "judge"),)
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    episode_id: Mapped[str | None] = mapped_column(ForeignKey("episode.id"), index=True)
    node_id: Mapped[str | None] = mapped_column(ForeignKey("node.id"), index=True)
    concept: Mapped[str] = mapped_column(Label(64), index=True)
    intensity: Mapped[float]
    judge: Mapped[str]


class Reading(Base):
    """What one readout found in a message: per concept, standard deviations of neutral text."""

    __tablename__ = "reading"
    episode_id: Mapped[str] = mapped_column(ForeignKey("episode.id"), primary_key=True)
    readout: Mapped[str] = mapped_column(String(64), primary_key=True)  # sha256 over its files
    space_id: Mapped[str] = _space()
    concepts: Mapped[dict[str, Any]]  # name -> number
    read_at: Mapped[datetime]


class Principle(Base):
    """One line of one version of a person's constitution. kind: value | principle | habit | speech | limit | view."""

    __tablename__ = "principle"
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    person_id: Mapped[str] = mapped_column(ForeignKey("node.id"), index=True)
    version: Mapped[int]
    kind: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Words)
    evidence: Mapped[list[Any]]  # episode ids
    created_at: Mapped[datetime]
    run_id: Mapped[str | None] = mapped_column(String(64))
    line: Mapped[str] = mapped_column(String(64), default="")  # the same in every version; "" in old rows
    about_id: Mapped[str | None] = mapped_column(ForeignKey("node.id"), index=True)  # of whom a view is
    author: Mapped[str] = mapped_column(String(16), default="night")  # night | person
    is_weak: Mapped[bool] = mapped_column(default=False)  # what was written since has not shown it again
    rank: Mapped[int] = mapped_column(default=0)  # within its kind, the most telling first


class Constitution(Base):
    """One version of a person's constitution: who made it, and what became of which line."""

    __tablename__ = "constitution"
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    person_id: Mapped[str] = mapped_column(ForeignKey("node.id"), index=True)
    version: Mapped[int]
    author: Mapped[str] = mapped_column(String(16))  # night | person
    run_id: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    n_messages: Mapped[int]  # of the person's own, that were there to be read
    changes: Mapped[list[Any]]  # [{"line", "change", "reason"}], without anybody's words


class ChatSession(Base):
    """One conversation with a persona, or of several; no person ever said what it holds. kind: reply | autocomplete | company."""

    __tablename__ = "chat_session"
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    person_id: Mapped[str] = mapped_column(ForeignKey("node.id"), index=True)  # of a company, the first
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversation.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    settings: Mapped[dict[str, Any]]
    engine: Mapped[str]  # which model drew it
    recipe: Mapped[str | None] = mapped_column(String(64))  # sha256 of what was worn
    readout: Mapped[str | None] = mapped_column(String(64))  # sha256 over its files


class ChatTurn(Base):
    """What a persona said at once, and how it came to. status: whole | interrupted | corrected."""

    __tablename__ = "chat_turn"
    __table_args__ = (UniqueConstraint("session_id", "number"),)
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    session_id: Mapped[str] = mapped_column(ForeignKey("chat_session.id"))
    number: Mapped[int]  # 1-based in its session
    episode_id: Mapped[str | None] = mapped_column(ForeignKey("episode.id"), index=True)  # None: no word came
    answers_id: Mapped[str | None] = mapped_column(ForeignKey("episode.id"), index=True)
    status: Mapped[str] = mapped_column(String(16))
    recipe: Mapped[str | None] = mapped_column(String(64))
    adapters: Mapped[list[Any]]  # sha256 of each that was worn, knowledge and style
    seed: Mapped[int] = mapped_column(_long())
    n_draws: Mapped[int]  # 1 where no guard objected
    objections: Mapped[list[Any]]  # [{"guard", "reason"}], without anybody's words
    seconds: Mapped[float]
    deliberation: Mapped[str] = mapped_column(Words, default="")
    rests_on: Mapped[list[Any]] = mapped_column(
        default=list, server_default=as_sql("'[]'")
    )  # episodes it quoted


class TurnFact(Base):
    """A fact that a turn rested on. place: prompt | weights."""

    __tablename__ = "turn_fact"
    turn_id: Mapped[str] = mapped_column(ForeignKey("chat_turn.id"), primary_key=True)
    fact_id: Mapped[str] = mapped_column(ForeignKey("fact.id"), primary_key=True, index=True)
    space_id: Mapped[str] = _space()
    place: Mapped[str] = mapped_column(String(8))


class Claim(Base):
    """What a person's persona said of the world. It is no fact, and nothing that reads facts reads it.

    basis: fact | constitution | claim | invented. state: kept | withdrawn.
    """

    __tablename__ = "claim"
    __table_args__ = (Index("ix_claim_slot", "space_id", "person_id", "predicate"),)
    id: Mapped[str] = _id()
    space_id: Mapped[str] = mapped_column(ForeignKey("space.id"))
    person_id: Mapped[str] = mapped_column(ForeignKey("node.id"), index=True)
    episode_id: Mapped[str] = mapped_column(ForeignKey("episode.id"), index=True)
    subject_id: Mapped[str | None] = mapped_column(ForeignKey("node.id"), index=True)  # None: not known
    subject: Mapped[str] = mapped_column(Words)
    predicate: Mapped[str] = mapped_column(Label(64))
    object: Mapped[str] = mapped_column(Words)
    object_key: Mapped[str] = mapped_column(Words)
    is_negated: Mapped[bool] = mapped_column(default=False)
    valid_from: Mapped[datetime | None]
    valid_to: Mapped[datetime | None]
    basis: Mapped[str] = mapped_column(String(16))
    fact_id: Mapped[str | None] = mapped_column(ForeignKey("fact.id"), index=True)
    line: Mapped[str | None] = mapped_column(String(64))  # of the constitution
    earlier_id: Mapped[str | None] = mapped_column(String(64))  # the claim that it repeats
    state: Mapped[str] = mapped_column(String(16), default="kept")
    said_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class Embedding(Base):
    """One float32 vector, with the model that made it. owner_kind: episode | fact."""

    __tablename__ = "embedding"
    __table_args__ = (
        CheckConstraint("length(vector) = 4 * width", name="width").ddl_if(dialect="sqlite"),
        CheckConstraint("vector_dims(vector) = width", name="width").ddl_if(dialect="postgresql"),
    )
    owner_kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(String(128), primary_key=True)
    space_id: Mapped[str] = _space()
    width: Mapped[int]
    vector: Mapped[bytes] = mapped_column(Float32Vector)


class Consent(Base):
    """Who agreed that a person is simulated, and when."""

    __tablename__ = "consent"
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    person_id: Mapped[str] = mapped_column(ForeignKey("node.id"), index=True)
    agreed_by: Mapped[str]
    note: Mapped[str] = mapped_column(Words, default="")
    agreed_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]


class PersonaSetting(Base):
    """How one person's persona speaks where it is not said for a turn."""

    __tablename__ = "persona_setting"
    person_id: Mapped[str] = mapped_column(ForeignKey("node.id"), primary_key=True)
    space_id: Mapped[str] = _space()
    sampling: Mapped[dict[str, Any]]  # name of a field of agents.runtime.sampling -> number
    set_at: Mapped[datetime]


class SleepRun(Base):
    """One night. status: running | done | failed | refused | interrupted."""

    __tablename__ = "sleep_run"
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    status: Mapped[str] = mapped_column(String(16))
    seed: Mapped[int] = mapped_column(_long())
    settings: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Words)
    is_published: Mapped[bool] = mapped_column(default=False)


class StageRun(Base):
    """One stage of one night. status: running | done | failed."""

    __tablename__ = "stage_run"
    run_id: Mapped[str] = mapped_column(ForeignKey("sleep_run.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    space_id: Mapped[str] = _space()
    position: Mapped[int]
    status: Mapped[str] = mapped_column(String(16))
    inputs_hash: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime]
    seconds: Mapped[float | None]
    counts: Mapped[dict[str, Any]]
    output: Mapped[dict[str, Any]]


class Lease(Base):
    __tablename__ = "lease"
    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    acquired_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Schedule(Base):
    """What a daemon knows of a space's nights: until when they are dealt with, what it began, and what waits.

    asked_by: nightly | missed | idle | resumed | hand. outcome: begun | held | failed.
    """

    __tablename__ = "schedule"
    space_id: Mapped[str] = mapped_column(ForeignKey("space.id"), primary_key=True)
    settled_until: Mapped[datetime]  # the nightly moments until then are dealt with
    idle_at: Mapped[datetime | None]  # when a quiet hour last began a night
    tried_at: Mapped[datetime | None]
    asked_by: Mapped[str | None] = mapped_column(String(16))
    outcome: Mapped[str | None] = mapped_column(String(16))
    error: Mapped[str | None] = mapped_column(String(64))  # its class
    run_id: Mapped[str | None] = mapped_column(String(64))  # the night that was begun
    waits_since: Mapped[datetime | None]
    waits_for: Mapped[str | None] = mapped_column(String(16))  # who asked for the night that waits
    wanted: Mapped[dict[str, Any]]  # seed, minutes, model, fresh of the night that waits


class Job(Base):
    """Long work of a space: what waits, runs and has ended. state: queued | running | done | failed | cancelled.

    No column holds words: what an import reads lies in the home's `uploads`, under the id that `wanted` names.
    """

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_queue", "space_id", "state", "queued_at"),)
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    kind: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16))
    asked_by: Mapped[str] = mapped_column(String(64))  # a token's id, or which entrance
    queued_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    step: Mapped[str] = mapped_column(String(32))
    done: Mapped[int] = mapped_column(_long())
    total: Mapped[int] = mapped_column(_long())
    n_tries: Mapped[int]
    is_unwanted: Mapped[bool]  # while it runs: somebody asked it to end
    why: Mapped[str | None] = mapped_column(Text)  # it failed or was cancelled: class and place
    wanted: Mapped[dict[str, Any]]  # ids and flags
    result: Mapped[dict[str, Any]]  # ids, counts, and what a format's reader says of itself


class Decision(Base):
    """kind: STORE | MERGE | CORRECT | REJECT | QUARANTINE. `effects` is what undo needs."""

    __tablename__ = "decision"
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    run_id: Mapped[str | None] = mapped_column(String(64), index=True)
    fact_id: Mapped[str] = mapped_column(ForeignKey("fact.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    reasons: Mapped[list[Any]]
    effects: Mapped[list[Any]]
    decided_at: Mapped[datetime]
    undone_at: Mapped[datetime | None]


class LedgerEntry(Base):
    """Append-only. hash = sha256(prev_hash + canonical JSON of seq, kind, payload, at)."""

    __tablename__ = "ledger"
    __table_args__ = (UniqueConstraint("space_id", "seq"),)
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    seq: Mapped[int]
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(32))
    payload: Mapped[dict[str, Any]]
    prev_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class Artifact(Base):
    """A file or folder a night made, with its hash. kind: adapter | recipe | readout | report | curriculum."""

    __tablename__ = "artifact"
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    run_id: Mapped[str | None] = mapped_column(String(64), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    path: Mapped[str] = mapped_column(Words)  # relative to the home folder
    sha256: Mapped[str] = mapped_column(String(64))
    meta: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    tainted_at: Mapped[datetime | None]  # since when it holds what was erased; never served again
    tainted_by: Mapped[str | None] = mapped_column(String(64))  # the ledger entry of that erasure


class Pointer(Base):
    """`current` of a space: which artifacts serve. Moved by publish and roll back only."""

    __tablename__ = "pointer"
    space_id: Mapped[str] = mapped_column(ForeignKey("space.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    run_id: Mapped[str | None] = mapped_column(String(64))
    recipe_id: Mapped[str | None] = mapped_column(ForeignKey("artifact.id"))
    readout_id: Mapped[str | None] = mapped_column(ForeignKey("artifact.id"))
    moved_at: Mapped[datetime]


class Example(Base):
    """One training or exam text of one night. split: train | exam."""

    __tablename__ = "example"
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    run_id: Mapped[str] = mapped_column(ForeignKey("sleep_run.id"), index=True)
    fact_id: Mapped[str | None] = mapped_column(ForeignKey("fact.id"), index=True)
    split: Mapped[str] = mapped_column(String(8), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    messages: Mapped[list[Any]]  # [{"role", "content"}], the last one is the answer
    accepted: Mapped[list[Any]]  # exam: strings any of which makes the answer right
    meta: Mapped[dict[str, Any]]


class ExamAnswer(Base):
    """What one condition (base | retrieval | weights | both) answered to one exam example."""

    __tablename__ = "exam_answer"
    run_id: Mapped[str] = mapped_column(ForeignKey("sleep_run.id"), primary_key=True)
    example_id: Mapped[str] = mapped_column(ForeignKey("example.id"), primary_key=True)
    condition: Mapped[str] = mapped_column(String(16), primary_key=True)
    space_id: Mapped[str] = _space()
    answer: Mapped[str] = mapped_column(Words)
    is_right: Mapped[bool]


class MemoryGraph(Base):
    """The state of a space's entity graph (memory/entities): another word after every change of it."""

    __tablename__ = "memory_graph"
    space_id: Mapped[str] = mapped_column(ForeignKey("space.id"), primary_key=True)
    version: Mapped[str] = mapped_column(String(64))


class MemoryEntity(Base):
    """What the tools of the MCP memory server call an entity, exactly as it was given; `episode_id` says its type."""

    __tablename__ = "memory_entity"
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    position: Mapped[int] = mapped_column(_long())  # the order in which they are shown
    name: Mapped[str] = mapped_column(Words)
    entity_type: Mapped[str] = mapped_column(Words)
    node_id: Mapped[str | None] = mapped_column(ForeignKey("node.id"), index=True)
    episode_id: Mapped[str | None] = mapped_column(ForeignKey("episode.id"), index=True)
    source_id: Mapped[str | None] = mapped_column(
        String(64), index=True
    )  # the file or channel that it came by


class MemoryObservation(Base):
    """What was noted about an entity, and the message that stands for it in the graph."""

    __tablename__ = "memory_observation"
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    entity_id: Mapped[str] = mapped_column(ForeignKey("memory_entity.id"), index=True)
    position: Mapped[int] = mapped_column(_long())
    text: Mapped[str] = mapped_column(Words)
    episode_id: Mapped[str | None] = mapped_column(ForeignKey("episode.id"), index=True)


class MemoryRelation(Base):
    """A relation between names; neither has to be an entity's."""

    __tablename__ = "memory_relation"
    id: Mapped[str] = _id()
    space_id: Mapped[str] = _space()
    position: Mapped[int] = mapped_column(_long())
    source: Mapped[str] = mapped_column(Words)
    target: Mapped[str] = mapped_column(Words)
    relation_type: Mapped[str] = mapped_column(Words)
    episode_id: Mapped[str | None] = mapped_column(ForeignKey("episode.id"), index=True)


class Token(Base):
    """A secret that opens the daemon: its hash, which space (None: all), what it may, and until when."""

    __tablename__ = "token"
    id: Mapped[str] = _id()
    space_id: Mapped[str | None] = mapped_column(ForeignKey("space.id"), index=True)
    name: Mapped[str] = mapped_column(Label(64))
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Act(Base):
    """What somebody did through an entrance: a chain of hashes over the store, never anybody's words (memory/audit)."""

    __tablename__ = "act"
    seq: Mapped[int] = mapped_column(_long(), primary_key=True, autoincrement=False)
    space_id: Mapped[str | None] = mapped_column(ForeignKey("space.id"), index=True)
    at: Mapped[datetime]
    via: Mapped[str] = mapped_column(String(16))  # loopback | environment | token | cookie | command
    token_id: Mapped[str | None] = mapped_column(String(64))
    what: Mapped[str] = mapped_column(String(128))  # a route or a command
    ids: Mapped[dict[str, Any]]
    outcome: Mapped[str] = mapped_column(String(16))
    prev_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class KeptAnswer(Base):
    """What a request with an `Idempotency-Key` was answered, for a day; without a status it is being answered.

    Every erasure takes all of a space's.
    """

    __tablename__ = "kept_answer"
    space_id: Mapped[str] = mapped_column(ForeignKey("space.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(String(64))
    holder: Mapped[str] = mapped_column(String(255))  # the process that answers
    at: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[int | None]
    media_type: Mapped[str | None] = mapped_column(String(128))
    body: Mapped[str | None] = mapped_column(Words)


class Change(Base):
    """What the indexes and kept facts must read again. Triggers write it; `seq` grows in the order of commits.

    kind: episode | fact | node | conversation, each with the id of the row that changed or went; standing is a fact
    of which only such columns changed as no index is made of.
    """

    __tablename__ = "change"
    __table_args__ = (Index("ix_change_feed", "space_id", "seq"), {"sqlite_autoincrement": True})
    seq: Mapped[int] = mapped_column(_long(), primary_key=True, autoincrement=True)
    space_id: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    owner_id: Mapped[str] = mapped_column(String(64))
