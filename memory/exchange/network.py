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

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.tables import Alias, Conversation, Edge, Episode, Node, Participant
from db.tables import Fact as FactRow
from memory import values
from memory.digests import DIGEST
from memory.exchange.notes import NOTEBOOK
from memory.fact_rows import chunks
from memory.fact_views import Asked, Choice, read
from memory.facts import ALL_STATUSES, HOLDING, fact_json
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
    around: str | None = None  # a person's id: them, and what is one step away


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
    same every time: nodes and edges are in a fixed order. Around a person no more than their neighbours is read.
    """
    import networkx

    view = view or View()
    graph = networkx.MultiDiGraph()
    with database.reading() as session:
        near = None if view.around is None else _near(session, space_id, view.around)
        facts = _facts(session, space_id, Asked(registry, view.as_of, view.known_to, None, clock), view, near)
        builder = _Builder(session, space_id, view, graph, near)
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


def _near(session: Session, space_id: str, person_id: str) -> set[str]:
    """The person and every node that a fact or a link of any time puts beside them."""
    near = {person_id}
    for mapped, one, other in (
        (FactRow, FactRow.subject_id, FactRow.object_id),
        (Edge, Edge.src_id, Edge.dst_id),
    ):
        for here, there in ((one, other), (other, one)):
            query = select(there).where(mapped.space_id == space_id, here == person_id, there.is_not(None))
            near.update(session.scalars(query.distinct()))
    return near


def _facts(session: Session, space_id: str, asked: Asked, view: View, near: set[str] | None) -> list[Fact]:
    """As `memory.facts.list_facts` gives them, of all subjects or of those."""
    choice = Choice(EVER_HELD if view.is_history else HOLDING)
    if near is None:
        return read(session, space_id, asked, None, None).chosen(choice, asked.registry)
    found = (
        read(session, space_id, asked, part, None).chosen(choice, asked.registry)
        for part in chunks(sorted(near))
    )
    return [fact for part in found for fact in part]


@dataclass(slots=True)
class _Builder:
    session: Session
    space_id: str
    view: View
    graph: Any
    near: set[str] | None = None  # no other nodes

    def add_nodes(self) -> None:
        query = (
            select(Node.id, Node.name, Node.kind, Node.merged_into)
            .where(Node.space_id == self.space_id, Node.kind.not_in((NOTEBOOK, DIGEST)))
            .order_by(Node.kind, Node.name_key, Node.id)
        )
        rows = self.session.execute(query).all() if self.near is None else self._near_rows(query)
        called = self._aliases() if self.view.known_to is None else {}
        for node_id, name, kind, merged_into in rows:
            if merged_into is None:
                aliases = {"aliases": "; ".join(called[node_id])} if node_id in called else {}
                self.graph.add_node(node_id, label=name, kind=kind, **aliases)

    def _near_rows(self, query: Select[*tuple[Any, ...]]) -> list[Any]:
        parts = (
            self.session.execute(query.add_columns(Node.name_key).where(Node.id.in_(part)))
            for part in chunks(sorted(self.near or ()))
        )
        rows = sorted(
            (row for part in parts for row in part), key=lambda row: (row.kind, row.name_key, row.id)
        )
        return [row[:4] for row in rows]

    def _aliases(self) -> dict[str, list[str]]:
        called: dict[str, list[str]] = defaultdict(list)
        query = select(Alias.node_id, Alias.name).where(Alias.space_id == self.space_id)
        query = query.order_by(Alias.name, Alias.id)
        within = (
            [query]
            if self.near is None
            else [query.where(Alias.node_id.in_(part)) for part in chunks(sorted(self.near))]
        )
        for asked in within:
            for node_id, name in self.session.execute(asked):
                called[node_id].append(name)
        return called

    def add_facts(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            target = fact.object_id
            if fact.subject_id not in self.graph:
                continue
            if target is None or target not in self.graph:
                is_away = self.near is not None and target is not None and target not in self.near
                if is_away or not self.view.has_values:
                    continue
                target = self._value_node(fact.object)
            self.graph.add_edge(fact.subject_id, target, key=fact.id, **_fact_attributes(fact))

    def _value_node(self, value: str) -> str:
        node_id = "value:" + hashlib.sha256(values.normal(value).encode()).hexdigest()[:16]
        if node_id not in self.graph:
            self.graph.add_node(node_id, label=value, kind="value")
        return node_id

    def add_links(self) -> None:
        for edge in self._links():
            if edge.src_id in self.graph and edge.dst_id in self.graph:
                label = edge.kind.replace("_", " ")
                self.graph.add_edge(
                    edge.src_id, edge.dst_id, key=edge.id, kind="link", label=label, weight=edge.weight
                )

    def _links(self) -> list[Edge]:
        query = select(Edge).where(Edge.space_id == self.space_id)
        if self.near is None:
            return list(self.session.scalars(query.order_by(Edge.id)))
        parts = (
            self.session.scalars(query.where(Edge.src_id.in_(part))) for part in chunks(sorted(self.near))
        )
        return sorted((edge for part in parts for edge in part), key=lambda edge: edge.id)

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
