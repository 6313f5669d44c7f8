"""Sentence cutter, words, context and prompt."""

from __future__ import annotations

import json

import pytest
from timeline import spec

from sivo.ai.context import Context, cut
from sivo.ai.engine.endpointing import hold_ms
from sivo.ai.llm import ThinkFilter
from sivo.ai.phrases import phrases
from sivo.ai.prompt import sample_phrases, system_message
from sivo.ai.sentences import SentenceCutter, clean
from sivo.ai.words import echoes, is_backchannel
from sivo.media.protocol import Intent


def pieces(text: str, size: int = 4) -> list[str]:
    cutter = SentenceCutter("de" if "Mai" in text else "en")
    out: list[str] = []
    for place in range(0, len(text), size):
        out += cutter.feed(text[place : place + size])
    return out + cutter.flush()


@pytest.mark.parametrize("size", [1, 5, 500])
@pytest.mark.parametrize(
    "expected",
    [
        ["Hello.", "How are you?", "Fine!"],
        ["It costs 3.50 euros.", "Is that all right?"],
        ["Dr. Smith, e.g. in the U.S. office.", "Good."],
        ["La Sra. García vive en la Avda. Real.", "¿Le paso?"],
        ["Das ist am 3. Mai um 10 Uhr.", "Passt das?"],
        ["Call +34 91 123 45 67 or 902.123.456 now.", "Bye."],
        ["J. R. Smith is here.", "Yes."],
        ["Wait...", "I see it!"],
        ["He said “stop.”", "Then he left."],
        ["One\n", "Two"],
        ["[laughs. a lot] Well.", "Yes."],
        ["The number of your parcel in our list is 4, 8, 15, 16, 23, 42.", "Good."],
    ],
)
def test_sentences(expected: list[str], size: int) -> None:
    assert pieces(" ".join(expected), size) == [piece.strip() for piece in expected]


def test_the_first_piece_may_end_at_a_comma_from_40_characters_on() -> None:
    text = "I have found your order and it left the warehouse, so it should arrive soon, I think."
    assert pieces(text) == ["I have found your order and it left the warehouse,", "so it should arrive soon, I think."]


def test_what_makes_no_sound_is_no_piece() -> None:
    assert pieces("… ! \n\n --- \n ") == []


def test_a_sentence_without_an_end_is_cut_at_a_space() -> None:
    out = pieces("word " * 200)
    assert all(len(piece) <= 400 for piece in out)
    assert " ".join(out).split() == ["word"] * 200


@pytest.mark.parametrize(
    ("raw", "spoken"),
    [
        ("**Hello** _there_, `you`!", "Hello there, you!"),
        ("# Title\n- one\n- two", "Title one two"),
        ("See [our site](https://x.y/z).", "See our site."),
        ("Great 😀👍🏽 !", "Great!"),
        ("[laughs] That is funny.", "That is funny."),
        ("snake_case stays, 2 * 3 not", "snake_case stays, 2 3 not"),
    ],
)
def test_clean(raw: str, spoken: str) -> None:
    assert clean(raw) == spoken


def test_audio_tags_stay_for_voices_that_know_them() -> None:
    assert clean("[laughs] That is *funny*.", keep_tags=True) == "[laughs] That is funny."


@pytest.mark.parametrize(
    ("text", "language", "yes"),
    [
        ("mhmm", "en", True),
        ("Okay, right.", "en-GB", True),
        ("stop", "en", False),
        ("yes", "en", False),
        ("vale vale", "es", True),
        ("no", "es", False),
        ("", "en", False),
        ("ok but wait", "en", False),
    ],
)
def test_backchannels(text: str, language: str, yes: bool) -> None:
    assert is_backchannel(text, language) is yes


def test_hold_depends_on_the_text() -> None:
    assert hold_ms("Yes.", "en") == 0
    assert hold_ms("yes", "en") == 0
    assert hold_ms("I want to talk about my", "en") == 800
    assert hold_ms("quiero hablar de", "es") == 800
    assert hold_ms("where is my order", "en") == 250
    assert hold_ms("4 5", "en") == 800


def test_echo_is_most_of_the_last_words() -> None:
    said = "Do you want to hear the number of the parcel?"
    assert echoes("number of the parcel", said)
    assert echoes("number off the parcel", said)
    assert not echoes("yes", said)
    assert not echoes("yes the number", "Goodbye.")


def test_cut_keeps_whole_words_that_ended() -> None:
    text = "one two three"
    assert cut(text, 1300, 1300).text == text
    assert cut(text, 1300, 1300).whole
    assert cut(text, 1300, 720).text == "one two"
    assert cut(text, 1300, 690).text == "one"
    assert cut(text, 1300, 690).resume_ms == 400
    assert cut(text, 1300, 100).text == ""
    assert cut(text, 1300, 100).resume_ms == 0


def test_cut_does_not_take_a_beginning_for_the_whole() -> None:
    text = "a sentence of which only the first second was made so far"
    assert len(cut(text, 1000, 1000, complete=False).text) < len(text) / 2


def test_context_holds_json_of_what_was_heard_and_one_user_message_at_a_time() -> None:
    context = Context("system")
    context.agent("Hello.")
    context.user("I want")
    context.user("my order")
    context.agent("It is", "continue", {"_intent": "order"})
    context.agent("")
    context.user("thanks")
    context.agent("Are you there?")
    roles = [message["role"] for message in context.messages()]
    assert roles == ["system", "assistant", "user", "assistant", "user", "assistant"]
    assert context.messages()[2]["content"] == "I want my order"
    last = json.loads(context.messages()[-1]["content"])
    assert last == {"response": "Are you there?", "action": "continue", "variables": {"_intent": "order"}}
    assert context.messages("soon over")[0]["content"] == "system\n\nsoon over"


def test_system_message_has_the_intents_on_one_line() -> None:
    conversation = spec(
        intents=[
            Intent(name="order", phrases=["dónde está", "my\norder"], reply="Line\nbreak", variables={"a": "b"}),
            Intent(name="yes", phrases=["sí", "dónde está"], reply="Bueno", action="hangup", after=["order"]),
        ]
    )
    message = system_message(conversation)
    assert message.startswith("You are Ada.")
    line = message.split("INTENTS_JSON:\n")[1].split("\n")[0]
    intents = json.loads(line)
    assert [intent["name"] for intent in intents] == ["order", "yes"]
    assert set(intents[1]) == {"name", "phrases", "reply", "action", "after", "variables"}
    assert intents[1]["after"] == ["order"]
    assert sample_phrases(conversation) == ["dónde está", "my\norder", "sí"]
    assert "INTENTS_JSON" not in system_message(spec())


def test_transfer_is_only_offered_with_a_target() -> None:
    assert "nobody to transfer to" in system_message(spec())
    assert "nobody to transfer to" not in system_message(spec(transfer_to="200"))


@pytest.mark.parametrize("language", ["en", "es-MX", "de", "fr", "it", "pt", "xx"])
def test_every_language_has_its_phrases(language: str) -> None:
    found = phrases(spec(language=language, closing="**Bye**"))
    assert found.closing == "Bye"
    assert len(set(found.ahead())) == 5


def test_reasoning_is_filtered_only_at_the_start() -> None:
    def run(*parts: str) -> str:
        think = ThinkFilter()
        return "".join(think.feed(part) for part in parts) + think.flush()

    assert run("<think>a", "b</thi", "nk> Hello") == "Hello"
    assert run("Hello <think>") == "Hello "
    assert run("<", "b>") == "<b>"
    assert run("<think>never ends") == ""
