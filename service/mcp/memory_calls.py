"""What the nine tools of the MCP memory server answer, out of a space's entities.

`search_nodes` is the memory server's own search: words, as they stand, anywhere. Only where that finds nothing for a
question of several words, ours is asked for the entities whose notes are nearest to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from db.tables import clean_text
from memory.entities.graph import Entity, Graph, Part, pretty
from memory.entities.store import EntityStore, NewEntity, NewRelation, Observed
from memory.errors import ModelMissing
from service.spaces import App

N_WORDS = 3  # of a query that may be a question
N_NEAREST = 10  # entities that a question finds at most
_N_NOTES = 100  # messages that are looked at for them

Said = tuple[str, dict[str, Any]]  # as text, and as JSON


def create_entities(store: EntityStore, given: dict[str, Any]) -> Said:
    new = [
        NewEntity(_clean(row["name"]), _clean(row["entityType"]), _texts(row["observations"]))
        for row in given["entities"]
    ]
    return _listed("entities", [entity.row for entity in store.create_entities(new)])


def create_relations(store: EntityStore, given: dict[str, Any]) -> Said:
    made = store.create_relations(_relations(given))
    return _listed("relations", [relation.row for relation in made])


def add_observations(store: EntityStore, given: dict[str, Any]) -> Said:
    added = store.add_observations(_observed(given["observations"], "contents"))
    rows = [{"entityName": name, "addedObservations": list(texts)} for name, texts in added]
    return _listed("results", rows)


def delete_entities(store: EntityStore, given: dict[str, Any]) -> Said:
    store.delete_entities(_texts(given["entityNames"]))
    return _done("Entities")


def delete_observations(store: EntityStore, given: dict[str, Any]) -> Said:
    store.delete_observations(_observed(given["deletions"], "observations"))
    return _done("Observations")


def delete_relations(store: EntityStore, given: dict[str, Any]) -> Said:
    store.delete_relations(_relations(given))
    return _done("Relations")


def read_graph(store: EntityStore, _: dict[str, Any]) -> Said:
    return _shown(store.look(Graph.whole))


def open_nodes(store: EntityStore, given: dict[str, Any]) -> Said:
    names = _texts(given["names"])
    return _shown(store.look(lambda graph: graph.named(names)))


def search_nodes(store: EntityStore, given: dict[str, Any]) -> Said:
    return _shown(store.look(lambda graph: graph.containing(_clean(given["query"]))))


def search_nearest(app: App, store: EntityStore, query: str) -> Said:
    """The entities nearest to a question, best first."""
    try:
        app.services.index.refresh()
        hits = app.services.index.search(query, _N_NOTES, kinds=("episode",))
    except ModelMissing:  # without the encoder there are words alone, as the memory server has them
        return _shown(Part((), ()))
    wanted = [hit.id for hit in hits]
    return _shown(store.look(lambda graph: _about(graph, wanted)))


def is_question(query: str) -> bool:
    return len(query.split()) >= N_WORDS


CALLS: dict[str, Callable[[EntityStore, dict[str, Any]], Said]] = {
    call.__name__: call
    for call in (
        create_entities,
        create_relations,
        add_observations,
        delete_entities,
        delete_observations,
        delete_relations,
        read_graph,
        search_nodes,
        open_nodes,
    )
}
CHANGES = frozenset(name for name in CALLS if name.startswith(("create", "add", "delete")))


def _about(graph: Graph, episodes: list[str]) -> Part:
    """The entities for which these notes stand, in the order of the notes."""
    found: dict[str, Entity] = {}
    for episode_id in episodes:
        for entity in graph.noted_by(episode_id):
            found.setdefault(entity.id, entity)
    return graph.part(list(found.values())[:N_NEAREST])


def _clean(text: str) -> str:
    return clean_text(text)


def _texts(given: list[str]) -> tuple[str, ...]:
    return tuple(map(clean_text, given))


def _observed(given: list[dict[str, Any]], key: str) -> list[Observed]:
    return [(_clean(row["entityName"]), _texts(row[key])) for row in given]


def _relations(given: dict[str, Any]) -> list[NewRelation]:
    return [
        NewRelation(_clean(row["from"]), _clean(row["to"]), _clean(row["relationType"]))
        for row in given["relations"]
    ]


def _listed(key: str, rows: list[dict[str, Any]]) -> Said:
    return pretty(rows), {key: rows}


def _done(what: str) -> Said:
    message = f"{what} deleted successfully"
    return message, {"success": True, "message": message}


def _shown(part: Part) -> Said:
    return part.as_text(), part.as_json()
