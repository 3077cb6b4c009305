"""How `bench.uploads` breaks exports: bytes, JSON, lines, encodings and archives. One seed makes one case."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

from bench.upload_seeds import packed

_NASTY: tuple[bytes, ...] = (
    b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xae", b"\r", b"\x1b[2J", b"\\ud800",
    b"../../../../etc/passwd", b"%s%n", b"NaN", b"1e999", b"-1", b"99999999999999999999", b"null", b"{}", b"[]",
    b'"', b"<!ENTITY a 'b'>", b"From ", b"\xef\xbb\xbf", b"9999-99-99T99:99:99", b"0001-01-01T00:00:00+23:59",
)  # fmt: skip
_ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, 1e308, "", "\x00", "\ud800", "a" * 5000, [], {}, [[]], {"": {}}, "2025-13-45", -1e18,
)  # fmt: skip

Case = tuple[str, str, bytes]  # what was done, the file's name, its bytes
Seed = tuple[str, bytes]


def broken(made: dict[str, Seed], rng: random.Random) -> Case:
    """One case. Bombs are rare: each takes as long as a hundred others."""
    if rng.random() < 0.004:
        how = rng.choice(_BOMBS)
        return how.__name__.lstrip("_"), rng.choice(("a.zip", "a.json", "a.txt", "../../a")), how(rng)
    kind = rng.choice(sorted(made))
    name, body = made[kind]
    how_ = rng.choice(_BREAKS)
    body = how_(body, rng, made)
    if rng.random() < 0.1:
        body = packed({rng.choice((name, f"x/{name}", f"../{name}", f"/{name}", "a\\b", "C:" + name)): body})
        name = "packed.zip"
    return f"{kind}: {how_.__name__.lstrip('_')}", name, body


def _as_it_is(body: bytes, rng: random.Random, made: dict[str, Seed]) -> bytes:
    return body


def _cut(body: bytes, rng: random.Random, made: dict[str, Seed]) -> bytes:
    return body[: rng.randrange(1, len(body) + 1)]


def _flipped(body: bytes, rng: random.Random, made: dict[str, Seed]) -> bytes:
    changed = bytearray(body)
    for _ in range(rng.choice((1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _spliced(body: bytes, rng: random.Random, made: dict[str, Seed]) -> bytes:
    _, other = made[rng.choice(sorted(made))]
    return body[: rng.randrange(len(body))] + other[rng.randrange(len(other)) :]


def _nasty(body: bytes, rng: random.Random, made: dict[str, Seed]) -> bytes:
    for _ in range(rng.choice((1, 3, 12))):
        at = rng.randrange(len(body) + 1)
        body = body[:at] + rng.choice(_NASTY) + body[at + rng.choice((0, 0, 1, 5)) :]
    return body


def _repeated(body: bytes, rng: random.Random, made: dict[str, Seed]) -> bytes:
    start = rng.randrange(len(body))
    part = body[start : start + rng.choice((1, 20, 400))]
    return body[:start] + part * rng.choice((2, 50, 2000)) + body[start:]


def _encoded(body: bytes, rng: random.Random, made: dict[str, Seed]) -> bytes:
    text = body.decode("utf-8", "replace")
    return text.encode(rng.choice(("utf-16", "utf-16-le", "utf-32", "utf-7", "cp1252")), "replace")


def _odd_values(body: bytes, rng: random.Random, made: dict[str, Seed]) -> bytes:
    """JSON with values of other kinds where a reader expects its own; lines where it is lines."""
    try:
        return json.dumps(_changed(json.loads(body), rng, 0.08)).encode()
    except ValueError:
        pass
    try:
        rows = [json.dumps(_changed(json.loads(line), rng, 0.2)) for line in body.splitlines()]
        return "\n".join(rows).encode()
    except ValueError:
        return _nasty(body, rng, made)


def _odd_members(body: bytes, rng: random.Random, made: dict[str, Seed]) -> bytes:
    """An archive whose members are broken, go by odd names, are links, are locked, or lie about their sizes."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return _spliced(body, rng, made)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice((0, 8, 12, 14))) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(
                rng.choice((name, name, "../" * 9 + name, "/" + name, name + "/", "\0" + name))
            )
            info.external_attr = rng.choice((0, 0xA1FF << 16, 0o777 << 16))
            archive.writestr(info, rng.choice(_BYTES)(data, rng, made))
    raw = bytearray(out.getvalue())
    if rng.random() < 0.5:
        at = raw.rfind(b"PK\x01\x02")
        struct.pack_into("<I", raw, at + rng.choice((8, 20, 24, 42)), rng.choice((0, 1, 2**31, 2**32 - 1)))
    return bytes(raw)


_BYTES: tuple[Callable[[bytes, random.Random, dict[str, Seed]], bytes], ...] = (
    _as_it_is, _cut, _flipped, _spliced, _nasty, _repeated, _encoded, _odd_values,
)  # fmt: skip
_BREAKS = (*_BYTES[1:], _odd_values, _odd_members, _as_it_is)


def _changed(value: Any, rng: random.Random, share: float) -> Any:
    if rng.random() < share:
        return rng.choice(_ODD)
    if isinstance(value, dict):
        return {key: _changed(item, rng, share) for key, item in value.items() if rng.random() > share / 4}
    if isinstance(value, list):
        return [_changed(item, rng, share) for item in value]
    return value


def _zeros(rng: random.Random) -> bytes:
    return packed({"_chat.txt": b"\0" * (96 << 20)})


def _same_line(rng: random.Random) -> bytes:
    """1000 to 1: small on the way, large when it is read."""
    line = b"12/03/2025, 18:03 - Ines: " + b"row " * 40 + b"\n"
    return packed({"WhatsApp Chat with Ines.txt": line * ((48 << 20) // len(line))})


def _one_line(rng: random.Random) -> bytes:
    return b"12/03/2025, 18:03 - Ines: " + b"x" * (40 << 20)


def _deep(rng: random.Random) -> bytes:
    opening = rng.choice(
        (b"[", b'{"a":', b'[{"mapping":', b'{"messages":[', b'{"guild":{},"channel":{},"messages":[')
    )
    return opening * 300_000


def _many_files(rng: random.Random) -> bytes:
    return packed({f"f{number}.json": b"{}" for number in range(8000)})


def _in_one_another(rng: random.Random) -> bytes:
    body = b"0" * 1000
    for number in range(20):
        body = packed({f"{number}.zip": body})
    return body


def _many_people(rng: random.Random) -> bytes:
    row = '{{"time":"2025-03-12T18:03:00Z","speaker":"P{0}","text":"a","conversation":"C{0}"}}\n'
    return "".join(row.format(number) for number in range(60_000)).encode()


def _wide(rng: random.Random) -> bytes:
    return b'{"name":"a","type":"personal_chat","id":1,"messages":[{"id":1,"text":[' + b"{}," * (8 << 20)


def _entities(rng: random.Random) -> bytes:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "row"}">' for n in range(10))
    return f'<?xml version="1.0"?><!DOCTYPE a [{entities}]><a>&a9;</a>'.encode()


_BOMBS: tuple[Callable[[random.Random], bytes], ...] = (
    _zeros, _same_line, _one_line, _deep, _many_files, _in_one_another, _many_people, _wide, _entities,
)  # fmt: skip
