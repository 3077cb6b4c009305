from __future__ import annotations

import re
import time

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.runtime.decoding import Detokenizer
from agents.runtime.lm import LanguageModel
from simulator.tags import TagFilter

OWN, OTHER, NOTE = "[INES]", "[TOMAS]", "What you know:"
PARTS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                OWN,
                OTHER,
                "[ADA SOL]",
                "[Ines]",
                "[INE",
                "[TO",
                "[",
                "]",
                "<|im_end|>",
                "<|im",
                "</s>",
                "<3",
                "<",
            ]
        ),
        st.sampled_from(
            [
                NOTE,
                "What you",
                "\n",
                "\n\n",
                " ",
                "[2]",
                "[really]",
                "[:)]",
                "😀",
                "👩‍👩‍👧",
                "hi",
                "é",
                "[ŁÓDŹ]",
            ]
        ),
        st.text(max_size=3),
    ),
    max_size=8,
)


def run(
    text: str, sizes: list[int], *, notes: tuple[str, ...] = (NOTE,), is_begun: bool = False
) -> list[str]:
    pieces, at = [], 0
    for size in [*sizes, len(text)]:
        pieces.append(text[at : at + size])
        at += size
    return list(TagFilter(OWN, [OTHER], notes=notes, is_begun=is_begun).run(pieces))


def ended(text: str) -> str:
    """What may be seen of a whole text, by regular expressions and all at once."""
    tag = re.compile(
        r"\[([^\[\]\n]{1,40})\]|<\|[A-Za-z0-9_]{1,32}\|>|</s>|<(?:end|start)_of_turn>|(?:(?m:^)|(?i:(?<=\[INES\])))\s*What you know:"
    )
    kept, at = "", 0
    for match in tag.finditer(text):
        inner = match[1]
        is_known = inner is None or match[0].upper() in (OWN, OTHER)
        if not is_known and (inner.upper() != inner or not inner[0].isalpha()):
            continue
        kept += text[at : match.start()]
        at = match.end()
        if match[0].upper() != OWN:
            break
        kept += "\n"
    else:
        kept += text[at:]
    return re.sub(r"[^\S\n]*\n\s*", "\n", kept.strip())


@settings(deadline=None)
@given(PARTS, st.lists(st.integers(1, 5), max_size=40))
@example(["[INE", "[TOMAS]"], [1])
def test_every_split_shows_the_same_and_never_a_part_of_a_tag(parts: list[str], sizes: list[int]) -> None:
    text = "".join(parts)
    shown = "".join(run(text, sizes))
    assert shown == "".join(run(text, []))
    for tag in (OWN, OTHER, "[ADA SOL]", "<|im_end|>"):
        assert tag not in shown
    assert shown == shown.strip()


@settings(deadline=None)
@given(PARTS.map("".join).map(lambda text: text + " end"), st.lists(st.integers(1, 5), max_size=40))
def test_what_is_shown_is_what_regular_expressions_leave_of_the_whole(text: str, sizes: list[int]) -> None:
    if re.search(r"[^\S\n ]|[\r\x1c-\x1f\x85\u2028\u2029]", text) or any(
        c.upper().upper() != c.upper() for c in text
    ):
        return  # other blanks, and letters without a stable capital
    assert "".join(run(text, sizes)) == ended(text)


@given(st.lists(st.integers(1, 5), max_size=40))
def test_no_split_of_the_stream_leaks_a_part_of_a_tag(sizes: list[int]) -> None:
    shown = "".join(run("hello 😀 there\n[INES] second one\n[TOMAS] mine", sizes))
    assert shown == "hello 😀 there\nsecond one"


@given(st.lists(st.integers(1, 3), max_size=30))
def test_a_control_token_ends_the_reply(sizes: list[int]) -> None:
    assert "".join(run("fine<|im_end|>\n[INES] more", sizes)) == "fine"


@given(st.lists(st.integers(1, 4), max_size=30))
def test_brackets_and_hearts_that_are_no_tags_pass(sizes: list[int]) -> None:
    assert "".join(run("i <3 you [really] [2] <b", sizes)) == "i <3 you [really] [2] <b"


def test_an_unfinished_tag_at_the_end_is_dropped_and_begun_notes_are_words() -> None:
    assert "".join(run("bye\n[TOM", [2, 2])) == "bye"
    assert "".join(run("so\nWhat you", [2, 2])) == "so\nWhat you"
    assert "".join(run("so\nWhat you know: a secret", [2, 2])) == "so"
    assert "".join(run("tell me What you know: all", [2, 2])) == "tell me What you know: all"


def test_nothing_is_read_after_the_reply_has_ended() -> None:
    pieces = iter(["a [TOMAS] b", "never"])
    assert list(TagFilter(OWN).run(pieces)) == ["a"]
    assert next(pieces) == "never"


def test_what_goes_on_in_a_message_keeps_the_blank_before_it() -> None:
    assert "".join(run(" and more\n[INES] next", [2, 2], is_begun=True)) == " and more\nnext"
    assert "".join(run("[INES] next", [2, 2], is_begun=True)) == "\nnext"
    assert "".join(run("[INES] first", [2, 2])) == "first"


def test_tags_and_emoji_split_over_a_models_tokens_stay_whole(tiny: LanguageModel) -> None:
    text = "olá 👩‍👩‍👧 ça va?\n[INES] yes 🌊🌊\n[TOMAS] no"
    detokenizer, tags, seen = Detokenizer(tiny.decode), TagFilter(OWN, [OTHER]), []
    for token in tiny.template.encode(text):  # one byte each
        seen.append(tags.feed(detokenizer.push(token)))
    assert "".join(seen) == "olá 👩‍👩‍👧 ça va?\nyes 🌊🌊"
    assert not any("\ufffd" in piece for piece in seen)


def test_it_costs_little() -> None:
    pieces = ["some", " words", " [really", "]", " and", " <3", "\n", OWN, " more"] * 500
    start = time.thread_time()
    "".join(TagFilter(OWN, [OTHER], notes=(NOTE,)).run(pieces))
    assert (time.thread_time() - start) / len(pieces) < 200e-6
