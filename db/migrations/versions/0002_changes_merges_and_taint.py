"""a feed of changes for the indexes, merges of people, tainted artifacts

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# table, kind of the change, column with the owner's id, columns whose change counts
WATCHED = (
    ("episode", "episode", "id", "conversation_id, position, speaker_id, time, text, kind, origin"),
    ("fact", "fact", "id", "subject_id, predicate, object, object_id, state, retracted_at, origin"),
    ("evidence", "fact", "fact_id", None),
    ("node", "node", "id", "kind, name, is_speaker, merged_into"),
    ("alias", "node", "node_id", "node_id, name"),
    ("edge", "node", "src_id", "src_id, dst_id, weight"),
    ("participant", "conversation", "conversation_id", None),
)


def upgrade() -> None:
    op.create_table(
        "person_merge",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("space_id", sa.String(64), nullable=False),
        sa.Column("kept_id", sa.String(64), nullable=False),
        sa.Column("merged_id", sa.String(64), nullable=False),
        sa.Column("effects", sa.JSON(), nullable=False),
        sa.Column("merged_at", db.tables.UtcDateTime(), nullable=False),
        sa.Column("undone_at", db.tables.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_person_merge_space_id_space")),
        sa.ForeignKeyConstraint(["kept_id"], ["node.id"], name=op.f("fk_person_merge_kept_id_node")),
        sa.ForeignKeyConstraint(["merged_id"], ["node.id"], name=op.f("fk_person_merge_merged_id_node")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_merge")),
    )
    for column in ("space_id", "kept_id", "merged_id"):
        op.create_index(op.f(f"ix_person_merge_{column}"), "person_merge", [column])
    op.create_table(
        "change",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("space_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("owner_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_change")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_change_feed", "change", ["space_id", "seq"])
    op.add_column("node", sa.Column("merged_into", sa.String(64), nullable=True))
    op.add_column("fact", sa.Column("stated_to", db.tables.UtcDateTime(), nullable=True))
    op.add_column("artifact", sa.Column("tainted_at", db.tables.UtcDateTime(), nullable=True))
    op.add_column("artifact", sa.Column("tainted_by", sa.String(64), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        _watch_postgres()
    else:
        _watch_sqlite()


def _watch_sqlite() -> None:
    for table, kind, column, columns in WATCHED:
        for event, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            if event == "UPDATE" and columns is None:
                continue
            of = f"UPDATE OF {columns}" if event == "UPDATE" else event
            op.execute(
                f"CREATE TRIGGER change_{table}_{event.lower()} AFTER {of} ON {table} BEGIN "
                f"INSERT INTO change (space_id, kind, owner_id) VALUES ({row}.space_id, '{kind}', {row}.{column}); END"
            )


def _watch_postgres() -> None:
    for table, kind, column, columns in WATCHED:
        op.execute(
            f"CREATE FUNCTION note_{table}_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF TG_OP = 'DELETE' THEN "
            f"INSERT INTO change (space_id, kind, owner_id) VALUES (OLD.space_id, '{kind}', OLD.{column}); "
            f"ELSE INSERT INTO change (space_id, kind, owner_id) VALUES (NEW.space_id, '{kind}', NEW.{column}); "
            f"END IF; RETURN NULL; END $$"
        )
        update = f"OR UPDATE OF {columns} " if columns else ""
        op.execute(
            f"CREATE TRIGGER change_{table} AFTER INSERT {update}OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION note_{table}_change()"
        )


def downgrade() -> None:
    is_postgres = op.get_bind().dialect.name == "postgresql"
    for table, _, _, columns in WATCHED:
        if is_postgres:
            op.execute(f"DROP TRIGGER change_{table} ON {table}")
            op.execute(f"DROP FUNCTION note_{table}_change()")
        else:
            for event in ("insert", "update", "delete"):
                op.execute(f"DROP TRIGGER IF EXISTS change_{table}_{event}")
    op.drop_column("artifact", "tainted_by")
    op.drop_column("artifact", "tainted_at")
    op.drop_column("fact", "stated_to")
    op.drop_column("node", "merged_into")
    op.drop_table("change")
    op.drop_table("person_merge")
