from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory import names


@given(st.text())
def test_a_key_is_its_own_key(name: str) -> None:
    assert names.key(names.key(name)) == names.key(name)


@given(st.text(st.characters(categories=("L", "Zs"))))
def test_outer_space_does_not_matter(name: str) -> None:
    assert names.key(f"  {name}\t") == names.key(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Tomás  Lindqvist", "tomas lindqvist"),
        ("STRASSE", "Straße"),
        ("Ｉｎｅｓ", "ines"),
        ("\u200eInês\u200f", "Ines"),
        ("İpek", "ipek"),
        ("❤️ Ana", "❤ ana"),
        ("IŞIK", "ışık"),
        ("ΟΔΥΣΣΕΥΣ", "Οδυσσεύς"),
        ("O’Brien", "O'Brien"),
        ("Anne‑Marie", "Anne-Marie"),
        ("ﬁona", "Fiona"),
        ("I\u200dn\u202ees\x00", "Ines"),
        ("محـــمد", "محمد"),
    ],
)
def test_names_that_are_the_same(one: str, other: str) -> None:
    assert names.key(one) == names.key(other)


@pytest.mark.parametrize(("one", "other"), [("が", "か"), ("कि", "कु"), ("Ana", "Anna"), ("", "Ana")])
def test_names_that_differ(one: str, other: str) -> None:
    assert names.key(one) != names.key(other)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Ines Carvalho", "ines"),
        ("Dr. Ana Reis", "ana"),
        ("Aunt Rosa", "rosa"),
        ("+351 910", ""),
        ("Dr", "dr"),
        ("", ""),
    ],
)
def test_first_names(name: str, first: str) -> None:
    assert names.first(name) == first


@given(st.text())
def test_a_slug_is_fit_for_a_path(name: str) -> None:
    slug = names.slug(name)
    assert slug
    assert not set(slug) & set("/\\. \0")


def test_nearest_names_bear_a_slip_of_the_keys() -> None:
    assert names.nearest("Inse Carvalo", ["Tomas Lindqvist", "Ines Carvalho"]) == ("Ines Carvalho",)
    assert names.nearest("tomsa", ["Tomas Lindqvist", "Ines Carvalho"]) == ("Tomas Lindqvist",)
    assert names.nearest("Zzyx", ["Tomas Lindqvist"]) == ()


def test_a_description_by_somebody_else_has_no_first_name() -> None:
    assert names.first("Ines Carvalho's sister") == ""
    assert names.first("James' brother") == ""
    assert names.first("Sinéad O'Brien") == "sinead"


_SPECIAL = "ıİIißẞςσΣﬁ’'\u200d\u200c\u200e\u202e\ufe0f\u0301\u0344é\x00 \t\u3164‐-がｶﾞ\udce9\ud83d\ude00"
ODD = st.text(
    st.one_of(
        st.characters(),
        st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF, categories=["Cs"]),
        st.sampled_from(list(_SPECIAL)),
    )
)


@given(ODD)
def test_a_clean_name_can_be_stored_and_cleaned_again(name: str) -> None:
    shown = names.clean(name)
    assert names.clean(shown) == shown
    assert len(shown) <= names.MAX_SHOWN
    assert len(names.key(shown)) <= 255
    assert "\x00" not in shown
    shown.encode()


@given(ODD.filter(str.isprintable))
def test_a_clean_name_has_one_key_in_every_normal_form(name: str) -> None:
    keys = {names.key(names.clean(unicodedata.normalize(form, name))) for form in ("NFC", "NFD")}
    assert keys == {names.key(names.clean(name))}


@pytest.mark.parametrize(
    "blank", ["", "  \t", "\u200e\u200f", "\u3164", "\x00", "\ufeff", "\u0301", "\u2800"]
)
def test_of_a_blank_name_nothing_is_left(blank: str) -> None:
    assert names.clean(blank) == ""
    assert names.is_blank(blank)


def test_a_text_with_one_letter_or_emoji_in_it_is_not_blank() -> None:
    assert not any(map(names.is_blank, ("\u200bx", "é", "e\u0301", "\U0001f3f4", "0", "?")))


def test_long_names_stay_two() -> None:
    one, other = names.clean("Ana " * 3000), names.clean("Ana " * 3000 + "B")
    assert one != other
    assert names.clean("ANA " * 3000) == one
    assert max(len(one), len(other)) < 255


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        (b"In\xeas".decode("utf-8", "surrogateescape"), "Inês"),
        ("Inês".encode().decode("ascii", "surrogateescape"), "Inês"),
        ("Ana \ud83d\ude00", "Ana 😀"),
        ("Ana\ud83d", "Ana\ufffd"),
        ("A" + "\u0301" * 500, "Á" + "\u0301" * 4),
        ("👩\u200d\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_broken_names_are_mended(broken: str, whole: str) -> None:
    assert names.clean(broken) == whole


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ines Carvalho's sister", ("Ines Carvalho", "sister")),
        ("James' brother", ("James", "brother")),
        ("Ana’s sister's husband", ("Ana’s sister", "husband")),
        ("Sinéad O'Brien", None),
        ("Ana", None),
    ],
)
def test_descriptions_are_told_from_names(name: str, expected: tuple[str, str] | None) -> None:
    assert names.described(name) == expected
