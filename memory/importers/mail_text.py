"""A mail's own words: without what it quotes, its signature, and HTML's marks. Knows nothing of headers."""

from __future__ import annotations

import re
from html.parser import HTMLParser

# what programs write above the mail that is answered, in the languages that they are mostly used in
_INTRODUCES = re.compile(
    r"(?i)^\s*(?:on .{4,120}(?:wrote|writes):|am .{4,120}schrieb.{0,120}:|le .{4,120}a écrit ?:|"
    r"el .{4,120}escribió:|em .{4,120}escreveu:|il .{4,120}ha scritto:|op .{4,120}schreef.{0,80}:|"
    r"den .{4,120}skrev.{0,80}:)\s*$"
)
_CUTS = re.compile(
    r"(?i)^\s*(?:-{2,}\s*(?:original message|forwarded message|ursprüngliche nachricht|message d'origine|"
    r"mensaje original|mensagem original)\s*-{2,}|_{20,})\s*$"
)
_OUTLOOK = re.compile(r"(?i)^\s*(?:from|von|de|da|van): .+")
_OUTLOOK_NEXT = re.compile(
    r"(?i)^\s*(?:sent|gesendet|envoyé|enviado|date|datum|inviato|verzonden)( le| em)?: .+"
)
_BLOCKS = frozenset(("p", "div", "br", "li", "tr", "h1", "h2", "h3", "table", "ul", "ol"))
_SILENT = frozenset(("script", "style", "head", "title"))


def own_words(text: str) -> str:
    """What the writer wrote: up to the signature or a quoted mail, lines that quote left out."""
    lines = text.replace("\r\n", "\n").split("\n")
    kept: list[str] = []
    for number, line in enumerate(lines):
        if line.rstrip() == "--" or line == "-- " or _CUTS.match(line):
            break
        if _OUTLOOK.match(line) and any(
            _OUTLOOK_NEXT.match(after) for after in lines[number + 1 : number + 3]
        ):
            break
        if line.lstrip().startswith(">") or _is_introduction(lines, number):
            continue
        kept.append(line.rstrip())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def _is_introduction(lines: list[str], number: int) -> bool:
    """`On 3 May 2024, Ada wrote:`, also where it is broken into two lines."""
    line = lines[number]
    if _INTRODUCES.match(line):
        return True
    after = lines[number + 1] if number + 1 < len(lines) else ""
    before = lines[number - 1] if number else ""
    return any(
        _INTRODUCES.match(f"{one.rstrip()} {other.strip()}") is not None and one.strip() and other.strip()
        for one, other in ((line, after), (before, line))
    )


class _Plain(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._n_silent = 0
        self._n_quoted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._n_silent += tag in _SILENT
        self._n_quoted += tag == "blockquote"
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._n_silent -= tag in _SILENT and self._n_silent > 0
        self._n_quoted -= tag == "blockquote" and self._n_quoted > 0
        if tag in _BLOCKS and tag != "br":
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._n_silent and not self._n_quoted:
            self.parts.append(re.sub(r"\s+", " ", data))


def text_of_html(raw: str) -> str:
    """The words that a reader would see, quoted blocks left out."""
    parser = _Plain()
    parser.feed(raw)
    parser.close()
    lines = (line.strip() for line in "".join(parser.parts).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
