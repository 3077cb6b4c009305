"""Whether an answer says that it does not know. Rules over words; no model takes part.

Plain refusals ("I don't know where", "no information", "that was never mentioned") refuse whatever stands beside them,
unless a guess or another answer follows ("I don't know, but she lives in Lisbon"). Mere doubt ("I'm not sure") refuses
where nothing else is said: beside an answer it is politeness.
"""

from __future__ import annotations

import re
from functools import lru_cache

from consolidation.answer_words import fold, word_set

_ADV = (
    r"(?:(?:really|actually|honestly|currently|yet|just|simply|quite|even|still|definitely|unfortunately|sadly|ever|been|"
    r"explicitly|specifically|directly|also|personally|truly|absolutely|at all|yet been|so far) )*"
)
_NOT = r"(?:not|never|cannot|(?:do|does|did|is|are|was|were|ca|wo|would|should|could|have|has|had|ai)nt)"
_HINT = re.compile(
    r"\b(?:no|not|never|cannot|\w+nt|nobody|noone|none|nothing|un\w+|dunno|lack(?:ing)?|missing|pass|beats|escapes|eludes|hard|"
    r"difficult|impossible|guess|forgot|forgotten|dark|blank|wish|knows|yet)\b|n/a"
)
_I = r"(?:^(?:(?:sorry|well|hmm?|oh|no|afraid|unfortunately|honestly|um+|uh|and|but|so|, ) ?)*|\b(?:i|im|we|ive|weve) (?:am |have |do |can |could |would |did |will )?)"
_KNOW = r"(?:know|tell|say|remember|recall|answer|confirm|determine|find out|help (?:you )?with|recollect|identify|provide|verify)"
_NEWS = (
    r"(?:idea|clue|information|info|knowledge|records?|data|details?|memory|notes?|recollection|answer|mention|evidence|"
    r"access|facts|way (?:of knowing|to (?:know|tell)))\b(?! label)"
)
_WHICH = (
    r"(?:(?:any|enough|much|the|that|this|such|sufficient|an?|further|more|specific|relevant|available|reliable|known|personal|"
    r"other|clear|slightest|faintest|foggiest|recorded|exact|concrete|of) )*"
)
_THAT = r"(?:that|it|this|which|what|information|detail|answer|name|place|date|job|one)"
_PLAIN = re.compile(
    rf"{_I}{_ADV}(?:{_NOT}|am unable to|unable to|am not able to|not able to) {_ADV}(?:able to |be able to )?{_ADV}{_KNOW}\b(?! (?:you )?(?:for (?:sure|certain)|exactly|precisely|it all|more|no)\b)"
    rf"|\b{_NOT} {_ADV}(?:have|has|had|got|find|found|see|seen|given|received|possess|hold) {_ADV}(?:got )?{_WHICH}{_NEWS}"
    rf"|(?:^|\b(?:have|has|had|got|is|are|was|were|ive|weve|theres|there|find|found|see|with|i|sorry|absolutely|,) ){_ADV}no {_WHICH}{_NEWS}"
    rf"|\b(?:i|we) (?:do )?(?:lack|am lacking|am missing) {_WHICH}{_NEWS}"
    rf"|\b(?:i am|im|we are|were|^) ?{_ADV}(?:not {_ADV}(?:aware|familiar|acquainted|privy)|unaware|unfamiliar)\b"
    rf"|\b(?:nobody|no one|noone|none of \w+) {_ADV}(?:has |have |had )?{_ADV}(?:told|mentioned|said|knows?|shared|informed|spoke|talked|let me know)\b"
    rf"|\b{_NOT} {_ADV}(?:told|tell)\b(?: (?:me|us|anyone|anybody|you|i|about)\b|$| ,| (?:where|what|who|when|how|which|if|whether)\b)"
    rf"|\b(?:i|we|i have|ive|i was|we were) {_NOT} {_ADV}told\b|\b(?:i was|we were|i am|im) {_NOT} {_ADV}(?:told|informed)\b"
    rf"|\b{_NOT} {_ADV}(?:mentioned|said|specified|stated|recorded|documented|disclosed|revealed|discussed|come up|came up|known)\b"
    rf"(?! (?:for|as|that|she|he|they|to (?:be|have|live|work)|by)\b)"
    rf"|\b{_NOT} {_ADV}(?:say|mention|specify|share|shared|reveal|disclose|state)\b(?! (?:for (?:sure|certain)|exactly|precisely|more|no|much|a lot|that|she|he|they|food|a|to|it to)\b)"
    rf"|\b{_THAT} (?:is|was|has) {_NOT} {_ADV}(?:available|public|listed|noted|provided|given|clear|in (?:my|our|the))\b"
    rf"|\b{_THAT} (?:isnt|wasnt|hasnt) {_ADV}(?:available|public|listed|noted|provided|given|clear|in (?:my|our|the))\b"
    r"|\b(?:is|are|was|remains?|stays?|that|it|still|currently) (?:still |currently |completely |simply )?(?:unknown|undisclosed|unspecified)\b"
    r"|^(?:unknown|undisclosed|unspecified|not (?:known|specified|mentioned|stated|available|given)|n/a|dunno|pass|beats me)\b(?! soldier)"
    r"|\bunknown to (?:me|us)\b|\b(?:i|we) dunno\b|^(?:i )?have never\b.{0,20}\b(?:heard|met)\b"
    rf"|{_I}{_ADV}{_NOT} {_ADV}(?:heard|met|come across|encountered|been introduced|learned|learnt|found out|seen any)\b"
    rf"|\b(?:not|nothing|none|never|nobody|no one)(?: (?:something|anything|anyone|anybody|someone|somebody))?(?: that)? (?:i|we) (?:know|have heard|am aware)\b"
    r"|\bnot (?:that|as far as) (?:i|we) know\b|\bnot to my knowledge\b|\b(?:beats|escapes|eludes) (?:me|us)\b|\bbeyond my knowledge\b"
    r"|\b(?:hard|difficult|impossible) (?:for me )?to (?:say|tell|know)\b|\byour guess is as good\b|\b(?:i|ive|i have) (?:forgot|forgotten)\b"
    r"|\b(?:dont|do not) (?:think|believe) (?:i|we|anyone|anybody|(?:s?he|they) (?:ever )?(?:told|said|mentioned)) ?(?:ever |really |have |was |been )*(?:know|told|heard|said|mentioned|$)"
    r"|\bnot (?:a|the) (?:(?:slightest|faintest|foggiest) )?(?:clue|idea)\b|^who knows\??$|\b(?:i|we) (?:really )?know (?:nothing|nobody|no one|no \w+ (?:called|named))\b"
    r"|\b(?:i|we) have yet to (?:learn|hear|find)\b"
    r"|\bi am in the dark\b|\bim in the dark\b|\bdrawing a blank\b|\bi wish i knew\b|\bcould not tell you\b"
)
_UNSURE = (
    rf"(?:{_NOT} {_ADV}(?:(?:be|entirely|completely|totally|fully|exactly|too|so|that|very|all that|100 ?%?|100 percent|absolutely|altogether) )*"
    r"(?:sure|certain|positive)|unsure|uncertain|unclear)"
)
_MINE = r"(?:^|(?:\b(?:i|im|we|were|am|are|it is|that is|it|that|but|though|although|and|sorry|me|really|honestly)|,) )"
_ABOUT = re.compile(rf"{_MINE}{_UNSURE}\b,? (?:about|of|who|whom|where|what|when|which|whether|if|how|why)\b")
_DOUBT = re.compile(
    rf"{_MINE}{_UNSURE}\b|\b{_NOT} {_ADV}(?:know|say|tell|remember|recall|confirm) {_ADV}(?:you )?(?:for (?:sure|certain)|exactly|precisely)\b"
)
_GUESS = re.compile(
    r"\b(?:maybe|perhaps|probably|possibly|presumably|apparently|likely|(?:i|we|id) (?:\w+ )?(?:think|believe|guess|suppose|assume|reckon|"
    r"heard|suspect)|(?:id|i would) (?:guess|say)|my (?:best )?guess|it (?:might|may|could|must) be)\b(?! (?:i|we|not|nobody|no one|you)\b|$)"
)
_ANSWERS = re.compile(
    r"^(?:that )?(?:she|he|they|it|[a-z]+(?: [a-z]+)?) (?:\w+ly |now |still |also )?(?:is|was|lives?|lived|works?|worked|has|had|plays?|"
    r"moved|owns|drives|speaks|teaches|studies|likes|loves|comes|called|named)\b"
)
# what leaves "I don't know" open: of "where she lives, but ..." the question itself is refused
_OPEN = re.compile(
    r"(?:know|say|tell|remember|recall)(?: (?:why|much|everything|all|more|how|whether this helps|if this helps|the details?))?(?: about [\w ]+)? ?,?$"
)
_SENTENCE = re.compile(r"(?<=[.;!])\s+|(?<=\?)\s*|\n|\s[-–—]+\s|[—;]|\.{2,}|…")
_TURN = re.compile(r"\b(?:but|though|although|however|still|yet)\b")
_FILLER = word_set(
    "sorry well hm hmm oh i im am afraid about that this it so though really honestly to be honest yet but and unfortunately um "
    "at all right now currently me a an the of is still just hi hello there good question"
)
_SECOND_PERSON = re.compile(
    r"^(?:you|i|we|please|ask|let|try|could you|can you|would you|do you|why|what|who|where)\b"
)


@lru_cache(maxsize=16384)
def refuses(answer: str) -> bool:
    """Whether the answer says that it does not know."""
    if not _HINT.search(fold(answer)):
        return False
    sentences = [
        " ".join(re.sub(r"[^\w\s,?/%]", " ", part).replace(",", " , ").split())
        for part in _SENTENCE.split(fold(answer))
    ]
    sentences = [part.strip(" ,") for part in sentences if part.strip(" ,?")]
    if any(_PLAIN.search(part) or _ABOUT.search(part) for part in sentences):
        return not _is_answered(sentences)
    if not any(_DOUBT.search(part) for part in sentences):
        return False
    return not any(_is_assertion(part) for sentence in sentences for part in _beside_doubt(sentence))


def _is_answered(sentences: list[str]) -> bool:
    """Whether a guess stands beside the refusal, or an answer behind its "but"."""
    for place, sentence in enumerate(sentences):
        found = _PLAIN.search(sentence) or _ABOUT.search(sentence)
        if not found:
            continue
        before = [*sentences[:place], sentence[: found.start()]]
        after = [sentence[found.end() :], *sentences[place + 1 :]]
        if any(_GUESS.search(part) and not part.endswith("?") for part in after if not _PLAIN.search(part)):
            return True
        head, *rest = _TURN.split(sentence[found.start() :], maxsplit=1)
        is_open = bool(_OPEN.search(head.strip()))
        if (
            is_open
            and rest
            and not _SECOND_PERSON.match(rest[0].strip(" ,"))
            and _ANSWERS.match(rest[0].strip(" ,"))
        ):
            return True
        if is_open and any(_GUESS.search(part) and not part.endswith("?") for part in before):
            return True
    return False


def _beside_doubt(sentence: str) -> list[str]:
    """What a sentence says beside its doubt, clause by clause."""
    rest = _DOUBT.sub(" , ", sentence)
    return [part for part in re.split(r",|\bbut\b|\bthough\b|\balthough\b|\bhowever\b", rest) if part.strip()]


def _is_assertion(part: str) -> bool:
    words = part.strip().rstrip("?").split()
    is_own = bool(_SECOND_PERSON.match(" ".join(words))) and not _GUESS.search(part)
    return not part.strip().endswith("?") and not is_own and any(word not in _FILLER for word in words)
