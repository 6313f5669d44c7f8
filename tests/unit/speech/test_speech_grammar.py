"""The grammar that is made of an agent's phrases."""

from __future__ import annotations

import pytest

from sivo.speech import grammar
from sivo.speech.grammar import HESITATIONS, build, words_of

PROMPT = "Where's my order?\ntrack my order\n\nyes please\nwhere's my ORDER\nXylofrobnitz now"


def known(word: str) -> bool:
    return word != "xylofrobnitz"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Where's my order?", ["where's", "my", "order"]),
        ("It’s 4711!", ["it's", "four", "seven", "one", "one"]),
        ("'quoted' e-mail", ["quoted", "e", "mail"]),
        ("¿¡...", []),
    ],
)
def test_words_are_spelled_like_the_dictionary(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_phrases_are_unique_and_an_unknown_word_drops_its_phrase_only() -> None:
    made = build(PROMPT, known)
    assert made.phrases == ("where's my order", "track my order", "yes please")
    assert made.dropped == ("Xylofrobnitz now",)


@pytest.mark.parametrize(
    "text",
    [
        *("track my order", "can you track my order please", "okay could you track my order thank you"),
        *("where's my order", "hello where's my order", "yes please", "no", "yeah"),
    ],
)
def test_whole_sentences(text: str) -> None:
    assert build(PROMPT, known).complete(text)


@pytest.mark.parametrize(
    "text",
    ["", "track my", "track my order can", "could you where's my order", "order", "one two three", "please please"],
)
def test_incomplete_sentences(text: str) -> None:
    assert not build(PROMPT, known).complete(text)


def test_digits_are_heard_only_when_a_phrase_has_some() -> None:
    assert "<digit>" not in build(PROMPT, known).jsgf
    numbers = build("my number is 4711", known)
    assert "<digit>" in numbers.jsgf
    assert numbers.complete("nine oh two one")
    assert not numbers.complete("nine oh")


def test_brief_answers_hold_short_phrases_and_hesitations() -> None:
    brief = build(PROMPT + "\nthis phrase is too long to be a brief answer", known).brief_jsgf
    assert "yes please" in brief
    assert "too long" not in brief
    assert all(sound in brief for sound in HESITATIONS)


def test_phrases_weigh_more_than_everyday_sentences_and_all_words_are_declared() -> None:
    made = build(PROMPT, known)
    assert made.sentences.count("track my order") == 3
    assert made.sentences.count("good morning") == 1
    assert {word for sentence in made.sentences for word in sentence.split()} <= made.words


def test_an_empty_prompt_still_hears_yes_and_no() -> None:
    made = build("", known)
    assert made.phrases == ()
    assert made.complete("yes")
    assert "<verb>" not in made.jsgf


def test_a_huge_prompt_is_bounded() -> None:
    made = build("\n".join(f"phrase {'very ' * 100}{index}" for index in range(2000)), known)
    assert len(made.phrases) <= grammar.MAX_PHRASES
    assert max(len(phrase.split()) for phrase in made.phrases) <= grammar.MAX_WORDS
