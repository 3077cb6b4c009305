"""The routes of recipes: the history of what a persona wears, and changes of it that can all be taken back.

RECIPE is `serving`, a tag, a night, a hash or the beginning of one, or `base`; `^` behind it is the recipe it was made from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.entrances import recipe as recipe_entrance
from service.entrances.recipe import How
from service.http import events
from service.http.given import App, Given, Seed
from service.http.paging import Paged, page_of
from service.http.route import IfMatch, Precondition, Route

router = APIRouter(route_class=Route, tags=["recipes"])

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\^{0,16}$"
Recipe = Annotated[str, Path(pattern=NAME)]
Tag = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
EntryName = Annotated[str, Field(min_length=1, max_length=255)]


class _Named(BaseModel):
    model_config = ConfigDict(extra="forbid")
    recipe: Annotated[str, Field(pattern=NAME)] = "serving"


class Application(BaseModel):
    model_config = ConfigDict(extra="forbid")
    recipe: Annotated[str, Field(pattern=NAME)]
    force: bool = False
    examine: bool = False


class _Change(BaseModel):
    """`of`: the recipe to change. `apply` false only writes the new one. `examine` refuses what breaks the gate."""

    model_config = ConfigDict(extra="forbid")
    of: Annotated[str, Field(pattern=NAME)] = "serving"
    apply: bool = True
    examine: bool = False

    def how(self, check: Callable[[], None], *, largest: bool = False) -> How:
        return How(self.of, self.apply, self.examine, largest, check)


class Scale(_Change):
    entry: EntryName
    coefficient: Annotated[float, Field(allow_inf_nan=False)]
    largest: bool = False


class Negation(_Change):
    entry: EntryName
    by: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.2
    largest: bool = False


class Reversion(_Change):
    """`entries` that are taken out, or `erased`: what served before the newest erasure, without the erased vectors."""

    entries: list[EntryName] = Field(default=[], max_length=100)
    erased: bool = False

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Reversion:
        if bool(self.entries) == self.erased:
            raise ValueError("give either the `entries` to take out, or `erased`")
        return self


class Mending(BaseModel):
    """`minutes`: of training at most. `apply` false only writes the new recipe."""

    model_config = ConfigDict(extra="forbid")
    minutes: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 1.0
    seed: Seed = 0
    apply: bool = True


class Rule(_Change):
    rule: Literal["sum", "ties", "dare"]
    density: Annotated[float | None, Field(allow_inf_nan=False)] = None
    seed: Seed | None = None


@router.get("/v1/recipes")
def recipes(
    app: Given,
    page: Paged,
    recipe: Annotated[str, Query(pattern=NAME)] = "serving",
    all: bool = False,
) -> dict[str, Any]:
    """The history of a recipe, the newest first; or (`all`) every recipe of the space."""
    return page_of("recipes", recipe_entrance.log(app.services, recipe, everything=all), page, "recipe")


@router.get("/v1/recipes/{recipe}")
def recipe(app: Given, recipe: Recipe) -> dict[str, Any]:
    """What a recipe is made of: its vectors with coefficients and norms, and what they were trained from."""
    return recipe_entrance.show(app.services, recipe)


@router.get("/v1/recipes/{recipe}/diff")
def recipe_diff(
    app: Given, recipe: Recipe, to: Annotated[str, Query(pattern=NAME)] = "serving"
) -> dict[str, Any]:
    """What turns one recipe into another, by default into what serves."""
    return recipe_entrance.diff(app.services, recipe, to)


@router.post("/v1/recipes/apply")
def apply_recipe(app: Given, wanted: Application, request: Request, unchanged: IfMatch) -> Response:
    """Let a recipe of the history serve, `base` for none."""
    how = How(is_examined=wanted.examine, check=_check(app, unchanged))
    return events.followed(
        app,
        request,
        lambda step: recipe_entrance.apply(
            app.services, wanted.recipe, how, force=wanted.force, progress=step("exam")
        ),
    )


@router.post("/v1/recipes/scale")
def scale(app: Given, wanted: Scale, request: Request, unchanged: IfMatch) -> Response:
    """Give a vector another coefficient."""
    how = wanted.how(_check(app, unchanged), largest=wanted.largest)
    return events.followed(
        app,
        request,
        lambda step: recipe_entrance.scale(app.services, wanted.entry, wanted.coefficient, how, step("exam")),
    )


@router.post("/v1/recipes/negate")
def negate(app: Given, wanted: Negation, request: Request, unchanged: IfMatch) -> Response:
    """Turn a vector against what it was for."""
    how = wanted.how(_check(app, unchanged), largest=wanted.largest)
    return events.followed(
        app,
        request,
        lambda step: recipe_entrance.negate(
            app.services, wanted.entry, how, by=wanted.by, progress=step("exam")
        ),
    )


@router.post("/v1/recipes/revert")
def revert(app: Given, wanted: Reversion, request: Request, unchanged: IfMatch) -> Response:
    """Take nights or behaviours out."""

    how = wanted.how(_check(app, unchanged))

    def work(step: events.Steps) -> dict[str, Any]:
        if wanted.erased:
            return recipe_entrance.revert_erased(app.services, how, step("exam"))
        return recipe_entrance.revert(app.services, wanted.entries, how, step("exam"))

    return events.followed(app, request, work)


@router.post("/v1/recipes/mend")
def mend(app: Given, request: Request, unchanged: IfMatch, wanted: Mending | None = None) -> Response:
    """Train once more what is no longer answered of what the nights taught."""
    asked = wanted or Mending()
    return events.followed(
        app,
        request,
        lambda step: recipe_entrance.mend(
            app.services,
            How(is_applied=asked.apply, check=_check(app, unchanged)),
            minutes=asked.minutes,
            seed=asked.seed,
            train_step=step("train"),
            exam_step=step("exam"),
        ),
    )


@router.post("/v1/recipes/rule")
def rule(app: Given, wanted: Rule, request: Request, unchanged: IfMatch) -> Response:
    """Merge the vectors by another rule."""
    return events.followed(
        app,
        request,
        lambda step: recipe_entrance.rule(
            app.services,
            wanted.rule,
            wanted.how(_check(app, unchanged)),
            density=wanted.density,
            seed=wanted.seed,
            progress=step("exam"),
        ),
    )


@router.post("/v1/recipes/rebuild")
def rebuild(app: Given, wanted: _Named | None = None) -> dict[str, Any]:
    """Bring back missing vectors from the folders of the nights that trained them."""
    return recipe_entrance.rebuild(app.services, (wanted or _Named()).recipe)


@router.get("/v1/tags")
def tags(app: Given) -> list[dict[str, Any]]:
    """Every tag with its recipe, by name."""
    return recipe_entrance.tags(app.services)


@router.put("/v1/tags/{tag}")
def give_tag(app: Given, tag: Tag, wanted: _Named | None = None) -> dict[str, Any]:
    """Name a recipe; a name that another one has moves."""
    return recipe_entrance.tag(app.services, tag, (wanted or _Named()).recipe)


@router.delete("/v1/tags/{tag}")
def take_tag(app: Given, tag: Tag) -> dict[str, Any]:
    """Take a name back; the recipe stays."""
    return recipe_entrance.untag(app.services, tag)


def _check(app: App, unchanged: Precondition) -> Callable[[], None]:
    """For the moment at which nothing else can change what serves."""
    return lambda: unchanged.check(lambda: recipe_entrance.show(app.services))
