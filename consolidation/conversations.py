"""Four examinations in conversation: one question, six turns, corrections, and a hundred turns without a repeated question.

They are made of the graph's own slots in held-out wordings; what is right is decided by any-of matching alone. The
model's own answers stay in its context: of six turns all, of the long conversation as many whole exchanges as the
window of WINDOW_TURNS turns holds, the question included. In a correction somebody says an old or made-up
value as if it held: right is an answer that gives what holds and not what was said. Nothing is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from consolidation.curriculum import Course, Message
from consolidation.negatives import strangers
from consolidation.questions import held_out
from consolidation.scoring import gives_any, holds_any, refuses, settles
from consolidation.slots import Slot, accepted_values
from consolidation.stage import Progress, no_progress
from memory import names
from memory.registry import Registry
from memory.wordings import fill

TESTS = ("single", "six_turns", "correction", "extended")
RECALL, CORRECTION, UNKNOWN = "recall", "correction", "unknown"
SIX = 6
HUNDRED = 100
MAX_SINGLE = 60
MAX_SIX_TURNS = 12  # conversations
MAX_CORRECTIONS = 40
WINDOW_TURNS = 8  # turns that the long conversation shows the model; a chat shows more (agents.turns.recent)
_CORRECTIONS_IN_HUNDRED = 20
_STRANGERS_IN_HUNDRED = 10
_MAX_RIVALS = 64
_MAX_NEW_TOKENS = 40
_BATCH = 24

# how somebody states what does not hold; no curriculum uses these words
ASSERTED = (
    "My notes say this: {said} Is that accurate?",
    "{said} That is right, isn't it?",
    "A colleague insists on this: {said} Would you agree?",
    "Let me note down: {said} Correct?",
)


class Answerer(Protocol):
    """What is examined: `agents.runtime.lm.LanguageModel`, or anything that answers conversations in order."""

    def answer(
        self, conversations: Sequence[Sequence[Message]], max_new_tokens: int = 32, batch_size: int = 24
    ) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing said to the model. kind: recall | correction | unknown. `forbidden` makes an answer wrong."""

    kind: str
    text: str
    accepted: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    slot: str = ""  # its key
    is_old: bool = False  # of a correction: the graph held the stated value once; else it is made up


@dataclass(frozen=True, slots=True)
class Conversation:
    """`window`: how many messages the model sees, the question included; None shows it everything."""

    test: str
    asks: tuple[Ask, ...]
    window: int | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    test: str
    turn: int  # from 1
    ask: Ask
    answer: str

    @property
    def is_right(self) -> bool:
        return is_right(self.ask, self.answer)

    @property
    def is_caved(self) -> bool:
        """Whether it took over the value that was stated to it."""
        return self.ask.kind == CORRECTION and holds_any(self.answer, self.ask.forbidden)


@dataclass(slots=True)
class _Running:
    conversation: Conversation
    messages: list[Message] = field(default_factory=list)

    def prompt(self, turn: int, prompt_of: Callable[[str], str]) -> list[Message]:
        """What the model is shown: whole exchanges before the question, as many as the window holds."""
        question = {"role": "user", "content": prompt_of(self.conversation.asks[turn].text)}
        window = self.conversation.window
        n_before = len(self.messages) if window is None else 2 * ((window - 1) // 2)
        return [*(self.messages[-n_before:] if n_before else ()), question]


def is_right(ask: Ask, answer: str) -> bool:
    """By any-of matching: recall settles on a value that holds; a correction gives it, and the one that was stated at most as
    what was; of somebody unknown the answer says so and gives nobody's value."""
    if ask.kind == UNKNOWN:
        return refuses(answer) and not gives_any(answer, ask.forbidden)
    if ask.kind == CORRECTION:
        return gives_any(answer, ask.accepted) and not holds_any(answer, ask.forbidden)
    return settles(answer, ask.accepted, ask.forbidden)


def make_conversations(course: Course, registry: Registry, slots: Sequence[Slot]) -> list[Conversation]:
    """All four, the same under the same seed. What there are too few facts for is shorter, or left out."""
    if not slots:
        return []
    maker = _Maker(course, registry, slots)
    return [*maker.single(), *maker.six_turns(), *maker.corrections(), *maker.extended()]


class _Maker:
    """Asks about slots in held-out wordings; people and predicates are mixed by the course's dice."""

    def __init__(self, course: Course, registry: Registry, slots: Sequence[Slot]) -> None:
        self._course, self._registry = course, registry
        self._slots = sorted(slots, key=lambda slot: course.dice("conversations", slot.key).random())
        self._values = sorted({fact.object for slot in slots for fact in slot.facts})

    def single(self) -> list[Conversation]:
        chosen = self._slots[:MAX_SINGLE]
        return [Conversation("single", (self._recall(slot, 0),)) for slot in chosen]

    def six_turns(self) -> list[Conversation]:
        """Each slot once, while there are six left; of fewer than six slots one short conversation is made."""
        groups = [self._slots[at : at + SIX] for at in range(0, len(self._slots), SIX)][:MAX_SIX_TURNS]
        whole = [group for group in groups if len(group) == SIX] or groups[:1]
        return [Conversation("six_turns", tuple(self._recall(slot, 1) for slot in group)) for group in whole]

    def corrections(self) -> list[Conversation]:
        return [Conversation("correction", (ask,)) for ask in self._corrections()[:MAX_CORRECTIONS]]

    def extended(self) -> list[Conversation]:
        """Up to a hundred asks, no text twice. Slots take turns, so that one comes back as late as it can."""
        special = [*self._corrections()[:_CORRECTIONS_IN_HUNDRED], *self._strangers()]
        wanted = HUNDRED - len(special)
        n_wordings = max(len(self._course.wordings.exam(slot.predicate)) for slot in self._slots)
        rounds = [(form, which) for form in range(2) for which in range(n_wordings)]
        asked = (self._recall(slot, which, form) for form, which in rounds for slot in self._slots)
        every = {ask.text: ask for ask in asked}
        asks = _spread(list(every.values())[:wanted], special)
        return [Conversation("extended", tuple(asks[:HUNDRED]), WINDOW_TURNS)]

    def _recall(self, slot: Slot, which: int, form: int = 0) -> Ask:
        wordings = held_out(self._course, slot, 1000)
        forms = self._course.called.forms(slot.subject_id, slot.subject)
        name = forms[(which + form) % len(forms)]
        text = fill(wordings[which % len(wordings)], name, predicate=slot.predicate)
        # an answer says again whom it is about
        rivals = tuple(value for value in self._rivals(slot) if not gives_any(text, [value]))
        return Ask(RECALL, text, self._accepted(slot), rivals, slot.key)

    def _accepted(self, slot: Slot) -> tuple[str, ...]:
        kind = self._registry.get(slot.predicate).object
        given = (value for fact in slot.facts for value in accepted_values(fact.object, kind))
        return tuple(v for v in dict.fromkeys(given) if not any(gives_any(old, [v]) for old in slot.old))

    def _rivals(self, slot: Slot) -> tuple[str, ...]:
        """Values of the same predicate that others hold, where only one can hold at a time."""
        if not self._is_single(slot):
            return ()
        return tuple(self._others(slot))[:_MAX_RIVALS]

    def _is_single(self, slot: Slot) -> bool:
        return self._registry.get(slot.predicate).cardinality == "one"

    def _others(self, slot: Slot) -> list[str]:
        found = (
            fact.object
            for other in self._slots
            if other.predicate == slot.predicate and other.subject_id != slot.subject_id
            for fact in other.facts
        )
        own = [*(fact.object for fact in slot.facts), *self._accepted(slot), *slot.old]
        return [value for value in dict.fromkeys(found) if not _are_alike(value, own)]

    def _corrections(self) -> list[Ask]:
        """Of every slot that can hold one value: the old value where there is one, and one that somebody else has."""
        singles = [slot for slot in self._slots if self._is_single(slot) and len(slot.facts) == 1]
        stated = [(slot, old, True) for slot in singles for old in slot.old[:1]]
        stated += [(slot, other, False) for slot in singles for other in self._made_up(slot)]
        return [self._correction(place, *item) for place, item in enumerate(stated)]

    def _made_up(self, slot: Slot) -> list[str]:
        others = self._others(slot)
        return [self._course.dice("made up", slot.key).choice(others)] if others else []

    def _correction(self, place: int, slot: Slot, value: str, is_old: bool) -> Ask:
        kind = self._registry.get(slot.predicate).object
        name = self._course.called.forms(slot.subject_id, slot.subject)[0]
        said = fill(self._course.wordings.statements(slot.predicate)[0], name, value, slot.predicate)
        own = [fact.object for fact in slot.facts]
        forbidden = tuple(form for form in accepted_values(value, kind) if not _are_alike(form, own))
        text = ASSERTED[place % len(ASSERTED)].format(said=said)
        return Ask(CORRECTION, text, self._accepted(slot), forbidden, slot.key, is_old)

    def _strangers(self) -> list[Ask]:
        found = strangers(self._course, self._slots, "exam", _STRANGERS_IN_HUNDRED)
        asks = []
        for place, stranger in enumerate(found):
            slot = self._slots[place % len(self._slots)]
            text = fill(held_out(self._course, slot, 1)[0], stranger.name, predicate=slot.predicate)
            forbidden = tuple(value for value in self._values if not gives_any(text, [value]))
            asks.append(Ask(UNKNOWN, text, forbidden=forbidden))
        return asks


def _are_alike(value: str, others: Iterable[str]) -> bool:
    return any(
        names.key(value) == names.key(o) or gives_any(value, [o]) or gives_any(o, [value]) for o in others
    )


def _spread(asks: Sequence[Ask], special: Sequence[Ask]) -> list[Ask]:
    """The special ones at even distances among the others, all of them once."""
    every = list(asks)
    for place, ask in enumerate(special):
        every.insert((2 * place + 1) * (len(asks) + len(special)) // (2 * len(special)), ask)
    return list({ask.text: ask for ask in every}.values())


def run_conversations(
    model: Answerer,
    conversations: Sequence[Conversation],
    *,
    prompt_of: Callable[[str], str] = str,
    progress: Progress = no_progress,
) -> list[Answered]:
    """Everything that was answered, greedily, in the order of the conversations. Conversations go side by side, turn by
    turn. `prompt_of` puts facts from retrieval beside a question; what is kept in the context is the bare question."""
    running = [_Running(conversation) for conversation in conversations]
    answered: dict[int, list[Answered]] = {place: [] for place in range(len(running))}
    total = sum(len(conversation.asks) for conversation in conversations)
    done = 0
    for turn in range(max((len(conversation.asks) for conversation in conversations), default=0)):
        active = [place for place, one in enumerate(running) if turn < len(one.conversation.asks)]
        for start in range(0, len(active), _BATCH):
            places = active[start : start + _BATCH]
            prompts = [running[place].prompt(turn, prompt_of) for place in places]
            replies = model.answer(prompts, max_new_tokens=_MAX_NEW_TOKENS)
            for place, reply in zip(places, replies, strict=True):
                answered[place].append(_take(running[place], turn, reply))
            done += len(places)
            progress(done, total, f"turn {turn + 1}")
    return [item for place in sorted(answered) for item in answered[place]]


def _take(one: _Running, turn: int, reply: str) -> Answered:
    ask = one.conversation.asks[turn]
    one.messages += [{"role": "user", "content": ask.text}, {"role": "assistant", "content": reply}]
    return Answered(one.conversation.test, turn + 1, ask, reply)


def numbers_of(answered: Sequence[Answered]) -> dict[str, Any]:
    """For each test {right, n, by_kind} and what belongs to it alone; None where nothing was asked. Shares in [0, 1]."""
    numbers: dict[str, Any] = {}
    for test in TESTS:
        items = [item for item in answered if item.test == test]
        numbers[test] = (_numbers(items) | _of_its_own(test, items)) if items else None
    return numbers


def _numbers(items: Sequence[Answered]) -> dict[str, Any]:
    kinds = dict.fromkeys(item.ask.kind for item in items)
    by_kind = {kind: _share([item for item in items if item.ask.kind == kind]) for kind in kinds}
    return {**_share(items), "by_kind": by_kind}


def _of_its_own(test: str, items: Sequence[Answered]) -> dict[str, Any]:
    if test == "six_turns":
        return {"by_turn": [_right([i for i in items if i.turn == turn + 1]) for turn in range(SIX)]}
    if test == "correction":
        old, made_up = [i for i in items if i.ask.is_old], [i for i in items if not i.ask.is_old]
        return {
            "old": _share(old),
            "made_up": _share(made_up),
            "caved": sum(item.is_caved for item in items) / len(items),
        }
    if test == "extended":
        half = len(items) // 2
        return {
            "distinct": len({item.ask.text for item in items}),
            "window_turns": WINDOW_TURNS,
            "first_half": _right(items[:half]),
            "second_half": _right(items[half:]),
        }
    return {}


def _share(items: Sequence[Answered]) -> dict[str, Any]:
    return {"right": _right(items), "n": len(items)}


def _right(items: Sequence[Answered]) -> float | None:
    return sum(item.is_right for item in items) / len(items) if items else None
