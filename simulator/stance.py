"""What a persona owes to what was said to it: an answer, what it claimed before, that it does not know, or just talk.

A question is asked of the graph as a question about the persona (`memory.ask`), with what the persona can know at that
moment and no more. What nobody told is not made up: a question that asks for something definite and that nothing
answers is declined. Opinions, plans of the day, greetings and requests are talk, and so is whatever gives orders to
machines; what is made up there is remembered as a claim (`simulator.consistency`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from agents import cues
from agents.pasted import is_pasted
from agents.turns import Persona
from consolidation.scoring import gives_any, refuses, tokens
from db.engine import Database
from memory import values
from memory.ask import ask
from memory.claims import Claim
from memory.index import Index
from memory.ports import Clock
from memory.registry import Registry
from memory.types import Answer, Episode, Fact, Person
from memory.wordings import Wordings, spoken
from simulator.confidences import is_secret
from simulator.knowing import gives_orders
from simulator.persona import in_second_person, in_third_person, own_words, worded

Kind = Literal["answer", "claimed", "decline", "talk"]
DONT_KNOW = "I don't know."
MAX_QUESTIONS = 4  # of one turn that are asked of the graph, the last first
MAX_CHARS = 600  # of a question; its end

_LEAST_WORDS = 3
_ASKS_TO_TELL = re.compile(r"^\W*(?:please )?(?:tell me|remind me|say|give me|name)\b", re.IGNORECASE)
_GREETING = re.compile(
    r"\bhow(?:'s| is| are| was| were|'re) (?!.*\b(?:related|called|named|old|tall|spelled|spelt|written|pronounced)\b)"
    r"(?:(?:you|it|things|life|everything|work|that|your "
    r"(?:day|night|morning|evening|week|weekend|trip|holiday|weather))\b"
    r"|(?:(?:your|my|our|the) )?\w+(?: \w+)?(?: (?:doing|feeling|going|getting on|today|now|lately))?\W*$)"
    r"|\bhow have you been\b|\bhow do you (?:do|feel)\b|\bhow did (?:it|that|things) go\b"
    r"|\bwhat(?:'s| is) (?:up|new|wrong|going on|happening|the matter)(?: with you)?\W*$|\bwhat are you (?:doing|up to|saying|thinking)\b"
    r"|\bare you (?:ok|okay|alright|all right|well|there|awake|free|coming|ready|sure|serious|joking|kidding|busy|tired|"
    r"hungry|happy|sad|angry|mad|excited|nervous|around)\b",
    re.IGNORECASE,
)
_OPINION = re.compile(
    r"\b(?:do|did|would|don't|didn't|wouldn't) you (?:\w+ly )?(?:think|feel|mind|agree|believe|reckon|want|fancy|care|hope|miss|"
    r"love me|remember me|understand|mean|prefer)\b|\bwhat do you (?:think|say|reckon|make of|want|mean|feel)\b"
    r"|\bhow do you (?:feel|find)\b|\b(?:is it|isn't it|right|ok|okay|no|eh|yeah)\?\s*$|^\W*why\b",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    r"^\W*(?:(?:and|so|but|ok|okay|hey|hi|then|oh|well)\W+)*(?:(?:can|could|would|will|shall|should|may|might) (?:you|i|we)\b"
    r"|(?:do you )?(?:want|fancy) (?:to|a|some|me)\b|(?:how|what) about\b|what if\b|let's\b|shall\b|you (?:ok|coming|there|free)\b|"
    r"what (?:should|shall|would|can|could)\b|who (?:cares|knows)\b|guess\b)",
    re.IGNORECASE,
)
_OF_TODAY = re.compile(
    r"\byou\b.*\b(?:today|tonight|right now|this (?:morning|afternoon|evening|weekend)|tomorrow|for (?:breakfast|lunch|dinner|"
    r"tea|supper))\b",
    re.IGNORECASE,
)
_POSSESSED = re.compile(r"^\W*(?:and )?(?:your|my) \w", re.IGNORECASE)  # "your number?"
_DEFINITE = re.compile(
    r"\b(?:who|whom|whose|when|where|which|how (?:many|much|old|long|far|tall|heavy|often)|what)\b|^\W*your\b",
    re.IGNORECASE,
)
_YES = re.compile(
    r"^\W*(?:yes|yeah|yep|yup|sure|of course|i (?:do|am|did|was|have)\b|still (?:do|am))", re.IGNORECASE
)
_NO = re.compile(
    r"^\W*(?:no|nope|nah|not|never|i (?:don't|do not|am not|didn't|haven't|wasn't))\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a persona looks with. `people`: everybody known, by whose names "she" is somebody else; `listeners`: who else hears
    it beside the partner. The index is fresh."""

    database: Database
    space_id: str
    index: Index
    registry: Registry
    clock: Clock
    person: Person
    partner: Person
    people: tuple[Person, ...] = ()
    listeners: tuple[Person, ...] = ()

    @property
    def heard_by(self) -> tuple[str, ...]:
        """Ids of all who hear what is said."""
        return tuple(dict.fromkeys(one.id for one in (self.partner, *self.listeners)))


@dataclass(frozen=True, slots=True)
class Stance:
    """`plain` gives in one or two sentences what is owed; "" where nothing is (talk).

    `accepted`: values any of which makes a reply an answer; `verdict`: yes or no, where the question turns on it.
    """

    kind: Kind
    question: str = ""  # as it was asked of the graph
    plain: str = ""
    accepted: tuple[str, ...] = ()
    verdict: Literal["yes", "no"] | None = None
    facts: tuple[Fact, ...] = ()
    claims: tuple[Claim, ...] = ()
    evidence: tuple[Episode, ...] = field(default=(), repr=False)

    def is_given(self, reply: str) -> bool:
        """Whether the reply gives what is owed."""
        if self.kind == "talk":
            return True
        if self.kind == "decline":
            return refuses(reply)
        if refuses(reply):
            return False
        if self.verdict == "yes":
            return bool(_YES.search(reply)) or (gives_any(reply, self.accepted) and not _NO.search(reply))
        if self.verdict == "no":
            return bool(_NO.search(reply)) or (gives_any(reply, self.accepted) and not _YES.search(reply))
        return gives_any(reply, self.accepted)


def stance(sight: Sight, said: str, claims: Callable[[str], Sequence[Claim]] = lambda _: ()) -> Stance:
    """Towards the last question in what was said that is no small talk. `claims`: earlier ones that bear on a question.

    Raises what `memory.ask` does.
    """
    if is_pasted(said):
        return Stance("talk")
    for question in questions_in(said)[: -MAX_QUESTIONS - 1 : -1]:
        found = _towards(sight, question, claims)
        if found.kind != "talk":
            return found
    return Stance("talk")


def questions_in(said: str) -> list[str]:
    """The sentences that ask for something, in their order."""
    sentences = [one.text for one in cues.sentences(said)] if said.strip() else []
    asking = [text for text in sentences if cues.is_question(text) or _ASKS_TO_TELL.search(text)]
    return [text[-MAX_CHARS:] for text in asking]


def is_small_talk(question: str) -> bool:
    """Whether it asks how somebody is, what they think, want or do today, or for a favour; or asks nothing yet."""
    if len(question.split()) < _LEAST_WORDS and not _POSSESSED.search(question):
        return True
    return any(pattern.search(question) for pattern in (_GREETING, _OPINION, _REQUEST, _OF_TODAY))


def _towards(sight: Sight, question: str, claims: Callable[[str], Sequence[Claim]]) -> Stance:
    if is_small_talk(question):
        return Stance("talk", question)
    asked = in_third_person(question, sight.person.name, sight.partner.name)
    answer = ask(
        sight.database,
        sight.space_id,
        sight.index,
        sight.registry,
        asked,
        known_to=sight.person.id,
        as_of=sight.clock(),
        clock=sight.clock,
    )
    if any(map(gives_orders, answer.facts)) or any(is_pasted(one.text) for one in answer.evidence):
        return Stance("talk", asked)  # what gives orders to machines is no answer
    if not answer.abstained:
        if is_secret(sight.database, sight.space_id, sight.heard_by, answer):
            return Stance("decline", asked, DONT_KNOW)
        return _answered(sight, asked, answer)
    before = tuple(claims(asked))
    if before:
        return claimed(before, sight.person.name, asked)
    return Stance("decline", asked, DONT_KNOW) if _is_definite(asked, answer) else Stance("talk", asked)


def _is_definite(asked: str, answer: Answer) -> bool:
    """Whether it asks for something that is so or not so: a value, or whether something holds of somebody named."""
    named = answer.explain.get("understood", {})
    return bool(_DEFINITE.search(asked) or named.get("names") or named.get("unknown_names"))


def claimed(claims: Sequence[Claim], name: str, asked: str = "") -> Stance:
    """To say again what was claimed before, the newest first."""
    newest = claims[0]
    return Stance(
        "claimed",
        asked,
        claim_words(newest, name),
        accepted=(newest.object, spoken(newest.object)),
        claims=tuple(claims),
    )


def claim_words(claim: Claim, name: str) -> str:
    """A claim as the persona of that name says it."""
    said = worded(claim.subject, claim.predicate, claim.object, name, Wordings.load())
    return f"It isn't so that {said[:1].lower()}{said[1:]}" if claim.is_negated else said


def _answered(sight: Sight, asked: str, answer: Answer) -> Stance:
    if not answer.facts:
        return _quoting(sight, asked, answer)
    verdict = _verdict(answer)
    head = answer.text.split(". ")[0].rstrip(".")
    kind = answer.explain.get("kind")
    said = " ".join(dict.fromkeys(fact_words(sight, fact) for fact in answer.facts))
    is_value = verdict is None and kind not in ("when", "duration", "number", "source")
    is_value = is_value and not head.startswith(("That is contested", "Several are called"))
    plain = (
        said if is_value and gives_any(said, _values(answer, head)) else f"{_to_them(sight, head)}. {said}"
    )
    return Stance(
        "answer", asked, plain, _values(answer, head), verdict, answer.facts, evidence=answer.evidence
    )


def _verdict(answer: Answer) -> Literal["yes", "no"] | None:
    if answer.explain.get("kind") != "yes_no":
        return None
    return "yes" if answer.text.startswith("Yes") else "no" if answer.text.startswith("No") else None


def _values(answer: Answer, head: str) -> tuple[str, ...]:
    """What a reply has to hold one of: the values of the facts that answer, or the head of what was found."""
    shown = [fact for fact in answer.facts if gives_any(head, (fact.object, spoken(fact.object)))]
    found = [form for fact in shown or answer.facts for form in (fact.object, spoken(fact.object))]
    if answer.explain.get("kind") in ("when", "duration", "number"):
        found = [head]
    elif not shown and not _verdict(answer):
        found += [head]
    return tuple(dict.fromkeys(form for form in found if form.strip()))


def fact_words(sight: Sight, fact: Fact) -> str:
    """A fact as the persona says it to the partner."""
    persona = Persona(sight.person.name, (sight.partner.name,), ())
    words = own_words(fact, persona, Wordings.load(), sight.clock())
    return _to_them(sight, words) if fact.subject == sight.partner.name else words


def _to_them(sight: Sight, words: str) -> str:
    """About the partner: in the second person."""
    them = (sight.partner.name, sight.partner.name.split()[0])
    others = [form for one in sight.people if one.id != sight.partner.id for form in (one.name, *one.aliases)]
    return in_second_person(words, them, others=others or ("",))


def _quoting(sight: Sight, asked: str, answer: Answer) -> Stance:
    """A message that answers, as whoever heard it tells it."""
    (message, *_) = answer.evidence
    text = " ".join(message.text.split())
    who = {sight.person.id: "I said", sight.partner.id: "You said"}.get(message.speaker_id)
    plain = f"{who or f'{message.speaker.split()[0]} said'}: {text}"
    return Stance("answer", asked, plain, _telling(asked, text), None, (), evidence=answer.evidence)


def _telling(asked: str, text: str) -> tuple[str, ...]:
    """The words of a message that the question does not hold and that tell something: names, numbers, else any."""
    known = {str(token) for token in tokens(asked)}
    own = [
        word
        for word in re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)
        if str(values.normal(word)) not in known
    ]
    strong = [word for word in own[1:] if word[0].isupper() or word[0].isdigit()]
    return tuple(dict.fromkeys(strong or [word for word in own if len(word) > 4] or own or [text]))
