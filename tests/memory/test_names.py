from __future__ import annotations

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
