from __future__ import annotations

import pytest

from simulator.who_said_it import WhoSaidIt

SAID = {
    "Ada": ["ok then", "fine by me", "no idea"],
    "Bo": ["Wonderful!!! See you!", "Oh no!!! Really?!", "Great news!"],
}
LATER = {"Ada": ["maybe then"], "Bo": ["Really great!!!"]}


def test_people_are_told_apart_by_how_they_write() -> None:
    assert WhoSaidIt.learn(SAID).accuracy(LATER) == 1


def test_each_person_counts_alike_and_an_empty_reply_is_nobodys() -> None:
    judge = WhoSaidIt.learn(SAID)
    assert judge.accuracy({"Ada": ["ok then", "", "ok", "fine"], "Bo": ["Great!!!"]}) == 0.875
    assert judge.who(" ") is None
    assert judge.accuracy({"Ada": ["Great news!!!"], "Bo": ["fine then"]}) == 0


def test_who_writes_more_is_not_favoured() -> None:
    many = {"Ada": SAID["Ada"] * 50, "Bo": SAID["Bo"]}
    assert WhoSaidIt.learn(many).accuracy(LATER) == 1


def test_one_person_alone_cannot_be_told_apart() -> None:
    with pytest.raises(ValueError, match="told apart"):
        WhoSaidIt.learn({"Ada": ["ok"], "Bo": []})
