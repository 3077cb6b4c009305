"""What every entrance tells of nights: which there were, one with its stages, where a running one stands and how long it
still takes. The shapes are in docs/json.md and docs/http.md."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consolidation.runs import Run, StageRecord, get_run, list_runs, reap, stage_records
from consolidation.stage import STAGES
from service.night_progress import doing

if TYPE_CHECKING:
    from service.wiring import Services

_EVERY = 100_000  # nights; a space has one a day
_FOLDED = ("done", "refused")  # nights that went through every stage


def run_json(run: Run) -> dict[str, Any]:
    return {
        "run": run.id,
        "status": run.status,
        "started": run.started_at.isoformat(),
        "finished": run.finished_at.isoformat() if run.finished_at else None,
        "published": run.is_published,
        "error": run.error,
    }


def runs(services: Services) -> list[dict[str, Any]]:
    """The nights, the newest first."""
    reap(services.database, services.space_id)
    return [run_json(run) for run in list_runs(services.database, services.space_id, _EVERY)]


def run(services: Services, run_id: str) -> dict[str, Any]:
    """One night: its stages so far, its exam, and where it stands while it runs. Raises UnknownRun."""
    reap(services.database, services.space_id)
    found = get_run(services.database, services.space_id, run_id)
    records = stage_records(services.database, run_id)
    return {
        **run_json(found),
        "stages": [_stage_json(record) for record in records.values()],
        "exam": records["exam"].output.get("exam", {}) if "exam" in records else {},
        "doing": _doing_json(services, found, records) if found.status == "running" else None,
        "report": f"/v1/runs/{run_id}/report" if report_path(services, run_id) else None,
    }


def report_path(services: Services, run_id: str) -> Path | None:
    """Where the night's page is, or was before its file went."""
    record = stage_records(services.database, run_id).get("report")
    relative = record.output.get("report") if record is not None else None
    return services.settings.home / relative if relative else None


def roll_back(services: Services, to_run: str | None) -> dict[str, Any]:
    """Let an earlier night serve. Raises NothingPublished, UnknownRun, TaintedArtifact."""
    from consolidation.publish import roll_back as move_back

    pointer = move_back(services.database, services.space_id, to_run=to_run, clock=services.clock)
    return {"run": pointer.run_id}


def _stage_json(record: StageRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "status": record.status,
        "seconds": record.seconds,
        "counts": record.counts,
    }


def _doing_json(services: Services, night: Run, records: dict[str, StageRecord]) -> dict[str, Any] | None:
    """The stage that runs, in whichever process."""
    stage = next((record for record in records.values() if record.status == "running"), None)
    if stage is None:
        return None
    seen = doing(services.settings.home, night.id)
    done, total = (seen.done, seen.total) if seen is not None and seen.stage == stage.name else (0, 0)
    before = _durations(services, night.id)
    left = _left(stage, done, total, before.get(stage.name), services.clock())
    later = [before.get(name) for name in STAGES[STAGES.index(stage.name) + 1 :]]
    is_known = bool(before) and left is not None
    return {
        "stage": stage.name,
        "done": done,
        "total": total,
        "seconds": round((services.clock() - stage.started_at).total_seconds()),
        "eta_s": round((left or 0) + sum(one or 0 for one in later)) if is_known else None,
        "stage_eta_s": None if left is None else round(left),
    }


def _left(stage: StageRecord, done: int, total: int, before_s: float | None, now: datetime) -> float | None:
    """Seconds that the stage still takes: at its own pace so far, else as long as that of the night before."""
    spent = (now - stage.started_at).total_seconds()
    if 0 < done <= total:
        return spent * (total - done) / done
    return None if before_s is None else max(0.0, before_s - spent)


def _durations(services: Services, but: str) -> dict[str, float]:
    """Seconds of each stage in the newest night that went through all of them."""
    for night in list_runs(services.database, services.space_id):
        if night.id != but and night.status in _FOLDED:
            return {
                name: record.seconds for name, record in stage_records(services.database, night.id).items()
            }
    return {}
