"""A message cut into sentences the rules can read: contractions spread out, names in capitals, quotations blanked.

Sentences keep the order of the message. `mood` says how far the words commit their speaker; what a sentence is
about is not decided here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from agents.extractors.lexicon import lexicon
from agents.extractors.numbers import to_int

LONGEST_MESSAGE, LONGEST_SENTENCE = (
    4000,
    400,
)  # characters; what runs longer is pasted, and is not read further
QUOTED = "\u2026"  # stands where a quotation was: no pattern reads across it


@dataclass(frozen=True, slots=True)
class Sentence:
    """`text` is as read by the rules. `is_cased`: its writer uses capitals, so a lowercase word is no name."""

    text: str
    lower: str
    is_question: bool
    is_cased: bool
    words: frozenset[str] = frozenset()


@lru_cache(maxsize=64)
def clean(text: str) -> str:
    """The message without marks of the messenger, its quotations replaced by an ellipsis."""
    plain = _MARKS.sub(" ", text[:LONGEST_MESSAGE].replace("’", "'").replace("‘", "'"))
    plain = _QUOTE.sub(lambda m: m[1] if _is_title(m[1] or "") else f" {QUOTED} ", plain)
    return re.sub(r"^>.*$", "", plain, flags=re.MULTILINE)


def split(text: str, names: dict[str, str]) -> list[Sentence]:
    """Sentences of one message. `names` maps lowercase names to the form they are written in."""
    plain = clean(text)
    is_cased = any(c.isupper() for c in plain[:3]) or bool(re.search(r"[.!?]\s+[A-Z][a-z]", plain))
    found = []
    for piece in _pieces(plain):
        letters = re.sub(r"[^A-Za-zÀ-ÿ]", "", piece)
        if not letters and not re.search(r"\d", piece):
            continue
        is_shouted = len(letters) > 5 and sum(map(str.isupper, letters)) > 0.8 * len(letters)
        body = expand(piece.lower() if is_shouted else piece).strip()
        lower = body.lower()
        is_question = body.endswith("?") or bool(_INVERTED.match(lower))
        words = frozenset(_WORD.findall(lower))
        found.append(Sentence(restore(body, names), lower, is_question, is_cased and not is_shouted, words))
    return found


def as_statement(question: Sentence) -> Sentence:
    """ "is Duarte still at the aquarium?" as "Duarte is still at the aquarium"; other questions as they are."""
    match = _POLAR.match(question.text)
    if match is None:
        return replace(question, text=question.text.rstrip("? "))
    be = match["aux"] if match["aux"].lower() in ("is", "are", "was", "were", "has", "have") else ""
    text = re.sub(r"\s+", " ", f"{match['subject']} {be} {match['rest']}".rstrip("? "))
    return replace(question, text=text, lower=text.lower())


_POLAR = re.compile(
    r"^(?:(?:so|and|but|ok|wait|also|oh|then|hey|btw)\b[\s,.]*)*(?P<aux>is|are|was|were|do|does|did|has|have)\s+"
    r"(?P<subject>(?:your|my|his|her) (?:[a-z]+ )?[\w-]+|you|he|she|it|they|[A-ZÀ-Þ][\w-]+)\s+(?P<rest>.+)$",
    re.IGNORECASE,
)


def expand(text: str) -> str:
    """ "i'm" and "im" as "i am": one spelling for the patterns."""
    text = _ITS.sub("it is", text)
    text = _IM.sub(lambda m: _BARE[m[0].lower()], text)
    return _CONTRACTION.sub(lambda m: _ENDINGS.get(m[0].lower().replace("n't", "not"), " " + m[0]), text)


def restore(text: str, names: dict[str, str]) -> str:
    """Known names typed in lowercase, as they are written elsewhere."""
    return _WORD.sub(
        lambda m: (
            names.get(m[0]) or (names.get(m[0].lower(), m[0]) if m[0].isupper() and len(m[0]) > 2 else m[0])
        ),
        text,
    )


def _pieces(text: str) -> list[str]:
    guarded = _ABBREVIATION.sub(lambda m: m[0].replace(".", "\u2024"), text)
    pieces = (p[:LONGEST_SENTENCE] for p in _BREAK.split(guarded) if p and p.strip())
    return [p.replace("\u2024", "").strip(" ,;-–") for p in pieces]


def _is_title(quoted: str) -> bool:
    """A short quotation in capitals is a name, not somebody's words."""
    words = quoted.split()
    return 0 < len(words) <= 3 and all(w[:1].isupper() for w in words) and not quoted.isupper()


@lru_cache(maxsize=4096)
def is_name_word(word: str, is_cased: bool) -> bool:
    """Whether a word can be (part of) a name here: capitalised, or uncommon where nobody uses capitals."""
    plain = word.removesuffix("'s")
    if not plain or not plain[0].isalpha() or plain.lower() in lexicon().classes["not_names"]:
        return False
    if to_int(plain) is not None or _DRAWN_OUT.search(plain):
        return False
    if plain[0].isupper():  # a word in capitals only is shouted, unless nobody would write it otherwise
        return not (len(plain) > 2 and plain.isupper() and lexicon().is_ordinary(plain))
    return not is_cased and len(plain) > 2 and not lexicon().is_ordinary(plain)


_DRAWN_OUT = re.compile(r"([A-Za-z])\1\1")
_MARKS = re.compile(
    r"<This message was edited>|<Media omitted>|https?://\S+|[\u200e\u200f\u202a-\u202e\ufeff]"
)
_QUOTE = re.compile(r"[\"“«]([^\"“”«»]{1,400})[\"”»]|(?<!\w)'([^'\n]{3,200})'(?!\w)")
_EMOJI = r"[\U0001F000-\U0001FAFF\u2600-\u27BF\u2B00-\u2BFF\u2190-\u21FF\uFE0F\u200D\U0001F1E6-\U0001F1FF\u2300-\u23FF]+"
_BREAK = re.compile(rf"(?<=[.!?])\s+|(?<=[.!?])(?=[A-Z])|\n+|…|\.\.+|{_EMOJI}|[()\[\];]|\s[-–—]\s|:\)|:\(|<3")
_ABBREVIATION = re.compile(
    r"\b(?:Dr|Mr|Mrs|Ms|St|Prof|dr|mr|mrs|ms|prof|No|approx|ca)\.(?=\s)|\b[A-Z]\.(?=[A-Z ])"
)
_WORD = re.compile(r"[^\W\d_][\w-]*")
_BARE = {
    "im": "i am", "ive": "i have", "dont": "do not", "cant": "can not", "youre": "you are", "didnt": "did not",
    "doesnt": "does not", "isnt": "is not", "wasnt": "was not", "hes": "he is", "shes": "she is", "theyre": "they are",
    "thats": "that is", "whats": "what is", "havent": "have not", "wont": "will not", "arent": "are not",
    "youve": "you have", "theyve": "they have", "weve": "we have", "gonna": "going to", "wanna": "want to", "gotta": "got to",
    "u": "you", "ur": "your", "r": "are", "wheres": "where is", "whos": "who is", "hows": "how is", "whens": "when is",
    "wouldnt": "would not", "couldnt": "could not", "shouldnt": "should not", "werent": "were not", "hasnt": "has not",
    "n": "and", "nd": "and", "w": "with", "yh": "yes", "abt": "about", "tmrw": "tomorrow", "tmr": "tomorrow", "2moro": "tomorrow",
    "bday": "birthday", "bf": "boyfriend", "gf": "girlfriend", "ppl": "people", "yr": "year", "yrs": "years", "wk": "week",
    "wks": "weeks", "mths": "months", "hubby": "husband", "uni": "university", "ye": "you", "yous": "you", "y'all": "you",
    "ofc": "of course", "bc": "because", "cos": "because", "coz": "because", "pls": "please", "thx": "thanks",
}  # fmt: skip
_IM = re.compile(rf"\b(?:{'|'.join(_BARE)})\b", re.IGNORECASE)
_ITS = re.compile(r"\bits(?= (?:a|an|the|not|my|his|her|your|been|so|fine|ok|called)\b)", re.IGNORECASE)
_ENDINGS = {
    "'m": " am", "'re": " are", "'ve": " have", "'ll": " will", "'d": " would", "not": " not",
    "he's": "he is", "she's": "she is", "it's": "it is", "that's": "that is", "what's": "what is", "who's": "who is",
    "where's": "where is", "when's": "when is", "how's": "how is", "there's": "there is", "here's": "here is", "let's": "let us",
}  # fmt: skip
_CONTRACTION = re.compile(
    r"'(?:m|re|ve|ll|d)\b|n't\b|\b(?:he|she|it|that|what|who|where|when|how|there|here|let)'s\b",
    re.IGNORECASE,
)
_INVERTED = re.compile(
    r"(?:so|and|but|ok|wait|also|well|oh|then|hey|forgot to ask|question|btw)?[\s,.]*"
    r"(?:(?:what|where|who|when|why|how|which)(?: (?:old|many|much|long|far|kind of \w+|breed|time|day|one))? "
    r"(?:is|are|do|does|did|was|were|will|can|have|has|would|should)\b"
    r"|(?:is|are|am|do|does|did|was|were|have|has|can|could|will|would|should) "
    r"(?:i|you|he|she|it|they|we|your|my|his|her|the|there|this|that|(?:your )?(?:mum|dad|mother|father|brother|sister)|anyone)\b"
    r"|(?:is|are|does|did|has) [\w'-]+ (?:still|already|any|ok|well|better|back|at|in|on|happy|there|coming|good)\b"
    r"|you still \w+$|what about |how about )",
    re.IGNORECASE,
)
