"""the feed tells of what stands on a fact as well, for whoever keeps facts that they have read

Revision: 0021, after 0020.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

COLUMNS = (  # of a fact, that no index is made of: the rest are watched since 0002
    "object_key, valid_from, valid_to, stated_to, recorded_at, change, corrects, confidence, rule, asserted_by, "
    "is_contested, superseded_by, salience, salience_terms, pinned_at, volatility"
)
NOTE = "INSERT INTO change (space_id, kind, owner_id) VALUES (NEW.space_id, 'standing', NEW.id);"


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        op.execute(f"CREATE TRIGGER change_fact_standing AFTER UPDATE OF {COLUMNS} ON fact BEGIN {NOTE} END")
        return
    op.execute(
        "CREATE FUNCTION note_standing_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {NOTE} RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER change_fact_standing AFTER UPDATE OF {COLUMNS} ON fact "
        "FOR EACH ROW EXECUTE FUNCTION note_standing_change()"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER change_fact_standing ON fact")
        op.execute("DROP FUNCTION note_standing_change()")
    else:
        op.execute("DROP TRIGGER IF EXISTS change_fact_standing")
