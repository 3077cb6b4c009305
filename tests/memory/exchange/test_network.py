from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from typing import Any

import networkx
import pytest

from db.engine import Database
from memory.exchange import picture
from memory.exchange.graphml import write_graphml
from memory.exchange.network import View, node_link, to_networkx
from memory.people import add_alias

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def database(one_store: Database) -> Database:
    """One kind of store: they are compared in test_notes.py."""
    return one_store


@pytest.fixture
def told(world: Any) -> Any:
    """Ana told Ben of Porto, Cleo of Lagos and of her sister; one value is no node."""
    world.store("Porto", 1, object_kind="place")
    world.store("22 March", 2, predicate="birthday")
    world.store("Eva Reis", 3, predicate="sister", object_kind="person", to="Cleo Ott")
    world.store("Lagos", 40, change="update", object_kind="place", to="Cleo Ott")
    world.store("Porto", 5, about="Ben Ode", by="Ben Ode", to="Ana Reis", object_kind="place")
    return world


def network(world: Any, **view: Any) -> networkx.MultiDiGraph:
    return to_networkx(world.database, world.space_id, world.registry, View(**view), clock=world.clock)


def triples(graph: networkx.MultiDiGraph) -> set[tuple[str, str, str]]:
    label = dict(graph.nodes(data="label"))
    return {(label[a], data["label"], label[b]) for a, b, data in graph.edges(data=True)}


def labels(graph: networkx.MultiDiGraph) -> set[str]:
    return {label for _, label in graph.nodes(data="label")}


def test_people_places_and_values_are_nodes_and_facts_are_edges(told: Any) -> None:
    assert triples(network(told)) == {
        ("Ana Reis", "lives in", "Lagos"),
        ("Ana Reis", "birthday", "22 March"),
        ("Ana Reis", "sister", "Eva Reis"),
        ("Ben Ode", "lives in", "Porto"),
    }


def test_a_graph_as_of_a_day_holds_what_held_then(told: Any) -> None:
    assert ("Ana Reis", "lives in", "Porto") in triples(network(told, as_of=told.day(20)))


def test_the_history_holds_what_is_over_with_its_end(told: Any) -> None:
    ended = [data for *_, data in network(told, is_history=True).edges(data=True) if data["status"] == "past"]
    assert [(data["valid_from"], data["valid_to"]) for data in ended] == [("2025-03-02", "2025-04-10")]


def test_a_viewer_sees_what_they_were_told_and_no_other_name(told: Any) -> None:
    seen = network(told, known_to=told.person("Ben Ode"))
    assert triples(seen) == {
        ("Ana Reis", "lives in", "Porto"),
        ("Ana Reis", "birthday", "22 March"),
        ("Ben Ode", "lives in", "Porto"),
    }
    assert labels(seen) == {"Ana Reis", "Ben Ode", "Porto", "22 March"}


def test_a_viewer_sees_only_their_own_conversations_and_no_aliases(told: Any) -> None:
    with told.database.transaction() as session:
        add_alias(session, told.space_id, told.person("Ana Reis"), "Secret")
    seen = network(told, known_to=told.person("Ben Ode"), has_conversations=True)
    assert {label for _, label in seen.nodes(data="label")} >= {"Ana Reis and Ben Ode"}
    assert "Ana Reis and Cleo Ott" not in labels(seen)
    assert not any("aliases" in data for _, data in seen.nodes(data=True))


def test_values_can_be_left_out(told: Any) -> None:
    assert "22 March" not in labels(network(told, has_values=False))


def test_conversations_count_who_said_how_much(told: Any) -> None:
    graph = network(told, has_conversations=True)
    (conversation,) = (node for node, label in graph.nodes(data="label") if label == "Ana Reis and Ben Ode")
    said = {
        graph.nodes[node]["label"]: data["n_messages"]
        for node, _, data in graph.in_edges(conversation, data=True)
    }
    assert said == {"Ana Reis": 2, "Ben Ode": 1}


def test_the_same_graph_comes_out_in_the_same_order(told: Any) -> None:
    first, second = network(told), network(told)
    assert list(first.nodes(data=True)) == list(second.nodes(data=True))
    assert list(first.edges(keys=True, data=True)) == list(second.edges(keys=True, data=True))


def test_an_empty_space_gives_an_empty_graph(world: Any) -> None:
    assert len(network(world)) == 0
    ET.fromstring(picture.svg(network(world), "nobody"))


def read_back(graph: networkx.MultiDiGraph) -> networkx.MultiDiGraph:
    file = io.BytesIO()
    write_graphml(graph, file)
    return networkx.read_graphml(io.BytesIO(file.getvalue()), force_multigraph=True)


def test_networkx_reads_the_graphml_back_as_it_was(told: Any) -> None:
    graph = network(told, is_history=True, has_conversations=True)
    back = read_back(graph)
    assert dict(back.nodes(data=True)) == dict(graph.nodes(data=True))
    edges = {key: data for *_, key, data in graph.edges(keys=True, data=True)}
    assert {key: data for *_, key, data in back.edges(keys=True, data=True)} == edges


ODD_NAMES = [
    "a\x00b\x01",
    "<&>\"'",
    "\ud800",
    "\ufffe",
    "‮Ada",
    "𝓐𝓭𝓪",
    "👩‍👩‍👧",
    "a\tb\nc\rd",
    "]]>",
    "é" * 500,
]


def test_any_name_makes_graphml_and_a_picture_that_can_be_read() -> None:
    graph = networkx.MultiDiGraph()
    for number, name in enumerate(ODD_NAMES):
        graph.add_node(str(number), label=name, kind="person")
    for number in range(1, len(ODD_NAMES)):
        graph.add_edge("0", str(number), key=f"f{number}", kind="fact", label=ODD_NAMES[number], weight=1.0)
    back = read_back(graph)
    assert len(back) == len(ODD_NAMES)
    assert back.nodes["1"]["label"] == "<&>\"'"
    assert back.nodes["7"]["label"] == "a\tb\nc\rd"
    ET.fromstring(picture.svg(graph, "<odd & names>").encode())


def test_the_network_is_there_for_analysis(told: Any) -> None:
    graph = network(told)
    rank = networkx.pagerank(graph)
    assert set(rank) == set(graph)
    people = graph.to_undirected()
    assert networkx.has_path(people, told.person("Ana Reis"), told.people["Ana Reis"])


def test_the_json_form_is_read_by_networkx(told: Any) -> None:
    graph = network(told)
    back = networkx.node_link_graph(json.loads(json.dumps(node_link(graph))), edges="edges")
    assert dict(back.nodes(data=True)) == dict(graph.nodes(data=True))
    assert triples(back) == triples(graph)


def test_the_picture_of_people_shows_them_and_what_they_share(told: Any) -> None:
    told.store("Lagos", 50, about="Eva Reis", object_kind="place")
    part = picture.among_people(network(told))
    assert labels(part) == {"Ana Reis", "Eva Reis", "Lagos"}


def test_the_picture_of_one_person_shows_what_is_one_step_away(told: Any) -> None:
    part = picture.around(network(told), told.person("Ana Reis"))
    assert labels(part) == {"Ana Reis", "Eva Reis", "Lagos", "22 March"}
    assert len(picture.around(network(told), "nobody")) == 0


def test_a_picture_is_one_svg_with_every_name_and_no_address_elsewhere(told: Any) -> None:
    drawn = picture.svg(network(told), "All & sundry")
    root = ET.fromstring(drawn)
    shown = {text.text for text in root.iter(f"{SVG}text")}
    assert shown >= {"Ana Reis", "Eva Reis", "Lagos", "22 March", "sister", "All & sundry"}
    page = picture.html(network(told), "All & sundry")
    assert drawn in page
    assert "href" not in page
    assert "<script" not in page


def test_the_same_graph_gives_the_same_picture(told: Any) -> None:
    assert picture.svg(network(told), "x") == picture.svg(network(told), "x")


def test_a_picture_holds_no_more_than_can_be_told_apart() -> None:
    ego = networkx.MultiDiGraph()
    for number in range(3 * picture.MOST):
        ego.add_edge("me", str(number), label="knows")
    networkx.set_node_attributes(ego, "person", "kind")
    kept = picture.around(ego, "me")
    assert len(kept) == picture.MOST
    assert "me" in kept
