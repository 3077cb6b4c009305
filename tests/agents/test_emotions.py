from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from agents.emotion_chats import ChatLayer
from agents.emotion_head import Head
from agents.emotion_lexicon import Lexicon
from agents.emotions import CHATS_PATH, HEAD_PATH, MAX_TAGS, RARE, EmotionHead
from agents.errors import BadHead
from memory.embedders.hashing import HashingEmbedder
from memory.embedders.minilm import MiniLM
from memory.feelings import CONCEPTS
from memory.ports import ContextTagger


@pytest.fixture(scope="module")
def tagger() -> EmotionHead:
    return EmotionHead.load(MiniLM.load())


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon.load()


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("Thank you so much for driving me there", "gratitude"),
        ("this is hilarious, i can't stop laughing", "amusement"),
        ("I am so angry with the landlord right now", "anger"),
        ("my grandfather passed away last night", "sadness"),
        ("i'm scared of the operation", "fear"),
        ("worked a double shift, completely exhausted", "tiredness"),
        ("the house feels empty, i'm so lonely here", "loneliness"),
        ("do you remember when we were kids and stole the cherries", "nostalgia"),
        ("phew, the scan came back clean", "relief"),
        ("I love you", "love"),
        ("sorry i forgot your birthday, i feel guilty", "guilt"),
        ("I'm so nervous about tomorrow, I can't sleep", "anxiety"),
        ("ugh the printer keeps breaking, so annoying", "frustration"),
        ("I can't wait!! Two more days", "excitement"),
        ("I'm so proud of my daughter, she passed", "pride"),
        ("i hope it will get better soon", "hope"),
        ("😂😂", "amusement"),
        ("🥰", "love"),
    ],
)
def test_plain_feelings_are_found(tagger: EmotionHead, text: str, concept: str) -> None:
    assert tagger.tag([text])[0].get(concept, 0) >= 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the meeting is at 10",
        "the bus leaves from platform 4",
        "+44 20 7946 0000",
        "pick up milk and eggs",
        "ok",
    ],
)
def test_neutral_messages_get_next_to_nothing(tagger: EmotionHead, text: str) -> None:
    assert all(intensity < 5 for intensity in tagger.tag([text])[0].values())


def test_tags_are_few_bounded_and_strongest_first(tagger: EmotionHead) -> None:
    texts = ["AAAAAH I LOVE YOU SO MUCH!!!!!! 😍😭🎉🥳 best day ever, so proud, thank you!!!", "hm", ""]
    for tags in tagger.tag(texts):
        values = list(tags.values())
        assert len(values) <= MAX_TAGS
        assert values == sorted(values, reverse=True)
        assert all(0 < value <= 10 for value in values)


def test_a_shout_is_stronger_and_a_hedge_weaker(tagger: EmotionHead) -> None:
    plain, loud, hedged = tagger.tag(["i'm worried", "I'M SO WORRIED!!!", "i'm a bit worried"])
    assert hedged["anxiety"] < plain["anxiety"] < loud["anxiety"]


def test_order_and_company_do_not_change_a_text(tagger: EmotionHead) -> None:
    texts = ["thanks a million", "", "so sad", "the bus leaves at nine"]
    together = tagger.tag(texts)
    assert together == [tagger.tag([text])[0] for text in texts]
    assert tagger.tag(texts[::-1]) == together[::-1]


def test_negation_silences_a_word(lexicon: Lexicon) -> None:
    assert "tiredness" in lexicon.find("i'm tired")
    assert lexicon.find("i'm not tired") == {}
    assert "joy" in lexicon.find("not now. happy birthday")


def test_a_crying_face_beside_joy_is_no_sadness(lexicon: Lexicon) -> None:
    assert "sadness" in lexicon.find("she's gone 😭")
    moved = lexicon.find("she said yes 🎉😭")
    assert "sadness" not in moved
    assert moved["joy"] >= 7


def test_the_lexicon_knows_every_concept(lexicon: Lexicon) -> None:
    assert set(CONCEPTS) <= lexicon.concepts()


def test_a_word_inside_a_word_is_not_found(lexicon: Lexicon) -> None:
    assert lexicon.find("the shame of retired attire") == lexicon.find("shame")


def test_a_phrase_may_run_over_a_line_and_the_longest_counts(lexicon: Lexicon) -> None:
    assert lexicon.find("thank\nyou so much") == lexicon.find("thank you so much")
    assert lexicon.find("thank you so much") != lexicon.find("thank you")


def test_the_head_is_small() -> None:
    assert HEAD_PATH.stat().st_size + CHATS_PATH.stat().st_size < 4_000_000


def test_what_somebody_else_said_before_counts(tagger: EmotionHead) -> None:
    assert isinstance(tagger, ContextTagger)
    (alone,) = tagger.tag(["me too"])
    (after,) = tagger.tag_after(["me too"], ["haha that was the funniest thing ever 😂"])
    assert after["amusement"] > alone["amusement"] + 1
    assert tagger.tag_after(["me too"], [""]) == [alone]


def test_a_find_that_is_only_in_the_words_is_never_very_strong(tagger: EmotionHead) -> None:
    shouted = "THE NEWSPAPER SAYS IT IS TERRIFYING!!! SCARED!!! SO SCARED!!!"
    (tags,) = tagger.tag([f"{shouted} {shouted}"])
    assert tags
    assert tags.get("fear", 0) >= RARE


def test_a_chat_layer_of_another_head_is_refused() -> None:
    with pytest.raises(BadHead, match="another emotion head"):
        ChatLayer.load(CHATS_PATH, "0" * 64)


def test_another_embedder_is_refused() -> None:
    with pytest.raises(BadHead, match="trained on all-MiniLM-L6-v2"):
        EmotionHead.load(HashingEmbedder(width=384))


def test_a_damaged_head_is_refused(tmp_path: Path) -> None:
    path = tmp_path / HEAD_PATH.name
    shutil.copy(HEAD_PATH.with_suffix(".json"), tmp_path)
    path.write_bytes(HEAD_PATH.read_bytes()[:-8])
    with pytest.raises(BadHead, match="another file"):
        Head.load(path)
    with pytest.raises(BadHead, match="missing or damaged"):
        Head.load(tmp_path / "none.safetensors")
