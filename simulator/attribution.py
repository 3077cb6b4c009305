"""Which messages made the model say this: four ways to rank what a person could know by a reply.

`activation`: cosine of the reply's mid-layer activation with the messages', from the night's index (milliseconds).
`gradient`: what learning a message would have done to the reply's likelihood, on the best of the former (seconds).
`bm25` and `dense`: the reply's words and its sentence vector, with nothing of the language model in them; they are
what the first two have to beat. None of them proves a cause; how well each finds one is measured by `bench.attribution`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from sqlalchemy import select

from consolidation.attribution import manifest_of, open_index, vectors_of
from consolidation.influence import influences
from consolidation.stage import Progress, no_progress
from db import tables
from db.engine import Database
from memory.episodes import episodes_near, get_episodes, list_episodes
from memory.index import Index
from memory.message_vectors import MessageVectors, Nearest
from memory.perspective import visible_among
from memory.ports import FloatMatrix
from memory.types import Episode
from simulator.errors import UnknownTurn

if TYPE_CHECKING:
    from agents.runtime.adapter import Adapter
    from agents.runtime.lm import LanguageModel
    from agents.runtime.lora_gradients import Differentiator, Row

Method = Literal["activation", "gradient", "bm25", "dense"]
METHODS: tuple[Method, ...] = get_args(Method)
MAX_TURNS = 8  # of what was said before that a reply is explained with
SHORTLIST = 32  # messages whose gradients are taken
MAX_CHARS = 400  # of a message that is differentiated, and of what was said before it
ANSWERED_WITHIN = timedelta(hours=2)  # a message answers what was said so shortly before it


@dataclass(frozen=True, slots=True)
class Said:
    """A reply to explain. `known_to` (an id) and `as_of` bound what may explain it; `turn` is its id where it has one."""

    text: str
    context: tuple[str, ...] = ()  # what was said before, the newest last
    known_to: str | None = None
    as_of: datetime | None = None
    turn: str | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """A message with its score: cosine, influence or BM25, comparable within one answer only."""

    episode: Episode
    score: float


@dataclass(frozen=True, slots=True)
class Tools:
    """`index` is needed by words and sentence vectors, `model` by the others, wearing nothing; `worn` is what the recipe
    that serves puts on.
    """

    database: Database
    space_id: str
    home: Path
    index: Index | None = None
    model: LanguageModel | None = None
    worn: Sequence[tuple[Adapter, float]] = ()


def find_turn(database: Database, space_id: str, name: str) -> Said:
    """A persona's turn by its id, a beginning of it, or `last`. Raises UnknownTurn."""
    turns = persona_turns(database, space_id)
    found = turns[-1:] if name == "last" else [turn for turn in turns if turn.id.startswith(name)]
    if len(found) != 1 or not name:
        raise UnknownTurn(name, len(found))
    turn = found[0]
    talk = list_episodes(database, space_id, conversation_id=turn.conversation_id, origins=("simulated",))
    before = [item.text for item in talk if (item.time, item.position) < (turn.time, turn.position)]
    return Said(turn.text, tuple(before[-MAX_TURNS:]), turn.speaker_id, turn.time, turn.id)


def persona_turns(database: Database, space_id: str) -> list[Episode]:
    """What personas said, in time order; not what was said to them."""
    conversation = tables.Conversation
    query = select(conversation.id, conversation.name).where(conversation.space_id == space_id)
    with database.reading() as session:
        names = {row.id: row.name for row in session.execute(query)}
    return [
        turn
        for turn in list_episodes(database, space_id, origins=("simulated",))
        if _is_personas(names[turn.conversation_id], turn.speaker)
    ]


def _is_personas(conversation: str, speaker: str) -> bool:
    """Whether a persona said it: whoever the conversation is named after, not whom they are "with"."""
    names = conversation.removeprefix("simulated: ")
    personas, is_with, _ = names.rpartition(" with ")
    is_one = names.startswith(f"{speaker} with ") or f" and {speaker} and " in f" and {personas} and "
    return names != conversation and (is_one or not is_with)


def why(tools: Tools, said: Said, method: Method, k: int, progress: Progress = no_progress) -> list[Cause]:
    """The k messages that best explain the reply, best first.

    `activation` and `gradient` read the space's index of activations, and raise BrokenIndex without one.
    """
    if method in ("bm25", "dense"):
        assert tools.index is not None
        by: Literal["words", "vector"] = "words" if method == "bm25" else "vector"
        hits = tools.index.by_one(said.text, k, by, known_to=said.known_to, as_of=said.as_of)
        return _causes(tools, [(hit.id, hit.score) for hit in hits])
    assert tools.model is not None
    model = tools.model
    progress(0, 1, "comparing activations")
    index = open_index(tools.home, tools.space_id, manifest_of(model))
    wanted = k if method == "activation" else max(k, SHORTLIST)
    near = _nearest(tools, index, said, model, wanted)
    progress(1, 1)
    if method == "activation":
        return _causes(tools, near)
    shortlist = [cause.episode for cause in _causes(tools, near)]
    return by_gradient(tools, said, shortlist, progress)[:k]


def _nearest(
    tools: Tools, index: MessageVectors, said: Said, model: LanguageModel, k: int
) -> list[tuple[str, float]]:
    """Ids and cosines of the nearest messages that may explain it.

    Who could know what is asked for the nearest only, and for more of them until enough were known.
    """
    vector = vectors_of(model, [said.text], index.manifest.layer)[0]
    nearest = Nearest(index)
    wanted = 8 * k
    while True:
        places, cosines = nearest.best(vector, wanted)
        ids = [f"{int(index.ids[place]):016x}" for place in places]
        ranked = list(zip(ids, map(float, cosines), strict=True))
        if said.known_to is not None:
            with tools.database.reading() as session:
                known = visible_among(session, tools.space_id, said.known_to, ids, said.as_of)
            ranked = [(key, score) for key, score in ranked if key in known]
        if len(ranked) >= k or wanted >= len(index):
            return ranked[:k]
        wanted *= 8


def by_gradient(
    tools: Tools, said: Said, messages: Sequence[Episode], progress: Progress = no_progress
) -> list[Cause]:
    """These messages by their influence on the reply, the most helpful first; the model ends up plain."""
    from agents.runtime.lora_gradients import Differentiator

    if not messages:
        return []
    assert tools.model is not None
    model = tools.model
    model.apply(tools.worn)
    try:
        gradients = Differentiator(model, tools.worn, first_layer=int(0.4 * model.n_layers))
        before = _said_before(tools, messages)
        rows = [exchange(model, before.get(item.id, ""), item.text) for item in messages]
        last = said.context[-1] if said.context else ""
        scores = influence_of(gradients, exchange(model, last, said.text), rows, progress)
    finally:
        model.reset()
    order = np.argsort(-scores, kind="stable")
    return [Cause(messages[i], float(scores[i])) for i in order]


def influence_of(
    gradients: Differentiator, reply: Row, messages: Sequence[Row], progress: Progress = no_progress
) -> FloatMatrix:
    """Influence (N,) of each message's row on the reply's."""
    total = len(messages) + 1

    def show(done: int, _total: int) -> None:
        progress(1 + done, total, "taking gradients")

    progress(0, total, "taking gradients")
    return influences(gradients.gradients([reply]), gradients.gradients(messages, show))


def exchange(model: LanguageModel, before: str, text: str) -> Row:
    """What was said, as an answer to what was said before it: ids, and which of them are the answer."""
    asked = [{"role": "user", "content": before[:MAX_CHARS]}] if before else []
    return model.template.supervised([*asked, {"role": "assistant", "content": text[:MAX_CHARS]}])


def _said_before(tools: Tools, messages: Sequence[Episode]) -> dict[str, str]:
    """Per message what somebody else said last before it in its conversation, where that was not long ago."""
    around = episodes_near(tools.database, tools.space_id, [item.id for item in messages], ANSWERED_WITHIN)
    found: dict[str, str] = {}
    latest: dict[str, Episode] = {}
    wanted = {item.id for item in messages}
    for episode in around:
        previous = latest.get(episode.conversation_id)
        is_near = previous is not None and episode.time - previous.time <= ANSWERED_WITHIN
        if episode.id in wanted and previous is not None and is_near:
            found[episode.id] = previous.text
        latest[episode.conversation_id] = episode
    return found


def _causes(tools: Tools, ranked: Sequence[tuple[str, float]]) -> list[Cause]:
    found = {
        item.id: item for item in get_episodes(tools.database, tools.space_id, [key for key, _ in ranked])
    }
    return [Cause(found[key], score) for key, score in ranked if key in found]
