"""The nightly job in the database, on SQLite and on Postgres."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from alembic import command
from sqlalchemy import text

from db.engine import alembic_config, open_database
from service.nights import Nights
from service.scheduling import start_scheduler
from service.settings import Settings
from service.wiring import Services


def test_the_nightly_job_is_kept_in_the_database_and_found_again(shared_url: str, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", database_url=shared_url)
    for _ in range(2):  # the daemon starts, ends, and starts again
        with Services(settings) as services:
            scheduler = start_scheduler(services, Nights(services))
            (job,) = scheduler.get_jobs()
            assert job.id == f"night:{services.space_id}"
            assert datetime.now(UTC) < job.next_run_time < datetime.now(UTC) + timedelta(days=1)
            scheduler.shutdown()
    opened = open_database(shared_url)
    with opened.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM apscheduler_jobs")) == 1
    command.check(alembic_config(opened.engine))  # the scheduler's own table is no drift of ours
    opened.close()
