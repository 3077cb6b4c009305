"""Which words of a question say what is looked for. English; other languages keep all their words."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_POSSESSIVE = re.compile(r"['’](?:s|d|ll|re|ve|m|t)?\b")

# Words of grammar and of asking: they stand in every text, or in every question and no answer.
_STOP = """
    a about again ago all also am an and any anybody anyone anything are aren as at away back be because been
    before being between both but by came can cannot come could couldn did didn do does doesn doing don done
    down during each either else ever every everyone for from further get gets getting give given go goes going
    gone got had hadn has hasn have haven having he her here hers herself him himself his how however i if in
    into is isn it its itself just know known let like ll made make many may me might mine more most much must
    my myself name named no nor not of off on once one only onto or other others our ours out over own per
    please quite rather really same say says shall she should shouldn since so some somebody someone something
    still such take tell than that the their theirs them themselves then there these they this those through to
    together too towards under until up upon us very via was wasn we were weren what whatever when whenever where
    wherever which while who whom whose why will with within without would wouldn yet you your yours yourself
    kind type sort thing things
"""
STOP = frozenset(_STOP.split())


def words(text: str) -> list[str]:
    """Words in lower case, possessive and shortened endings cut off."""
    found: list[str] = _WORD.findall(text.casefold())
    if "'" in text or "’" in text:
        return [_POSSESSIVE.sub("", word) for word in found]
    return found


def content_words(text: str) -> list[str]:
    """The words that are not grammar, in order."""
    return [word for word in words(text) if word and word not in STOP]
