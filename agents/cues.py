"""Signs that a sentence does not assert what its words contain: questions, ifs, jokes, quotations, hearsay.

A judge's eyes, written apart from the extractor's rules so that one does not repeat the other's mistakes. Each
sign is a reason in words. What a sentence is about is not decided here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from agents.pasted import is_pasted

CACHED = 16384  # a night looks at each message for many facts
_I = re.IGNORECASE
_SPLIT = re.compile(r"(?<=[.!?…])[\"”']?\s+|\n+")
_QUOTED = re.compile(r"[\"“«]([^\"“”«»]{8,})[\"”»]|(?<!\w)'([^'\n]{8,})'(?!\w)")

_SPEECH = re.compile(
    r"\b(?:sa(?:y|ys|id|ying)|tell(?:s|ing)?|told|wr(?:ite|ites|ote|itten)|ask(?:s|ed)?|shout(?:s|ed)?|goes|went|was like|"
    r"quote|words?|text(?:s|ed)?|messages?|messaged|letter|email|note|sign|decided|claims?|announce[sd]?|answer(?:s|ed)?|"
    r"repl(?:y|ies|ied)|IMPORTANT)\b|:\s*[\"“«']",
    _I,
)
_QUESTION = re.compile(r"\?\W*$")
_ASKED = re.compile(
    r"^\W*(?:(?:and|so|but|wait|ok|hey|btw)\W+)?(?:(?:who|what|where|when|why|how|which|whose)\b(?!.*\b(?:is|was) that\b)"
    r"|(?:do|does|did|are|is|was|were|have|has|can|could|will|would|should)\s+(?:you|he|she|they|it|we|i|your|his|her)\b"
    r"|you (?:still|ever|coming|going)\b)",
    _I,
)
_EXCLAIMED = re.compile(  # asked to tell, not to know
    r"^\W*(?:(?:and|so|but|wait|ok|hey|btw|oh)\W+)*(?:can you believe|did (?:i|we) (?:ever )?tell you|have i told you|"
    r"did you know|did you see|have you seen|do you remember that|guess (?:what|who)|you know what|do you realise|do you realize)\b",
    _I,
)
_TAG = re.compile(  # "dinner is at eight, ok?" tells, and only makes sure
    r",\s*(?:did i (?:say|mention|tell you)(?: that)?|have i said|ok(?:ay)?|right|yes|yeah|eh|deal|see|remember|you know|(?:is|are|do|does|did|was|has|have|wo|ca)n't"
    r" (?:i|you|he|she|it|we|they))\s*\?+\W*$",
    _I,
)
_STILL = re.compile(r"\bstill\b", _I)  # asks whether what was so goes on
_OPEN_QUESTION = re.compile(
    r"^\W*(?:(?:and|so|but|wait|ok|hey|btw)\W+)*(?:who|what|where|when|why|how|which)(?:'s|\b)", _I
)
_AUXILIARY = re.compile(
    r"^\W*(?:(?:and|so|but|wait|ok|hey|btw)\W+)*(?:do|does|did|are|is|was|were|have|has|had|can|could|will|would|shall|should|"
    r"may|might|any|ever|don't|doesn't|didn't|isn't|aren't|wasn't|haven't|hasn't|won't)\b",
    _I,
)
_UNREAL = re.compile(
    r"\b(?:if|imagine|suppose|supposing|pretend|what if|would|could|might|wish|as if|as though|in theory|"
    r"one day|some\s?day|dream(?:t|ed|ing)? (?:of|about|that)|thinking (?:of|about)|considering|"
    r"maybe|perhaps|possibly|tempted to|threatening to|i should|we should|almost|nearly)\b"
    r"|\b(?:i|we|you|he|she|they)'d\b(?!\s+(?:been|had|got|gone|done|seen|said|told|left|lost|forgotten|become|\w{2,}ed)\b)",
    _I,
)
_CONDITION = re.compile(r"\b(?:if|unless)\b", _I)
_IDLE_IF = re.compile(  # an if that makes nothing hypothetical
    r"\bif (?:you (?:count|ask me|must know|know what i mean|can believe it|remember)|i(?:'m| am) (?:being )?honest|"
    r"i remember (?:right|rightly|correctly)|i'm not mistaken|anyone asks|that counts)\b",
    _I,
)
_HOPED = re.compile(
    r"\b(?:supposed to|(?:was|were) going to|meant to|saving (?:up )?for|toying with|keen to|dying to|itching to|"
    r"daydream\w*|fantasi[sz]\w*|want(?:s|ed)?|hop(?:e|es|ing)|plan(?:s|ning)?|trying|tr(?:y|ies)|would like|'d like|look(?:ed|ing) (?:at|into))\b",
    _I,
)
_OPEN = re.compile(r"\b(?:applied|application|let's see|we'?ll see|fingers crossed|if all goes well)\b", _I)
_ENDED = re.compile(
    r"\b(?:over|gone|died|dead|left|quit|stopped|sold|no longer|no more|(?:not|n't) (?:\w+ ){0,4}any ?more|gave up|given up|"
    r"last (?:day|shift|time|one)|finished|broke up|split up|moved out|moved away|passed away|put down|resigned|handed in|"
    r"got rid of|gave away|used to|former|closed down|ended|cancelled)\b",
    _I,
)
_CALLED_OFF = re.compile(
    r"\b(?:is|are|was|were) (?:off|over|cancell?ed|not happening)\b|\bfell through\b|\bcalled (?:it )?off\b|\bgave up on\b",
    _I,
)
_HEARSAY = re.compile(
    r"\b(?:rumou?rs?|gossip|apparently(?! (?:i|we|my|our)\b)|allegedly|supposedly|they say|people say|word is|heard (?:that|from)|"
    r"did you hear|(?:someone|somebody)(?: \w+){0,3} (?:said|says|told|claims)|according to|claims?|claimed|swears|reckons)\b",
    _I,
)
_OTHERS_WORD = re.compile(
    r"(?<!\bi )(?<!\bwe )(?<!\bhave )(?<!'ve )\b(?:says?|said|thinks?|insists?|decided|decides)\s+(?:that\s+)?(?:i|we)"
    r"(?:'m|'re|\s+(?:am|are|should|must|ought|need|have to))\b|\bsays? (?:\S+ ){1,6}?(?:and|that) (?:i|we) should\b",
    _I,
)
_WHO_KNOWS = re.compile(  # whose word on somebody is more than an opinion
    r"\b(?:doctors?|dr\.?|gp|nurse|dentist|vet|midwife|physio(?:therapist)?|surgeon|clinic|hospital|lab|court|judge|"
    r"bank|landlord|landlady|agency|school|office|boss|manager|hr)\b",
    _I,
)
_JOKE = re.compile(
    r"[🙃🤡🤥🤪😜😝]|\b(?:just kidding|only kidding|only joking|jk|yeah right|as if|in my dreams|not really|sure,? because|"
    r"plot twist|obviously not|lol no|just love how)\b|(?:^|\s)/s\b|\bof course,? (?:because|since)\b",
    _I,
)
_LOVE_TO_COMPLAIN = re.compile(
    r"\bjust (?:LOVE|ADORE)\b|\b(?:how|so) (?:lovely|wonderful|fantastic), (?:another|more)\b"
)
_NEGATED = re.compile(
    r"\b(?:not|no|never|n't|nobody|none|neither|nor|without|hardly|no longer|isn't|isnt|aren't|wasn't|don't|dont|"
    r"doesn't|doesnt|didn't|didnt|won't|can't|cannot|haven't|hasn't)\b",
    _I,
)
_CORRECTS = re.compile(
    r"^\W*(?:no|nope|sorry|wait|actually|oops|correction|i mean)(?:\W+(?:no|sorry|wait|actually|i mean))*\W+",
    _I,
)
_NO = re.compile(r"^\W*(?:no|nope|nah|don't|please don't|not (?:now|tonight|today)|rather not|no way)\b", _I)
_TAKEN_BACK = re.compile(
    r"\b(?:no,? wait|wait,? no|actually,? no|scratch that|i mean|correction|sorry,? i meant|i was wrong|not true|"
    r"(?:that|it) was (?:only |just )?(?:a joke|autocorrect)|nobody is|is not happening|isn't happening|called (?:it )?off|"
    r"cancell?ed|fell through|said no(?!\s+\w)|false alarm|(?:i am|i'm|i was|was) (?:only |just )?(?:joking|kidding|messing)|"
    r"i made (?:it|that) up|not serious(?:ly)?|wasn't serious|pulling your leg|winding you up|april fools?|"
    r"that never happened|of course not|obviously not|turned out (?:not|to be wrong)|none of it is true)\b",
    _I,
)
_CONFESSED = re.compile(  # taken back whatever else is said
    r"\b(?:(?:that|it) was (?:only |just )?a joke|(?:i am|i'm|i was|was) (?:only |just )?(?:joking|kidding|messing)|just kidding|"
    r"i made (?:it|that) up|pulling your leg|winding you up|april fools?|none of it is true|false alarm|"
    r"wrong (?:chat|person|group|window)|(?:had|took|stole|got hold of) my phone|not me typing|wasn't me|"
    r"in my dreams|one can dream|would be nice)\b|^\W*(?:i wish|if only|not really|ok,? not really)\W*$|^\*\w",
    _I,
)
_DISBELIEVED = re.compile(  # what others answer to what was not so, or not meant; "you did NOT" is mere surprise
    r"^\W*(?:haha\w*|lol|no|um|er|ha)?\W*(?:as if|yeah,? right|sure you (?:are|did|do|have)|in your dreams|very funny|liar|"
    r"nice try|you wish|stop lying|that's not (?:true|right))\b"
    r"|^\W*no,? (?:you|it|she|he|they|we) (?:is|are|was|were|did|do|does|has|have|will|wo|ca)(?:n't| not)\b",
    _I,
)
_PLAYED = re.compile(
    r"\bin (?:the|my|this|that) (?:game|play|dream|film|movie|book|novel|show|story|sims)\b|\bmy character\b|"
    r"\bdress(?:ed|ing)? (?:up )?as\b|\bfor halloween\b|\bpretending\b|\brole ?play",
    _I,
)
_FORWARDED = re.compile(r"^\W*(?:fwd|fw|forwarded)\b|^\s*>", _I)
_FORMER = re.compile(r"\b(?:former|formerly|ex|used to be|was once|back then)\b", _I)
_AGREED = re.compile(
    r"^\W*(?:yes|yeah|yep|yup|ya|sure|exactly|correct|right|true|indeed|of course|absolutely|definitely|it is|she is|"
    r"he is|i am|we are|i do|i did|we did|si|sí|sim|oui|ja|jo)\b",
    _I,
)
_MOCK_TITLE = re.compile(  # a title nobody has ("queen of the tea towels"); real ones go with a name
    r"\b(?:king|queen|emperor|empress|admiral|duke|duchess|pope|goddess|overlord|supreme leader|grand master)"
    r"\s+of\s+(?:all\s+|the\s+|my\s+|our\s+|your\s+)*[a-z]\w*(?:\s+\w+)?"
)
_GOES_ON = re.compile(r"^\W*(?:with|of|to|for)\s")  # "i'm in love... with this sandwich"
_SIGN_WORDS = 5  # a sentence of at most so many words can be a mere sign of how the one before was meant
QUESTION = "it is a question"
NOT_MEANT = "it is not meant"
WISH = "it is a wish or a plan"
TRAILS_OFF = "it trails off, and what follows may turn it around"
UNDECIDED = (QUESTION, TRAILS_OFF)  # reasons that leave open whether it is so; the others speak against it
_TO_TWENTY = """two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty"""
_NEW_CLAUSE = re.compile(
    r"[;:]\s|\b(?:and|but|so|because|cos|then|while|although|though)\s+"
    r"(?=(?:i|we|you|he|she|they|it|my|our|his|her|their|the)\b)"
    r"|(?:\w\S*\s+){3,}\S+,\s+(?=(?:i|we|you|he|she|they|it)(?:'|\s))",  # after a clause, not after "one day,"
    _I,
)
_NUMBERS = {word: str(number) for number, word in enumerate(_TO_TWENTY.split(), 2)}
_UNIT = re.compile(r"(\d)(kg|km|cm|mm|mg|ml|kr|hrs?|mins?|am|pm|g|m|l|h|k)\b")
NEAR_WORDS = 5  # how many words before a value a negation may stand


@dataclass(frozen=True, slots=True)
class Sentence:
    text: str
    message: str  # the whole message it stands in
    following: str = ""  # the next sentence of it: jokes give themselves away late


@lru_cache(maxsize=CACHED)
def sentences(message: str) -> tuple[Sentence, ...]:
    """In order; a message without sentence marks is one sentence."""
    parts = [part for part in _SPLIT.split(message.replace("’", "'")) if part and part.strip()]
    return tuple(Sentence(part, message, after) for part, after in zip(parts, [*parts[1:], ""], strict=True))


def objections(
    sentence: Sentence, values: Iterable[str], *, is_denial: bool = False, is_wish: bool = False
) -> list[str]:
    """Why the sentence does not assert the `values` (lower-cased words) in it; empty where nothing speaks against.

    `is_denial`: the statement to support itself says that something is not so, or is over: a negation or an end is no
    objection. `is_wish`: it says that somebody wants, plans or applied for something, and that is none.
    """
    wanted = frozenset(values)
    found = list(_of_whole(sentence))
    if any(wanted & stems(match[0]) for match in _MOCK_TITLE.finditer(sentence.text)):
        found.append(NOT_MEANT)
    if not is_wish and (_OPEN.search(sentence.text) or _OPEN.search(sentence.following)):
        found.append("it is not settled")
    if not is_denial and _CALLED_OFF.search(sentence.text):
        found.append("it is called off")
    before = _up_to(sentence.text, wanted)
    found += [reason for reason, applies in _BEFORE if applies(before) and not (is_wish and reason == WISH)]
    if _is_quoted(sentence, wanted):
        found.append("it quotes somebody")
    if not is_denial and _is_negated(sentence.text, wanted):
        found.append("it is negated")
    return found


@lru_cache(maxsize=CACHED)
def _of_whole(sentence: Sentence) -> tuple[str, ...]:
    """The reasons that hold whatever is looked for."""
    return tuple(reason for reason, applies in _WHOLE if applies(sentence))


@lru_cache(maxsize=CACHED)
def is_idle(message: str) -> bool:
    """Whether something speaks against every sentence, whatever is looked for."""
    parts = sentences(message)
    return bool(parts) and all(objections(sentence, ()) for sentence in parts)


_PAST_WORDS = """was were had did said told heard saw knew thought got came went met felt made took gave left found been seen done
    forgot lost won kept slept ate drank wrote ran sat stood bought brought caught taught paid sent spent became began broke
    chose drove fell flew grew hung held hurt led meant rode sang sold spoke stole swam threw understood woke wore"""
_PAST = frozenset(_PAST_WORDS.split())


def is_past(words: Sequence[str]) -> bool:
    """Whether the first of the words is a verb that tells of the past."""
    return bool(words) and (words[0].lower() in _PAST or bool(re.fullmatch(r"\w{3,}ed", words[0].lower())))


@lru_cache(maxsize=CACHED)
def is_question(text: str) -> bool:
    text = _TAG.sub("", text)
    return bool(_QUESTION.search(text) or _ASKED.search(text)) and not _EXCLAIMED.search(text)


def takes_for_granted(text: str) -> bool:
    """Whether a question asks for something else about what it names ("what is it like in Oslo?"), or only makes sure
    ("and they stay in Oslo?"). A question that turns on a yes or no does neither."""
    if _HEARSAY.search(text) or _UNREAL.search(text) or _NEGATED.search(text):
        return False
    if _OPEN_QUESTION.search(text):
        return True
    return bool(_STILL.search(text)) or not (_AUXILIARY.search(text) or _ASKED.search(text))


def agrees(message: str) -> bool:
    """Whether a reply begins with a yes, or a short question back is followed by one."""
    parts = sentences(message)
    is_back = len(parts) > 1 and bool(_QUESTION.search(parts[0].text))
    return bool(_AGREED.search(message)) or (is_back and bool(_AGREED.search(parts[1].text)))


def declines(message: str) -> bool:
    """Whether a reply begins with a no."""
    return bool(_NO.search(message))


def ends_something(text: str) -> bool:
    """Whether it tells that something is over."""
    return bool(_ENDED.search(text))


def denies(text: str) -> bool:
    """Whether a negation, a cancellation or a "no longer" is anywhere in it."""
    return bool(_NEGATED.search(text) or _TAKEN_BACK.search(text) or _FORMER.search(text))


def takes_back(message: str) -> bool:
    return bool(_TAKEN_BACK.search(message))


def confesses(message: str) -> bool:
    """Whether it says that what its speaker said before was not meant."""
    return bool(_CONFESSED.search(message))


def disbelieves(message: str) -> bool:
    """Whether a reply says that what was just said is not so."""
    return bool(_DISBELIEVED.search(message))


def _is_sign(text: str) -> bool:
    """Whether the sentence is too short to have a matter of its own."""
    return len(re.findall(r"[\w']+", text)) <= _SIGN_WORDS


def _up_to(text: str, wanted: frozenset[str]) -> str:
    """The clause up to and with its first value: what follows seldom changes how that was meant, and neither does a
    clause before it that has a subject of its own ("she wants a dog but we got a cat")."""
    for match in re.finditer(r"[\w']+", text):
        if _stem(match.group().lower()) in wanted:
            begin = max((clause.end() for clause in _NEW_CLAUSE.finditer(text, 0, match.start())), default=0)
            return text[begin : match.end()]
    return text


def _is_negated(text: str, wanted: frozenset[str]) -> bool:
    """A negation in the few words before one of the values, in the same clause; "no, sorry, the 8th" negates nothing."""
    text = _CORRECTS.sub("", text)
    for clause in re.split(r"[,;:.!?]|\bbut\b", text):
        words = re.findall(r"[\w']+", clause.lower())
        for index, word in enumerate(words):
            if _stem(word) in wanted and _NEGATED.search(" ".join(words[max(0, index - NEAR_WORDS) : index])):
                return True
    return False


def _is_quoted(sentence: Sentence, wanted: frozenset[str]) -> bool:
    """All of the values that the message holds stand inside quotation marks."""
    message = sentence.message
    if not _SPEECH.search(_QUOTED.sub(" ", message)):
        return False  # titles and names stand in quotation marks as well
    inside = " ".join(a or b for a, b in _QUOTED.findall(message))
    outside = _QUOTED.sub(" ", message)
    return bool(inside) and bool(wanted & stems(inside)) and not wanted & stems(outside)


@lru_cache(maxsize=CACHED)
def stems(text: str) -> frozenset[str]:
    """Lower-cased words and numbers, without possessive, plural and ordinal endings; a unit parts from its number."""
    plain = _UNIT.sub(r"\1 \2", text.replace("’", "'").lower())
    return frozenset(_stem(word) for word in re.findall(r"[\w']+", plain))


@lru_cache(maxsize=CACHED)
def _stem(word: str) -> str:
    plain = word.removesuffix("'s").strip("'")
    if plain in _NUMBERS:
        return _NUMBERS[plain]
    if plain[:1].isdigit():
        return re.sub(r"(?<=\d)(?:st|nd|rd|th)$", "", plain)
    for ending in ("ing", "ed", "es", "s"):
        if plain.endswith(ending) and len(plain) - len(ending) >= (3 if ending == "s" else 4):
            return plain[: -len(ending)]
    return plain.removesuffix("e") if len(plain) > 4 else plain


_WHOLE: tuple[tuple[str, Callable[[Sentence], bool]], ...] = (
    ("it gives orders to machines", lambda s: is_pasted(s.message)),
    (QUESTION, lambda s: is_question(s.text)),
    ("it is hypothetical", lambda s: bool(_CONDITION.search(_IDLE_IF.sub(" ", s.text)))),
    (
        NOT_MEANT,
        lambda s: bool(_JOKE.search(s.text) or (_is_sign(s.following) and _JOKE.search(s.following))),
    ),
    (TRAILS_OFF, lambda s: s.text.rstrip().endswith(("…", "...")) and bool(_GOES_ON.search(s.following))),
    (NOT_MEANT, lambda s: bool(_LOVE_TO_COMPLAIN.search(s.text))),
    (NOT_MEANT, lambda s: bool(_PLAYED.search(s.text))),
    ("it quotes somebody", lambda s: bool(_FORWARDED.search(s.message))),
)
_BEFORE: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("it is hypothetical", lambda text: bool(_UNREAL.search(_IDLE_IF.sub(" ", text)))),
    (WISH, lambda text: bool(_HOPED.search(text))),
    ("it passes on hearsay", lambda text: bool(_HEARSAY.search(text))),
    (
        "it is what somebody else makes of it",
        lambda text: bool(_OTHERS_WORD.search(text)) and not _WHO_KNOWS.search(text),
    ),
)
