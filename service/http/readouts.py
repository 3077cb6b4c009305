"""The routes of what is read in a model's activations and what it is steered by: readouts, probes, behaviours, directions."""

from __future__ import annotations

from pathlib import Path as Folder
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from service.entrances import behaviour as behaviour_entrance
from service.entrances import probe as probe_entrance
from service.entrances import readout as readout_entrance
from service.entrances import steering
from service.http import events
from service.http.given import App, Given
from service.http.route import Route

router = APIRouter(route_class=Route, tags=["readouts"])

SERVING = "serving"
Hash = Annotated[str, Path(pattern=r"^(serving|[0-9a-f]{4,64})$")]
Known = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")]


class Texts(BaseModel):
    model_config = ConfigDict(extra="forbid")
    texts: list[Annotated[str, Field(min_length=1, max_length=8000)]] = Field(min_length=1, max_length=256)
    readout: Annotated[str, Field(pattern=r"^(serving|[0-9a-f]{4,64})$")] = SERVING
    use_weights: bool = True


@router.get("/v1/readouts")
def readouts(app: Given) -> list[dict[str, Any]]:
    """Directions by which concepts are read: those on record, the newest first, and which serves."""
    return readout_entrance.list_all(app.services)


@router.get("/v1/readouts/{readout}")
def readout(app: Given, readout: Hash) -> dict[str, Any]:
    """One of them, by its hash or `serving`: its concepts, layers, counts and held-out AUROC."""
    return readout_entrance.show(app.services, _known(app, readout))


@router.post("/v1/readouts/score")
def score(app: Given, given: Texts, request: Request) -> Response:
    """What texts read as, per concept, in standard deviations of neutral text. Loads the model; the texts are not kept."""
    from service.entrances.reading import Line, open_reader
    from service.entrances.reading import score as score_lines

    lines = [Line(number, text) for number, text in enumerate(given.texts, 1)]

    def work(step: events.Steps) -> dict[str, Any]:
        with app.lock:  # one model at a time is enough for a small machine
            reader = open_reader(app.services, _known(app, given.readout), use_weights=given.use_weights)
            return score_lines(reader, lines, step("reading"))

    return events.followed(app, request, work)


@router.get("/v1/directions")
def directions(app: Given) -> dict[str, Any]:
    """What a persona can be steered by: concepts of the readout that serves, and probes."""
    return steering.list_all(app.services)


@router.get("/v1/probes")
def probes(app: Given) -> list[dict[str, Any]]:
    """Classifiers on the model's activations, and which of them are usable."""
    return probe_entrance.list_all(app.services)


@router.get("/v1/probes/{name}")
def probe(app: Given, name: Known) -> dict[str, Any]:
    """One of them with all it was measured on."""
    return probe_entrance.show(app.services, name)


@router.get("/v1/behaviours")
def behaviours(app: Given) -> list[dict[str, Any]]:
    """Ways of replying that come with slowwave or were trained."""
    return behaviour_entrance.list_all(app.services)


@router.get("/v1/behaviours/{name}")
def behaviour(app: Given, name: Known) -> dict[str, Any]:
    """One of them with its measure and its vectors."""
    return behaviour_entrance.show(app.services, name)


def _known(app: App, name: str) -> Folder | None:
    """None is what serves. Nothing but what is on record is opened: no path comes from outside."""
    return None if name == SERVING else readout_entrance.on_record(app.services, name)
