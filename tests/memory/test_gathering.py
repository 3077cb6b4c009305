"""Claims about which facts are read for one question."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from db.tables import Node
from memory.gathering import gather
from memory.search.mentions import Mention
from memory.types import Hit


def node(world: Any, name: str) -> str:
    with world.database.reading() as session:
        found: str = session.scalars(
            select(Node.id).where(Node.space_id == world.space_id, Node.name == name)
        ).one()
    return found


def read(world: Any, *names: str, hits: tuple[str, ...] = ()) -> set[tuple[str, str]]:
    mentions = [Mention(0, len(name), name, (node(world, name),)) for name in names]
    found = gather(
        world.database,
        world.space_id,
        world.registry,
        mentions,
        [Hit("fact", fact_id, 1.0) for fact_id in hits],
        as_of=None,
        known_to=None,
        clock=world.clock,
    )
    return {(fact.subject, fact.object) for fact in found}


def test_only_whom_the_name_leads_to_is_read(world: Any) -> None:
    world.claim("Ida Moe", 1, predicate="sister", object_kind="person")
    world.claim("Tor Lie", 2, predicate="husband", object_kind="person", about="Ida Moe")
    world.claim("Rome", 3, about="Tor Lie")
    world.claim("Oslo", 4, about="Bo Falk")
    world.claim("bad knee", 5, predicate="injury", about="Ana Reis's mother")
    far = world.claim("Kotor", 6, about="Pia Dahl")
    about_ana = read(world, "Ana Reis")
    assert about_ana == {
        ("Ana Reis", "Ida Moe"),
        ("Ida Moe", "Tor Lie"),
        ("Tor Lie", "Rome"),
        ("Ana Reis's mother", "bad knee"),
    }
    assert ("Ana Reis", "Ida Moe") in read(world, "Ida Moe")
    assert read(world, "Bo Falk") == {("Bo Falk", "Oslo")}
    assert read(world, "Bo Falk", hits=(far,)) == {("Bo Falk", "Oslo"), ("Pia Dahl", "Kotor")}


def test_nobody_named_means_whom_the_search_found(world: Any) -> None:
    found = world.claim("Kotor", 1, about="Pia Dahl")
    world.claim("Oslo", 2, about="Bo Falk")
    assert read(world, hits=(found,)) == {("Pia Dahl", "Kotor")}
    assert read(world) == set()
