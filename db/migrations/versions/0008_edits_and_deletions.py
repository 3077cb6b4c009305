"""edits and deletions between exports; keys that grow with time

Revision: 0008, after 0007.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NOTEBOOKS = ("mem0", "mcp-memory")  # sources whose notes have keys of their own
_HAS_ID = sa.text("external_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("episode", sa.Column("external_id", sa.String(length=32), nullable=True))
    op.create_index(
        "ix_episode_external",
        "episode",
        ["conversation_id", "external_id"],
        sqlite_where=_HAS_ID,
        postgresql_where=_HAS_ID,
    )
    op.drop_index("ix_episode_space_id", "episode")
    op.create_table(
        "episode_version",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("episode_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("source_id", sa.String(length=64), nullable=False),
        sa.Column("text", db.tables.Words(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("is_edited", sa.Boolean(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("replaced_at", db.tables.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_episode_version_space_id_space")),
        sa.ForeignKeyConstraint(
            ["episode_id"], ["episode.id"], name=op.f("fk_episode_version_episode_id_episode")
        ),
        sa.ForeignKeyConstraint(
            ["source_id"], ["source.id"], name=op.f("fk_episode_version_source_id_source")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_episode_version")),
        sa.UniqueConstraint("episode_id", "number", name=op.f("uq_episode_version_episode_id_number")),
    )
    op.create_index(op.f("ix_episode_version_source_id"), "episode_version", ["source_id"])
    op.create_index("ix_episode_version_key", "episode_version", ["space_id", "key"])
    _date_the_keys()


def _date_the_keys() -> None:
    """A key becomes the seconds since the year 1, ten hex digits, and the first 54 digits of what it was."""
    if op.get_bind().dialect.name == "postgresql":
        seconds = (
            "lpad(to_hex(extract(epoch FROM date_trunc('second', time))::bigint + 62135596800), 10, '0')"
        )
    else:
        seconds = "printf('%010x', strftime('%s', substr(time, 1, 19)) + 62135596800)"
    kinds = ", ".join(f"'{kind}'" for kind in _NOTEBOOKS)
    op.execute(
        f"UPDATE episode SET key = {seconds} || substr(key, 1, 54) "
        f"WHERE source_id NOT IN (SELECT id FROM source WHERE kind IN ({kinds}))"
    )


def downgrade() -> None:
    """Keys stay as they are: an older program takes a longer export of a known chat for new."""
    op.drop_table("episode_version")
    op.create_index("ix_episode_space_id", "episode", ["space_id"])
    op.drop_index("ix_episode_external", "episode")
    op.drop_column("episode", "external_id")
