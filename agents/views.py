"""How somebody sees the others: "you work too much", "i trust Ines", what they call them, as lines about one other person.

English patterns over single sentences, said to the other in a talk of two or by the other's name. A question, an if, a
joke or a quotation makes no line, and neither does what only holds for the day ("you are so late").
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from agents import cues
from agents.extractors.lexicon import lexicon
from agents.pasted import is_pasted
from agents.patterns.told import third_person
from memory.names import described, first, key
from memory.types import Episode, Person, Principle

MOST_OF_ONE = 4  # lines about one other person
MAX_WORDS = 12
_CALLED_LEAST, _CALLED_DAYS = 3, 2  # uses, and days, that make a name of an endearment
_PASSING_WORDS = """late right wrong sorry tired sick busy welcome early close far excited cold hungry full home here there back on off up
    in out ready done awake asleep drunk bored jealous mean wet lost quiet today tonight sure okay ok fine alive sweet red
    pale hot warm warmer welcome invited missed near good great happy pleased glad nervous worried angry mad sad hungover
    late now then old young tall big long fast slow soon much many bad"""
_PASSING = frozenset(_PASSING_WORDS.split())
_CLAUSE = r"(?P<what>[^.!?;,\n()]+)"
_OPINION = (
    r"(?:good|great|kind|lovely|brilliant|terrible|wonderful|real|true|natural|born|saint|angel|genius|legend|star|hero|gem|"
    r"treasure|menace|nightmare|mess|monster|softie|romantic|worrier|fighter|dreamer|clown|fool|idiot|plank|muppet|hard|tough|"
    r"wise|clever|sweet|stubborn|proud|generous|patient|careful|bad|awful|beautiful|strong|gentle|funny|difficult|lazy|show-off|"
    r"perfectionist|people person|hopeless|disaster|drama queen|rock|liar)\b"
)
_DEGREE = (
    r"(?:so|too|such an?|really|very|always|never|the most|the best|the worst|the only|the \w+est|an? (?:absolute |real |total |complete )?(?="
    + _OPINION
    + r"))"
)
# %S is the other: a name, "you", "my sister"
_FORMS: tuple[tuple[str, str, float], ...] = (
    (rf"%S(?: is| are|'s|'re|re)(?: just| still| always| honestly| really)? (?P<what>{_DEGREE}\s*[^.!?;,\n()]+)", "Thinks that {name} is {what}", 1.6),
    (r"%S (?P<what>(?:always|never|(?:works?|worr(?:y|ies)|thinks?|talks?|gives?|cares?|does|do) (?:far |way )?too (?:much|hard))\b[^.!?;,\n()]*)", "Thinks that {name} {what}", 1.8),
    (r"%S (?P<what>(?:deserves?|needs? to (?:rest|sleep|eat|stop|slow)|should (?:rest|sleep|eat|stop|slow|be|trust|write|sing))\b[^.!?;,\n()]*)", "Thinks that {name} {what}", 1.4),
    (r"\bi (?:really |do |fully |completely )?trust %S(?!\w)(?! (?:to be|about))", "Trusts {name}", 2.4),
    (r"\bi (?:really |do )?(?:do not|don't|dont|never) trust %S(?!\w)", "Does not trust {name}", 2.4),
    (r"\bi(?: really| do| so)? (?:admire|look up to|respect) %S(?!\w)", "Admires {name}", 2.4),
    (r"(?:\bi(?:'m| am|m)|^\W*(?:so|very|really)?) ?(?:so |very |really |incredibly )?proud of %S(?!\w)", "Is proud of {name}", 2.2),
    (r"(?:\bi(?:'m| am|m)|^\W*) ?(?:so |very |really |a bit |a little )?worried (?:about|for) %S(?!\w)|\bi (?:do |really )?worry (?:about|for) %S2(?!\w)", "Worries about {name}", 2.0),
    (r"\bi (?:really |so |do )?miss %S(?!\w)", "Misses {name}", 1.4),
    (r"\bi (?:really |do )?(?:love|adore) %S(?!\w)(?!\w| for| when|'s)|\blove (?:you|u)\b(?P<you>)", "Loves {name}", 1.3),
    (r"\b(?:i )?(?:can|could)(?: always)? (?:count|rely|depend) on %S(?!\w)", "Counts on {name}", 2.4),
    (r"\bi (?:can )?(?:tell|told) %S (?:everything|anything)\b", "Tells {name} everything", 2.2),
    (r"\b(?:what|where) would i (?:do|be) without %S(?!\w)|\bi (?:could|can)(?: not|n't|nt) do (?:it|this|any of this) without %S2(?!\w)", "Could not do without {name}", 2.2),
    (r"%S (?:means?|meant) (?:a lot|everything|so much|the world) to me\b", "Holds {name} dear", 2.4),
    (r"%S(?: is| are|'s|'re|re) like (?P<what>(?:an? |the )?(?:\w+ )?(?:brother|sister|mother|father|son|daughter|family))(?: to me)?\b", "Sees {name} as {what}", 2.0),
    (r"%S(?: is| are|'s|'re|re) (?P<what>(?:an? |the |my )(?:\w+ )?(?:hero|rock|best friend|favou?rite (?:person|human)|guardian angel))(?: to me)?\b", "Sees {name} as {what}", 2.0),
    (r"%S (?:always |really )?(?:gets?|understands?|knows?) me\b", "Feels understood by {name}", 2.0),
    (r"\bi owe %S (?:so much|everything|a lot|my life)\b", "Feels in debt to {name}", 2.0),
    (r"\bi (?:can't stand|cannot stand|hate) %S(?!\w)(?! for)", "Cannot stand {name}", 2.0),
    (r"\b(?:thank you|thanks) for always (?P<what>[^.!?;,\n()]+)", "Is thankful that {name} is always {what}", 1.6),
)  # fmt: skip
_KIN = r"(?:mother|mum|mom|mam|father|dad|sister|brother|wife|husband|partner|son|daughter|gran\w*|boss|aunt|uncle|cousin|flatmate|girlfriend|boyfriend)"
_SAME_KIN = {"mum": "mother", "mom": "mother", "mam": "mother", "dad": "father"}
_CALL = re.compile(
    r"(?:^|[,!.…]\s+)(?:my |you |dear )?(?P<call>[^\W\d_]{3,14})\s*[.!?❤💛💚💙💜🖤😂🤣😘]*\s*$"
)
_NO_CALL_WORDS = """too then now though lol haha hahaha right please thanks thank yes yeah yep nope okay today tomorrow tonight yesterday
    really actually anyway either again well sorry always never maybe obviously honestly seriously love xxx bye hello hey
    morning night exactly probably apparently finally already basically somehow sometimes perhaps instead also still soon
    later first everyone everybody guys monday tuesday wednesday thursday friday saturday sunday january february march april
    may june july august september october november december god wow oof ugh done good great perfect deal true no not
    there here what why how who when where wait stop help cool nice fine sure same congratulations congrats amazing"""
_NO_CALL = frozenset(_NO_CALL_WORDS.split())
_FOR_NOW = re.compile(
    r"\b(?:today|tonight|now|this (?:morning|time|week)|yesterday|(?:in|on) (?:the|that|this) (?:picture|photo|video))\b",
    re.IGNORECASE,
)
_THIRD = {
    "you": "they", "your": "their", "yours": "theirs", "yourself": "themselves", "you're": "they are", "u": "they",
    "you've": "they have", "you'll": "they will", "you'd": "they would",
}  # fmt: skip
_WITHOUT = re.compile(
    r"\bi (?:do|be) without\b", re.IGNORECASE
)  # asks nothing: "what would i do without you"
_AS_SUBJECT = re.compile(
    r"\b(?:when|because|cos|that|than|how|what|as|but|while|though|until|since|whenever)\s*$", re.IGNORECASE
)
_I_KNOW = re.compile(
    r"\s+(?:that )?i(?:'ve| have)? (?:know|(?:ever )?met|ever (?:knew|had)|can think of)\b.*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class _Others:
    """Whom the person may speak of. `called`: key of a name or description -> the name shown."""

    called: Mapping[str, str]
    words: re.Pattern[str] | None
    partner: Mapping[str, str]  # conversation of two -> the other


def views(
    person: str, own: Sequence[Episode], others: Sequence[Episode], people: Sequence[Person]
) -> list[tuple[float, Principle]]:
    """Lines with their weight, the strongest first; what is said again gains weight and messages."""
    known = _others(person, own, others, people)
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    weights: dict[tuple[str, str], float] = {}
    for episode in own:
        for name, text, weight in _said(episode, known):
            weights[name, text] = max(weight, weights.get((name, text), 0.0))
            if episode.id not in found[name, text]:
                found[name, text].append(episode.id)
    scored = [
        (weights[line] + 0.5 * min(len(ids) - 1, 4), Principle("view", line[1], tuple(ids[:6]), line[0]))
        for line, ids in found.items()
    ]
    scored += _endearments(own, others, known)
    return _few_of_each(sorted(scored, key=lambda item: (-item[0], item[1].text)))


def _few_of_each(scored: Iterable[tuple[float, Principle]]) -> list[tuple[float, Principle]]:
    counts: Counter[str | None] = Counter()
    kept = []
    for weight, line in scored:
        counts[line.about] += 1
        if counts[line.about] <= MOST_OF_ONE:
            kept.append((weight, line))
    return kept


def _others(
    person: str, own: Sequence[Episode], others: Sequence[Episode], people: Sequence[Person]
) -> _Others:
    speakers: dict[str, set[str]] = defaultdict(set)
    for episode in others:
        speakers[episode.conversation_id].add(episode.speaker)
    every = [one for one in people if key(one.name) != key(person)]
    every += [
        Person(name, name)
        for name in sorted({episode.speaker for episode in others})
        if all(key(name) != key(one.name) for one in every)
    ]
    called: dict[str, str] = {}
    firsts = Counter(first(one.name) for one in every)
    for one in every:
        owned = described(one.name)
        if owned is not None:
            if key(owned[0]) in (key(person), first(person)):
                called[f"my {_SAME_KIN.get(owned[1].lower(), owned[1].lower())}"] = one.name
            continue
        for name in (one.name, *one.aliases):
            called.setdefault(key(name), one.name)
        short = first(one.name)
        if short and firsts[short] == 1 and not (lexicon().is_ordinary(short) and not one.is_speaker):
            called.setdefault(short, one.name)
    spelled = sorted(
        (name for name in called if len(name) > 1 and not name.startswith("my ")), key=len, reverse=True
    )
    words = "|".join([*map(re.escape, spelled), "you", "u", rf"my {_KIN}"])
    partner = {talk: next(iter(names)) for talk, names in speakers.items() if len(names) == 1}
    return _Others(called, re.compile(rf"\b(?:{words})(?!\w)", re.IGNORECASE), partner)


@lru_cache(maxsize=1)
def _forms() -> tuple[tuple[re.Pattern[str], str, float], ...]:
    """In the forms the other stands as a private sign, put into the sentence before they are tried."""
    return tuple(
        (re.compile(form.replace("%S2", "\x01(?P<who2>\\d+)\x02").replace("%S", "\x01(?P<who>\\d+)\x02"), re.IGNORECASE), text, weight)
        for form, text, weight in _FORMS
    )  # fmt: skip


def _said(episode: Episode, known: _Others) -> Iterable[tuple[str, str, float]]:
    if is_pasted(episode.text) or known.words is None:
        return
    for sentence in cues.sentences(episode.text):
        is_asked = cues.is_question(sentence.text) and not _WITHOUT.search(sentence.text)
        if is_asked or re.search(r"\bif\b", sentence.text, re.IGNORECASE):
            continue
        names: list[str] = []

        def mark(match: re.Match[str], names: list[str] = names) -> str:
            name = _who(match[0], episode, known)
            if name is None:
                return match[0]
            names.append(name)
            return f"\x01{len(names) - 1}\x02"

        text = known.words.sub(mark, sentence.text)
        if not names:
            continue
        for form, line, weight in _forms():
            match = form.search(text)
            if match is None or _is_idle(sentence, match):
                continue
            groups = match.groupdict()
            number = groups.get("who") or groups.get("who2")
            name = names[int(number)] if number else known.partner.get(episode.conversation_id)
            what = _turned(groups.get("what") or "", names, name, episode.speaker)
            if name is None or what is None:
                continue
            yield name, line.format(name=name, what=what), weight
            break


def _who(word: str, episode: Episode, known: _Others) -> str | None:
    said = key(word)
    if said in ("you", "u"):
        return known.partner.get(episode.conversation_id)
    if said.startswith("my "):
        kin = said.removeprefix("my ")
        return known.called.get(f"my {_SAME_KIN.get(kin, kin)}")
    if word.islower() and lexicon().is_ordinary(word.lower()):
        return None
    return known.called.get(said)


def _is_idle(sentence: cues.Sentence, match: re.Match[str]) -> bool:
    words = cues.stems(re.sub("\x01\\d+\x02", " ", match[0]))
    against = {cues.NOT_MEANT, "it quotes somebody", "it gives orders to machines"}
    if not _WITHOUT.search(sentence.text):
        against.add("it is hypothetical")
    return bool(against & set(cues.objections(sentence, words, is_denial=True)))


def _turned(what: str, names: Sequence[str], about: str | None, speaker: str) -> str | None:
    """In the third person; None where it is too long or only holds for the day."""
    what = _I_KNOW.sub("", what)

    def named(match: re.Match[str]) -> str:
        name = names[int(match[1])]
        is_subject = match.string[match.end() :].startswith("'") or _AS_SUBJECT.search(
            match.string[: match.start()]
        )
        return name if name != about else "they" if is_subject else "them"

    what = re.sub("\x01(\\d+)\x02", named, what)
    words = re.sub(r"[^\w\s'’\"%&/+:-]+", " ", what.replace("’", "'")).split()
    if not words:
        return ""
    bare = [
        word.lower() for word in words if not re.fullmatch(_DEGREE.replace("\\w+est", "zzz"), word.lower())
    ]
    if _FOR_NOW.search(what) or (words[0].lower() in ("always", "never") and cues.is_past(words[1:2])):
        return None
    if (
        len(words) > MAX_WORDS
        or not bare
        or bare[0] in _PASSING
        or bare[-1] in ("that", "to", "the", "a", "of")
    ):
        return None
    if words[0].lower() in ("deserve", "need", "work", "worry", "think", "talk", "give", "care", "do"):
        words[0:] = third_person(" ".join(words)).split()
    elif (
        words[0].lower() in ("always", "never")
        and len(words) > 1
        and not words[1].lower().endswith(("s", "ed", "ing"))
    ):
        words[1:] = third_person(" ".join(words[1:])).split()
    own = speaker.split()[0]
    turned = _THIRD | {"i": own, "me": own, "my": f"{own}'s", "i'm": f"{own} is", "i've": f"{own} has"}
    return " ".join(turned.get(word.lower(), word) for word in words)


def _endearments(
    own: Sequence[Episode], others: Sequence[Episode], known: _Others
) -> list[tuple[float, Principle]]:
    """What they call the other of a talk of two, again and again: "plank"."""
    uses: dict[tuple[str, str], list[Episode]] = defaultdict(list)
    for episode in own:
        name = known.partner.get(episode.conversation_id)
        match = _CALL.search(episode.text.strip())
        if name and match and len(episode.text.split()) > 1:
            uses[name, match["call"].lower()].append(episode)
    theirs = Counter(
        match["call"].lower() for episode in others if (match := _CALL.search(episode.text.strip()))
    )
    found = []
    for (name, call), said in uses.items():
        is_name = key(call) in known.called or call in _NO_CALL or key(call) in key(said[0].speaker).split()
        days = {episode.time.date() for episode in said}
        is_own = len(said) > 2 * theirs[call]
        if not is_name and is_own and len(said) >= _CALLED_LEAST and len(days) >= _CALLED_DAYS:
            ids = tuple(episode.id for episode in said[:4])
            found.append(
                (1.5 + 0.1 * min(len(said), 10), Principle("view", f'Calls {name} "{call}"', ids, name))
            )
    return found
