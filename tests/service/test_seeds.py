"""A seed is a number from 0 to 2**32 - 1 wherever one is given: in settings, commands and requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.errors import BadSettings
from service.http.application import create_app
from service.settings import MAX_SEED, load_settings
from service.wiring import Services

TOO_LARGE = MAX_SEED + 1


@pytest.mark.parametrize("seed", [-1, TOO_LARGE])
def test_settings_refuse_a_seed_that_no_generator_takes(tmp_path: Path, seed: int) -> None:
    (tmp_path / "config.toml").write_text(f"[night]\nseed = {seed}\n")
    with pytest.raises(BadSettings, match="from 0 to 4294967295"):
        load_settings(tmp_path, {})


def test_commands_refuse_it_before_anything_is_opened(empty: Any) -> None:
    for seed in (-1, TOO_LARGE):
        told = empty("sleep", "--seed", seed)
        assert (told.code, "for '--seed'" in told.err) == (2, True)
    assert not empty.home.exists()


def test_every_request_that_takes_a_seed_names_it_in_its_refusal(tmp_path: Path) -> None:
    with Services(load_settings(tmp_path / "home", {})) as services:
        app = create_app(services)
        schemas = app.openapi()["components"]["schemas"]
        paths = {
            path: operations["post"]["requestBody"]["content"]["application/json"]["schema"]
            for path, operations in app.openapi()["paths"].items()
            if "application/json" in operations.get("post", {}).get("requestBody", {}).get("content", {})
        }
        client = TestClient(app, base_url="http://127.0.0.1")
        with_seed = [
            path
            for path, schema in paths.items()
            if "seed" in schemas.get(_name(schema), {}).get("properties", {})
        ]
        assert len(with_seed) >= 6
        for path in with_seed:
            for seed in (-1, TOO_LARGE):
                answer = client.post(path.replace("{name}", "Ada"), json={"seed": seed})
                assert answer.status_code in (400, 422), path
                assert "seed" in answer.text, path


def _name(schema: dict[str, object]) -> str:
    found = schema.get("$ref") or next(
        (one["$ref"] for one in schema.get("anyOf", []) if "$ref" in one),  # type: ignore[attr-defined]
        "",
    )
    return str(found).rpartition("/")[2]
