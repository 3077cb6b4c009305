"""The graph as a networkx MultiDiGraph, for export, pictures and analysis. Nothing in the program reads from it.

Nodes are people, places, things and, where asked for, the plain values of facts and conversations; edges are facts,
stored links and who took part in what. Every attribute is a text or a number and is left out where there is none.
Facts hold at a time and for a viewer, as in `memory.facts.list_facts`. A viewer sees no name but those in the facts
they can know and in their own conversations.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Alias, Conversation, Edge, Episode, Node, Participant
from memory import values
from memory.digests import DIGEST
from memory.exchange.notes import NOTEBOOK
from memory.facts import ALL_STATUSES, HOLDING, fact_json, list_facts
from memory.perspective import HEARD
from memory.ports import Clock, utc_now
from memory.registry import Registry
from memory.types import Fact

if TYPE_CHECKING:
    import networkx

EVER_HELD = tuple(status for status in ALL_STATUSES if status != "rejected")


@dataclass(frozen=True, slots=True)
class View:
    """What of the graph is shown. `known_to` is a person's id."""

    as_of: datetime | None = None
    known_to: str | None = None
    is_history: bool = False  # everything that ever held, and what was withdrawn
    has_values: bool = True  # values that are no nodes ("22 March") become nodes of kind "value"
    has_conversations: bool = False


def to_networkx(
    database: Database,
    space_id: str,
    registry: Registry,
    view: View | None = None,
    *,
    clock: Clock = utc_now,
) -> networkx.MultiDiGraph:
    """The space as a MultiDiGraph. Node keys are ids, edge keys the ids of facts.

    Nodes have `label`, `kind` and perhaps `aliases`; edges `kind` (fact | link | took_part), `label` and `weight`, and
    facts also `predicate`, `status`, `confidence`, `n_evidence`, `valid_from`, `valid_to`. What comes out is the
    same every time: nodes and edges are in a fixed order.
    """
    import networkx

    view = view or View()
    facts = list_facts(
        database,
        space_id,
        registry,
        as_of=view.as_of,
        known_to=view.known_to,
        statuses=EVER_HELD if view.is_history else HOLDING,
        clock=clock,
    )
    graph = networkx.MultiDiGraph()
    with database.reading() as session:
        builder = _Builder(session, space_id, view, graph)
        builder.add_nodes()
        builder.add_facts(facts)
        if view.has_conversations:
            builder.add_conversations()
        if view.as_of is None and view.known_to is None:
            builder.add_links()
    if view.known_to is not None:
        heard = builder.company(view.known_to)
        hidden = [node for node, n_edges in graph.degree() if not n_edges and node not in heard]
        graph.remove_nodes_from(hidden)
    return graph


def node_link(graph: networkx.MultiDiGraph) -> dict[str, Any]:
    """The graph as JSON that networkx reads back: {directed, multigraph, graph, nodes, edges}."""
    import networkx

    data: dict[str, Any] = networkx.node_link_data(graph, edges="edges")
    return data


@dataclass(slots=True)
class _Builder:
    session: Session
    space_id: str
    view: View
    graph: Any

    def add_nodes(self) -> None:
        rows = self.session.execute(
            select(Node.id, Node.name, Node.kind, Node.merged_into)
            .where(Node.space_id == self.space_id, Node.kind.not_in((NOTEBOOK, DIGEST)))
            .order_by(Node.kind, Node.name_key, Node.id)
        ).all()
        called = self._aliases() if self.view.known_to is None else {}
        for node_id, name, kind, merged_into in rows:
            if merged_into is None:
                aliases = {"aliases": "; ".join(called[node_id])} if node_id in called else {}
                self.graph.add_node(node_id, label=name, kind=kind, **aliases)

    def _aliases(self) -> dict[str, list[str]]:
        called: dict[str, list[str]] = defaultdict(list)
        query = select(Alias.node_id, Alias.name).where(Alias.space_id == self.space_id)
        for node_id, name in self.session.execute(query.order_by(Alias.name, Alias.id)):
            called[node_id].append(name)
        return called

    def add_facts(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            target = fact.object_id
            if fact.subject_id not in self.graph:
                continue
            if target is None or target not in self.graph:
                if not self.view.has_values:
                    continue
                target = self._value_node(fact.object)
            self.graph.add_edge(fact.subject_id, target, key=fact.id, **_fact_attributes(fact))

    def _value_node(self, value: str) -> str:
        node_id = "value:" + hashlib.sha256(values.normal(value).encode()).hexdigest()[:16]
        if node_id not in self.graph:
            self.graph.add_node(node_id, label=value, kind="value")
        return node_id

    def add_links(self) -> None:
        query = select(Edge).where(Edge.space_id == self.space_id).order_by(Edge.id)
        for edge in self.session.scalars(query):
            if edge.src_id in self.graph and edge.dst_id in self.graph:
                label = edge.kind.replace("_", " ")
                self.graph.add_edge(
                    edge.src_id, edge.dst_id, key=edge.id, kind="link", label=label, weight=edge.weight
                )

    def add_conversations(self) -> None:
        """A node for each conversation, with an edge from everybody in it that counts their messages."""
        said = self._n_messages()
        query = (
            select(Conversation.id, Conversation.name, Participant.node_id)
            .join(Participant, Participant.conversation_id == Conversation.id)
            .where(Conversation.space_id == self.space_id)
            .order_by(Conversation.name, Conversation.id, Participant.node_id)
        )
        if self.view.known_to is not None:
            query = query.where(Conversation.id.in_(self._own_conversations(self.view.known_to)))
        for conversation_id, name, node_id in self.session.execute(query):
            if node_id in self.graph:
                self.graph.add_node(conversation_id, label=name, kind="conversation")
                n = said.get((conversation_id, node_id), 0)
                self.graph.add_edge(
                    node_id,
                    conversation_id,
                    key=f"{conversation_id}:{node_id}",
                    kind="took_part",
                    label="took part",
                    weight=float(n),
                    n_messages=n,
                )

    def _n_messages(self) -> dict[tuple[str, str], int]:
        query = (
            select(Episode.conversation_id, Episode.speaker_id, func.count())
            .where(Episode.space_id == self.space_id, Episode.origin.in_(HEARD))
            .group_by(Episode.conversation_id, Episode.speaker_id)
        )
        if self.view.as_of is not None:
            query = query.where(Episode.time <= self.view.as_of)
        return {
            (conversation_id, speaker_id): n for conversation_id, speaker_id, n in self.session.execute(query)
        }

    def company(self, person_id: str) -> set[str]:
        """The person and everybody who shares a conversation with them."""
        query = select(Participant.node_id).where(
            Participant.conversation_id.in_(self._own_conversations(person_id))
        )
        return {person_id, *self.session.scalars(query)}

    def _own_conversations(self, person_id: str) -> Any:
        return select(Participant.conversation_id).where(
            Participant.space_id == self.space_id, Participant.node_id == person_id
        )


def _fact_attributes(fact: Fact) -> dict[str, Any]:
    said = fact_json(fact)
    found = {
        "kind": "fact",
        "label": fact.predicate.replace("_", " "),
        "predicate": fact.predicate,
        "status": fact.status,
        "confidence": said["confidence"],
        "weight": said["confidence"],
        "n_evidence": len(fact.evidence),
        "valid_from": said["valid_from"],
        "valid_to": said["valid_to"],
    }
    return {name: value for name, value in found.items() if value is not None}
