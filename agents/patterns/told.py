"""What people say of themselves: "when I'm stressed I bake", and of each other: "you always hum when you're nervous".

English forms over single sentences. A question, a joke or a quotation tells nothing; "if" and "when" are what such
sentences are made of and no objection here. Behaviours and states that counting knows too (`shown.py`) get its names.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from agents import cues
from agents.pasted import is_pasted
from agents.patterns.pattern import MOST_EVIDENCE, Pattern
from memory.types import Episode

TOLD_OF_ONESELF, TOLD_BY_ANOTHER, MOST_TOLD = 0.75, 0.65, 0.95  # confidence

_BE = r"(?:'m|'re| am| are| get| gets| feel| feels| am feeling|'m feeling|'re feeling)"
_STATE = (
    r"(?P<state>(?:so |too |really |very |a bit |a little )?(?:stressed(?: out)?|nervous|anxious|worried|scared|afraid|sad|upset|down|low|angry|"
    r"furious|cross|mad|annoyed|tired|exhausted|hungry|bored|lonely|happy|excited|drunk|ill|sick|overwhelmed|busy|embarrassed|"
    r"homesick|in pain|under pressure|in a hurry|in a bad mood|in a good mood|on (?:a )?deadline))"
)
_OFTEN = r"(?:always|usually|often|tend to|generally|mostly|inevitably|have a habit of|never fail to)"
_DO = r"(?P<do>[a-z][^.!?;,\n()]{1,80}?)"
_WHEN = r"(?:when|whenever|every time|each time|as soon as|if)"
_END = r"\s*(?=$|[.!?;,\n()…]|\bbecause\b|\band you\b|\bso\b|\bbut\b)"


def _told_forms(who: str) -> tuple[re.Pattern[str], ...]:
    is_who = rf"{who}{_BE}"
    return (
        re.compile(
            rf"\b{_WHEN}(?: ever)? {is_who} {_STATE},? {who} (?:{_OFTEN} |just |can only |have to |start(?: to)? |end up )?{_DO}{_END}",
            re.I,
        ),
        re.compile(rf"\b{who} (?:{_OFTEN} |just )?{_DO} {_WHEN} {is_who} {_STATE}\b", re.I),
    )


_OF_ONESELF, _OF_THE_OTHER = _told_forms("i"), _told_forms("you")
_NOT_A_HABIT = re.compile(
    r"^(?:am|was|were|had|have|did|said|told|went|got|will|would|could|should|might|can't wait|think|thought|know|mean|guess|'|"
    r"hope|wish|want|wanted|promise|need|needed|hate|love|like|don't like|prefer|feel|look|sound|seem)\b",
    re.I,
)
_QUOTED = re.compile(r"[\"“'‘]\W*$|\b(?:said|says|told me|goes|like)\W*$", re.I)
_SAME_STATE = dict.fromkeys(("stressed out", "anxious", "worried", "overwhelmed", "under pressure", "on deadline", "on a deadline", "nervous"), "stressed") | {"furious": "angry", "cross": "angry", "mad": "angry", "annoyed": "angry", "upset": "sad", "down": "sad", "low": "sad"}  # fmt: skip
_SAME_DEED: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"(?:go|get|become|fall|turn)(?: (?:very|all|really|so|a bit))? (?:quiet|silent)|shut down|withdraw|clam up|disappear|"
            r"stop (?:answering|replying|writing|texting|talking)|don't (?:answer|reply|write)|go off the grid|go dark",
            re.I,
        ),
        "goes quiet",
    ),
    (re.compile(r"(?:make|crack|tell) (?:\w+ )?jokes|joke(?: about (?:it|everything))?", re.I), "jokes"),
    (re.compile(r"apologi[sz]e(?: (?:a lot|for everything|too much))?|say sorry", re.I), "says sorry"),
    (re.compile(r"swear(?: a lot)?|curse", re.I), "swears"),
    (re.compile(r"write (?:in )?(?:all )?caps|write in capitals", re.I), "writes in capitals"),
)


def told(episodes: Sequence[Episode], speakers: Sequence[str]) -> list[Pattern]:
    """Of oneself; in a conversation of two also of the other one. The same thing said again is surer."""
    said: dict[tuple[str, str], list[Episode]] = defaultdict(list)
    for episode in episodes:
        others = [speaker for speaker in speakers if speaker != episode.speaker_id]
        for text in _told_in(episode.text, _OF_ONESELF):
            said[episode.speaker_id, text].append(episode)
        if len(speakers) == 2 and others:
            for text in _told_in(episode.text, _OF_THE_OTHER):
                said[others[0], text].append(episode)
    return [_as_told(person, text, heard) for (person, text), heard in said.items()]


def _as_told(person_id: str, text: str, heard: Sequence[Episode]) -> Pattern:
    own = [episode for episode in heard if episode.speaker_id == person_id]
    sure = TOLD_OF_ONESELF if own else TOLD_BY_ANOTHER
    n_voices = len({episode.speaker_id for episode in heard})
    sure = min(MOST_TOLD, sure + 0.05 * (len(heard) - 1) + 0.1 * (n_voices - 1))
    teller = (own or list(heard))[0].speaker
    return Pattern(person_id, text, "told", teller, tuple(e.id for e in heard[-MOST_EVIDENCE:]), sure)


def _told_in(message: str, forms: Sequence[re.Pattern[str]]) -> list[str]:
    if is_pasted(message):
        return []
    found = []
    for sentence in cues.sentences(message.replace("’", "'")):
        if "?" in sentence.text:
            continue
        match = next((match for form in forms if (match := form.search(sentence.text))), None)
        if match and not _QUOTED.search(match.string[: match.start()]) and (text := _pattern_text(match)):
            doubts = cues.objections(sentence, cues.stems(match["do"]), is_denial=True)
            if not {cues.NOT_MEANT, "it quotes somebody", "it gives orders to machines"} & set(doubts):
                found.append(text)
    return found


def _pattern_text(match: re.Match[str]) -> str | None:
    deed, state = (
        match["do"].strip().lower(),
        re.sub(r"^(?:so|too|really|very|a bit|a little) ", "", match["state"].lower()),
    )
    known = next((name for shape, name in _SAME_DEED if shape.fullmatch(deed)), None)
    if known is not None:
        return f"{known} when {_SAME_STATE.get(state, state)}"
    if _NOT_A_HABIT.match(deed) or len(deed.split()) > 10:
        return None
    return f"{third_person(deed)} when {state}"


_IRREGULAR = {
    "have": "has",
    "do": "does",
    "go": "goes",
    "don't": "doesn't",
    "can't": "can't",
    "cannot": "cannot",
}
_PRONOUNS = {
    "my": "their", "your": "their", "me": "them", "myself": "themselves", "yourself": "themselves", "i": "they",
    "i'm": "they are", "you're": "they are", "mine": "theirs",
}  # fmt: skip


def third_person(deed: str) -> str:
    """ "bake my own bread" -> "bakes their own bread"."""
    words = deed.split()
    if words[0] in ("just", "never", "only") and len(words) > 1:
        return f"{words[0]} {third_person(' '.join(words[1:]))}"
    turned = [_PRONOUNS.get(word, word) for word in words[1:]]
    return " ".join([_with_s(words[0]), *turned])


def _with_s(verb: str) -> str:
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if re.search(r"(?:s|x|z|ch|sh|o)$", verb):
        return f"{verb}es"
    return f"{verb[:-1]}ies" if re.search(r"[^aeiou]y$", verb) else f"{verb}s"
