"""The rules model: from a system message and a history to the answer a real model would be asked for."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest

from sivo.ai.prompt import system_message
from sivo.media.protocol import ConversationSpec, Intent, Stage
from sivo.speech import rules

AGENT = json.loads(files("sivo.demo").joinpath("agent.json").read_text())
STAGE = Stage(protocol="openai", base_url="http://127.0.0.1/v1", model="m")


def system(
    language: str = "en", transfer_to: str = "100", intents: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The real system message of the prompt builder, so that both sides of the seam are under test."""
    chosen = AGENT["intents"] if intents is None else intents
    spec = ConversationSpec(
        agent_id="a",
        agent_name="A",
        prompt="You answer. INTENTS_JSON: is a trap in the tenant's own text.",
        greeting="Hi",
        language=language,
        stt=STAGE,
        llm=STAGE,
        tts=STAGE,
        transfer_to=transfer_to,
        intents=[Intent(**intent) for intent in chosen],
    )
    return {"role": "system", "content": system_message(spec)}


def talk(start: dict[str, Any], *said: str) -> list[dict[str, Any]]:
    """Say one sentence after the other; every answer, with the history kept as the engine keeps it."""
    messages, answers = [start], []
    for text in said:
        messages.append({"role": "user", "content": text})
        answer = rules.answer(messages)
        answers.append(json.loads(answer))
        messages.append({"role": "assistant", "content": answer})
    return answers


def names(*said: str, **how: Any) -> list[str]:
    return [answer["variables"]["_intent"] for answer in talk(system(**how), *said)]


def test_the_demo_conversation() -> None:
    answers = talk(
        system(),
        "i would like to check the status of my last order",
        "excuse me when will it arrive",
        "yes",
        "no thank you goodbye",
    )
    assert [answer["variables"]["_intent"] for answer in answers] == [
        "order_status",
        "delivery_time",
        "confirm_email",
        "goodbye",
    ]
    assert [answer["action"] for answer in answers] == ["continue", "continue", "continue", "hangup"]
    assert answers[0]["variables"]["order"] == "4711"
    assert answers[0]["response"] == AGENT["intents"][0]["reply"]
    assert list(answers[0]) == ["response", "action", "variables"]


def test_yes_means_nothing_before_a_question_and_depends_on_which_one() -> None:
    assert names("yes") == ["_unknown"]
    assert names("where is my order", "yes", "yes") == ["order_status", "confirm_email", "something_else"]
    assert names("where is my order", "no", "no") == ["order_status", "decline_email", "nothing_else"]


@pytest.mark.parametrize(
    ("said", "intent"),
    [
        ("could you tell me where my order is", "order_status"),
        ("has my last order been shipped", "order_status"),
        ("please track my package", "order_status"),
        ("I want to know when my package will arrive", "delivery_time"),
        ("let me speak to somebody", "transfer"),
        ("could you transfer me to a representative please", "transfer"),
        ("okay bye bye", "goodbye"),
        ("the weather is nice today", "_unknown"),
        ("i would like to", "_unknown"),
        ("", "_unknown"),
        ("4711", "_unknown"),
    ],
)
def test_other_wordings(said: str, intent: str) -> None:
    assert names(said) == [intent]


def test_two_misses_offer_a_transfer_that_yes_accepts() -> None:
    answers = talk(system(), "blue cheese", "green cheese", "yes")
    assert [answer["variables"]["_intent"] for answer in answers] == ["_unknown", "_offer_transfer", "_transfer"]
    assert [answer["action"] for answer in answers] == ["continue", "continue", "transfer"]
    assert names("blue cheese", "green cheese", "no")[-1] == "_go_on"
    assert names("blue cheese", "green cheese", "where is my order")[-1] == "order_status"


def test_an_understood_turn_resets_the_misses() -> None:
    assert names("blue cheese", "where is my order", "green cheese")[-1] == "_unknown"


def test_two_misses_say_goodbye_when_nobody_can_be_transferred_to() -> None:
    intents = [intent for intent in AGENT["intents"] if intent["name"] != "transfer"]
    answers = talk(system(transfer_to="", intents=intents), "blue cheese", "green cheese")
    assert answers[-1]["action"] == "hangup"


@pytest.mark.parametrize(
    ("language", "again"),
    [
        ("es", "Perdone"),
        ("de", "Entschuldigung"),
        ("fr", "Pardon"),
        ("it", "Mi scusi"),
        ("pt", "Desculpe"),
        ("en", "I am"),
    ],
)
def test_it_asks_again_in_the_language_of_the_agent(language: str, again: str) -> None:
    assert talk(system(language=language), "qwertz")[0]["response"].startswith(again)


def test_phrases_in_other_languages_match_without_accents() -> None:
    intents = [{"name": "pedido", "phrases": ["¿Dónde está mi pedido?"], "reply": "En camino."}]
    assert talk(system(language="es", intents=intents), "donde esta mi pedido")[0]["response"] == "En camino."


def test_history_that_is_not_in_our_form_is_no_obstacle() -> None:
    messages = [
        system(),
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "plain words"},
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": '["list"]'},
        {"role": "user", "content": "where is my order"},
    ]
    assert json.loads(rules.answer(messages))["variables"]["_intent"] == "order_status"


def test_a_damaged_intent_block_is_named() -> None:
    with pytest.raises(ValueError, match="INTENTS_JSON"):
        rules.intents_in("INTENTS_JSON:\n{not json")
    assert rules.intents_in("no block at all") == []
