"""Shared fixtures: a store in memory, on disk and on Postgres, a fixed clock. Networks other than loopback are refused.

Postgres is a real server, started once per session when a test first asks for it (tests/postgres_server.py).
"""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from db.engine import Database, make_engine, open_database, sqlite_url
from tests.postgres_server import PostgresServer, running_postgres

HARBOR = Path(__file__).parent.parent / "examples" / "harbor"


@pytest.fixture(autouse=True)
def _no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.get_closest_marker("network"):
        return
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in (
            "127.0.0.1",
            "::1",
            "localhost",
        ):
            raise AssertionError(f"a test tried to reach {address[0]}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store at the newest revision, to copy: migrating anew for each test takes a tenth of a second."""
    path = tmp_path_factory.mktemp("migrated") / "graph.db"
    open_database(sqlite_url(path)).close()
    return path


@pytest.fixture(params=["memory", "disk", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> Iterator[Database]:
    """An empty store of each kind: what holds for one has to hold for all."""
    if request.param == "memory":
        opened = Database(make_engine("sqlite://"))
        with closing(sqlite3.connect(migrated)) as template, opened.engine.connect() as connection:
            template.backup(connection.connection.driver_connection)  # type: ignore[arg-type]
    elif request.param == "disk":
        shutil.copy(migrated, tmp_path / "graph.db")
        opened = open_database(sqlite_url(tmp_path / "graph.db"))
    else:
        opened = open_database(request.getfixturevalue("postgres_url"))
    yield opened
    opened.close()


@pytest.fixture(params=["disk", "postgres"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> str:
    """The address of an empty store that several processes can open."""
    if request.param == "disk":
        shutil.copy(migrated, tmp_path / "graph.db")
        return sqlite_url(tmp_path / "graph.db")
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def new_postgres(postgres_server: PostgresServer) -> Iterator[Callable[[str], Any]]:
    """Makes databases, as copies of another: `with new_postgres("migrated") as url`, or "template0" for a bare one."""
    numbers = count()
    admin = make_engine(postgres_server.url("postgres")).execution_options(isolation_level="AUTOCOMMIT")

    def administer(statement: str) -> None:
        with admin.connect() as connection:
            connection.execute(text(statement))

    @contextmanager
    def make(template: str) -> Iterator[str]:
        name = f"test_{next(numbers)}"
        administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield postgres_server.url(name)
        finally:
            administer(f"DROP DATABASE {name} WITH (FORCE)")

    administer("CREATE DATABASE migrated")
    open_database(postgres_server.url("migrated")).close()
    yield make
    admin.dispose()


@pytest.fixture
def postgres_url(new_postgres: Callable[[str], Any]) -> Iterator[str]:
    """The address of an empty Postgres store at the newest revision, this test's own."""
    with new_postgres("migrated") as url:
        yield url


@pytest.fixture
def harbor() -> Path:
    return HARBOR / "WhatsApp Chat with Ines Carvalho.txt"


def write_tiny_model(folder: Path) -> Path:
    """Three layers of width 32 over bytes; special tokens as in ChatML."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from agents.runtime.quiet import quiet_transformers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: i for i, token in enumerate(special + alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        eos_token_id=2,
        pad_token_id=0,
        bos_token_id=None,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(15)  # else no logit can be large, and nothing can be learnt
    with quiet_transformers():
        model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random Llama: `ModelSpec(source=str(tiny_folder))`."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def talkative(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model, which repeats what it read last: a line's end reads like an a, or every reply were blank."""
    from safetensors.numpy import load_file, save_file

    folder = Path(shutil.copytree(tiny_folder, tmp_path_factory.mktemp("talkative") / "model"))
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    tensors = load_file(folder / "model.safetensors")
    rows = tensors["model.embed_tokens.weight"]
    rows[vocabulary["\u010a"]] = rows[vocabulary["a"]]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder of the whole session: the embedded model is dequantised into it once."""
    return tmp_path_factory.mktemp("model-cache")
