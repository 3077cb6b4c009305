"""Invented calls, entities and questions for `bench.mcp`: nobody in them is anybody."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Call = tuple[str, dict[str, Any]]

_FIRST = "Arlen Bette Corin Dagny Edda Falk Gwenda Hanno Ilka Jorun Kester Lorne Mirel Nadja Orin Petra Quill Runa Sivert Tove"
_LAST = "Abernew Brask Castelo Dunmore Eklund Farrow Grindal Hovde Iversund Jessen Kallio Lundqvar Mortlake Nesbo Ostrava"
_TYPES = ("person", "Person", "organization", "place", "project", "event", "recipe", "device", "café", "")
_VERBS = ("restored", "collects", "painted", "lost", "inherited", "repairs", "photographed", "sold")
_LOOKS = ("copper", "crooked", "velvet", "tartan", "mossy", "enamel", "walnut", "striped", "hollow", "amber")
_THINGS = (
    "lantern",
    "accordion",
    "sundial",
    "kayak",
    "typewriter",
    "weathervane",
    "telescope",
    "quilt",
    "barometer",
)
_PARTS = (
    "a cracked dial",
    "seven strings",
    "a silver hinge",
    "no lid",
    "a burnt handle",
    "green wheels",
    "a loose spring",
)
_PLACES = ("Vellmar", "Ostby", "Kirrin", "Talvik", "Sandmere", "Lower Hythe", "Brimstow", "Ardal")
_WORK = (
    "a glazier",
    "a tuner of organs",
    "a cartographer",
    "a farrier",
    "a bookbinder",
    "a notary",
    "a diver",
)
_FOOD = ("hazelnuts", "shellfish", "rye", "celery", "mustard", "lupins", "sesame")
_ODD = (
    "",
    " ",
    "\n",
    "naïve café",
    "日本語のメモ",
    "🧵 thread",
    'a "quoted" \\ word',
    "tab\tand\nline",
    "ẞTRASSE",
    "ΑΣ",
    "<b>",
    "x" * 400,
)
# what is noted of one entity each, and how somebody asks who has hardly a word of it
_MEANT = (
    ("is terrified of flying", "who panics on aeroplanes"),
    ("sings in a choir on Thursdays", "who makes music with others once a week"),
    ("broke her leg while skiing", "whose bone was injured in the snow"),
    ("has been a vegetarian since childhood", "who never ate meat"),
    ("adopted two stray kittens", "who took in homeless cats"),
    ("speaks Portuguese at home", "which family uses the language of Lisbon"),
    ("is saving up for a house", "who wants to buy property"),
    ("quit smoking last winter", "who gave up cigarettes"),
    ("runs a marathon every spring", "who does long distance races each year"),
    ("wakes at five to swim in the sea", "who bathes in the ocean early in the morning"),
    ("cannot tell red from green", "who is colour-blind"),
    ("teaches children to read", "who works with pupils at a school"),
    ("won the lottery and told nobody", "who secretly became rich by luck"),
    ("grows tomatoes on the roof", "who has a vegetable garden on top of the building"),
    ("plays chess by post", "who has a board game going with letters"),
    ("forgot the wedding anniversary", "who did not remember the day they married"),
    ("is allergic to bee stings", "who must beware of insects"),
    ("writes crime novels at night", "who is an author of detective stories"),
    ("moved away after the divorce", "who left town when the marriage ended"),
    ("keeps the accounts of the club", "who looks after the money of the association"),
    ("drives an ambulance", "who takes sick people to hospital"),
    ("sleeps badly since the operation", "who has insomnia after surgery"),
    ("sends a postcard from every journey", "who writes to friends while travelling"),
    ("lent the bicycle to a neighbour", "who let somebody next door use a bike"),
)


@dataclass
class Script:
    """Calls that make sense one after the other: what is there is what was made before."""

    random: random.Random
    names: list[str] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    relations: list[dict[str, str]] = field(default_factory=list)

    def name(self) -> str:
        draw = self.random
        kind = draw.random()
        if kind < 0.06:
            return draw.choice(_ODD)
        if kind < 0.2:
            return f"{draw.choice(_LOOKS)} {draw.choice(_THINGS)} {draw.randrange(40)}"
        joint = draw.choice((" ", "_"))
        return f"{draw.choice(_FIRST.split())}{joint}{draw.choice(_LAST.split())}"

    def known(self) -> str:
        """A name that is there, mostly."""
        return self.random.choice(self.names) if self.names and self.random.random() < 0.85 else self.name()

    def text(self) -> str:
        draw = self.random
        if draw.random() < 0.08:
            return draw.choice(_ODD)
        return draw.choice(
            (
                f"{draw.choice(_VERBS)} a {draw.choice(_LOOKS)} {draw.choice(_THINGS)} with {draw.choice(_PARTS)}",
                f"lives in {draw.choice(_PLACES)}",
                f"works as {draw.choice(_WORK)}",
                f"is allergic to {draw.choice(_FOOD)}",
            )
        )

    def texts_of(self, name: str) -> list[str]:
        known = self.texts.get(name, [])
        mixed = [
            self.random.choice(known) if known and self.random.random() < 0.5 else self.text()
            for _ in range(2)
        ]
        return mixed[: self.random.randrange(3)]

    def create_entities(self) -> dict[str, Any]:
        rows = []
        for _ in range(self.random.randrange(4)):
            texts = [self.text() for _ in range(self.random.randrange(4))]
            name = self.name()
            rows.append({"name": name, "entityType": self.random.choice(_TYPES), "observations": texts})
            self.names.append(name)
            self.texts.setdefault(name, []).extend(texts)
        return {"entities": rows}

    def relation(self) -> dict[str, str]:
        if self.relations and self.random.random() < 0.4:
            return self.random.choice(self.relations)
        kind = self.random.choice(("knows", "works_at", "sister of", "livesIn", "is part of", "", "mag 🧵"))
        self.relations.append({"from": self.known(), "to": self.known(), "relationType": kind})
        return self.relations[-1]

    def create_relations(self) -> dict[str, Any]:
        return {"relations": [self.relation() for _ in range(self.random.randrange(4))]}

    def delete_relations(self) -> dict[str, Any]:
        return {"relations": [self.relation() for _ in range(self.random.randrange(3))]}

    def add_observations(self) -> dict[str, Any]:
        names = [self.known() for _ in range(self.random.randrange(1, 3))]
        return {"observations": [{"entityName": name, "contents": self.texts_of(name)} for name in names]}

    def delete_observations(self) -> dict[str, Any]:
        names = [self.known() for _ in range(self.random.randrange(1, 3))]
        return {"deletions": [{"entityName": name, "observations": self.texts_of(name)} for name in names]}

    def delete_entities(self) -> dict[str, Any]:
        return {"entityNames": [self.known() for _ in range(self.random.randrange(1, 3))]}

    def open_nodes(self) -> dict[str, Any]:
        return {"names": [self.known() for _ in range(self.random.randrange(4))]}

    def search_nodes(self) -> dict[str, Any]:
        draw = self.random
        text = self.text() if draw.random() < 0.6 else self.known()
        cut = text[draw.randrange(max(1, len(text) // 2)) :][: draw.randrange(1, 24)]
        return {"query": draw.choice((cut, cut.upper(), cut.lower(), "no such words"))}

    def damaged(self) -> Call:
        """A call that is refused."""
        return self.random.choice(
            (
                ("create_entities", {"entities": [{"name": 7, "entityType": "x"}]}),
                ("create_entities", {"entities": "x"}),
                ("create_relations", {}),
                ("add_observations", {"observations": [{"entityName": "nobody at all", "contents": ["x"]}]}),
                ("delete_entities", {"entityNames": [None, {}, ["x"]]}),
                ("search_nodes", {"query": None}),
                ("open_nodes", {"names": [1.5, True]}),
                ("no_such_tool", {"x": 1}),
                ("read_graph", {"unasked": True}),
            )
        )


_SHARES = {
    "create_entities": 22,
    "add_observations": 14,
    "create_relations": 14,
    "search_nodes": 16,
    "open_nodes": 10,
    "read_graph": 8,
    "delete_observations": 5,
    "delete_relations": 4,
    "delete_entities": 3,
    "damaged": 4,
}


def calls(n: int, seed: int) -> Iterator[Call]:
    """n calls of every kind, the same for a seed."""
    script = Script(random.Random(seed))
    for _ in range(n):
        (kind,) = script.random.choices(list(_SHARES), list(_SHARES.values()))
        if kind == "damaged":
            yield script.damaged()
        else:
            yield kind, {} if kind == "read_graph" else getattr(script, kind)()


@dataclass(frozen=True)
class Question:
    """`wanted` is the name of the entity that it is about. kind: name | detail | meaning."""

    text: str
    wanted: str
    kind: str


def entities(n: int, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, str]], list[Question]]:
    """n entities with a name each that no other has, n / 2 relations, and questions about some of them."""
    draw = random.Random(seed)
    rows, questions = list[dict[str, Any]](), list[Question]()
    every = [(v, a, t, p) for v in _VERBS for a in _LOOKS for t in _THINGS for p in _PARTS]
    draw.shuffle(every)
    for number in range(n):
        name = f"{draw.choice(_FIRST.split())} {draw.choice(_LAST.split())} {number:05d}"
        place, work, food = draw.choice(_PLACES), draw.choice(_WORK), draw.choice(_FOOD)
        texts = [f"lives in {place} and works as {work}", f"is allergic to {food}"]
        if number < min(100, n):
            verb, look, thing, part = every[number]
            texts.append(f"{verb} a {look} {thing} with {part}, number {number}")
            questions.append(
                Question(f"Who has something to do with a {look} {thing} that has {part}?", name, "detail")
            )
        elif number < min(200, n):
            questions.append(Question(f"What must {name} not eat?", name, "name"))
        elif number < 200 + len(_MEANT):
            said, asked = _MEANT[number - 200]
            texts.append(said)
            questions.append(Question(f"{asked}?", name, "meaning"))
        rows.append({"name": name, "entityType": draw.choice(_TYPES[:4]), "observations": texts})
    draw.shuffle(rows)
    names = [row["name"] for row in rows]
    relations = [
        {"from": draw.choice(names), "to": draw.choice(names), "relationType": "knows"} for _ in range(n // 2)
    ]
    return rows, relations, questions


def words(n: int, rows: list[dict[str, Any]], seed: int) -> list[str]:
    """n searches as agents make them: a name, a part of one, a few words of an observation, and some that nothing has."""
    draw = random.Random(seed)
    found = []
    for _ in range(n):
        row = draw.choice(rows)
        kind = draw.random()
        if kind < 0.4:
            found.append(row["name"])
        elif kind < 0.6:
            found.append(row["name"].split()[2])
        elif kind < 0.9:
            found.append(
                draw.choice((f"number {draw.randrange(100)}", draw.choice(_MEANT)[0], row["name"].lower()))
            )
        else:
            found.append(f"zzz{draw.randrange(1000)}")
    return found
