"""How a persona speaks is kept per person."""

from __future__ import annotations

from memory.persona_settings import get_sampling, set_sampling


def test_what_is_set_replaces_what_was_and_nothing_takes_it_away(world) -> None:
    ana, ben = world.person("Ana Reis"), world.person("Ben Ode")
    set_sampling(world.database, world.space_id, ana, {"temperature": 0.9})
    set_sampling(world.database, world.space_id, ana, {"top_p": 0.5})
    assert get_sampling(world.database, world.space_id, ana) == {"top_p": 0.5}
    assert get_sampling(world.database, world.space_id, ben) == {}
    set_sampling(world.database, world.space_id, ana, {})
    assert get_sampling(world.database, world.space_id, ana) == {}
