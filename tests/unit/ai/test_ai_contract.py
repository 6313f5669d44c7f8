"""The model's answer, read in pieces of every size."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.ai.contract import Answer, ContractBroken, ContractParser


def read(raw: str, size: int) -> tuple[str, Answer]:
    parser = ContractParser()
    spoken = "".join(parser.feed(raw[place : place + size]) for place in range(0, len(raw), size))
    return spoken, parser.finish()


CASES = {
    "usual": ('{"response": "A.", "action": "hangup", "variables": {"a": "1"}}', Answer("A.", "hangup", {"a": "1"})),
    "response last": (
        '{"variables":{"n":[1,{"x":"}"}]},"action":"transfer","response":"Hi"}',
        Answer("Hi", "transfer", {"n": [1, {"x": "}"}]}),
    ),
    "only response": (' {\n "response" : "Hi" \n} ', Answer("Hi")),
    "only action": ('{"action": "transfer"}', Answer("", "transfer")),
    "nulls": ('{"response": null, "action": null, "variables": null}', Answer("")),
    "escapes": (r'{"response": "a\"b\\c\/d\n\u00e9 \ud83d\ude00!"}', Answer('a"b\\c/d\né 😀!')),
    "lone surrogates": (r'{"response": "a\ud83d b\ude00"}', Answer("a\ufffd b\ufffd")),
    "lone surrogate at the end": (r'{"response": "a\ud83d"}', Answer("a\ufffd")),
    "unknown keys": ('{"thought": "no {", "n": -1.5e3, "b": false, "response": "Hi"}', Answer("Hi")),
    "fence": ('```json\n{"response": "Hi"}\n```', Answer("Hi")),
    "text behind the object": ('{"response": "Hi"} and more', Answer("Hi")),
    "raw newline in a value": ('{"variables": {"a": "x\ny"}, "response": "B"}', Answer("B", "continue", {"a": "x\ny"})),
    "plain text": ("Hello, {not json} here.", Answer("Hello, {not json} here.")),
    "plain text with an audio tag": ("[laughs] Hello", Answer("[laughs] Hello")),
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("name", CASES)
def test_answers(name: str, size: int) -> None:
    raw, expected = CASES[name]
    spoken, answer = read(raw, size)
    assert answer == expected
    assert spoken.strip() == expected.response


@pytest.mark.parametrize("size", [1, 1000])
@pytest.mark.parametrize(
    "raw",
    [
        "",
        "   ",
        "{",
        '{"response": "Hello',
        '{"response": "Hello"',
        '{"response": "Hello", ',
        '{"response": 5}',
        '{"response": ["a"]}',
        '{"response": "Hi", "action": "explode"}',
        '{"response": "Hi", "variables": [1]}',
        '{"answer": "Hi"}',
        "{}",
        "{response: 'Hi'}",
        '{"response" "Hi"}',
        '{"response": "a\\x"}',
        '{"response": "a\\u00g0"}',
        '[{"response": "Hi"}]',
        '["Hi"]',
        "[",
        "```json",
    ],
)
def test_broken(raw: str, size: int) -> None:
    with pytest.raises(ContractBroken) as caught:
        read(raw, size)
    assert "Hi" not in str(caught.value), "no model output in messages"


def test_response_is_handed_out_while_it_comes() -> None:
    parser = ContractParser()
    assert parser.feed('{"action": "continue", "resp') == ""
    assert parser.feed('onse": "Good mor') == "Good mor"
    assert parser.feed("ning") == "ning"
    assert parser.feed('."}') == "."


def test_an_endless_answer_is_cut() -> None:
    parser = ContractParser()
    with pytest.raises(ContractBroken, match="longer"):
        for _ in range(100):
            parser.feed("word " * 200)


def test_a_long_value_in_small_pieces_does_not_hold_the_loop() -> None:
    raw = '{"variables": {"a": "' + "x" * 60_000 + '"}, "response": "Hi"}'
    started = time.perf_counter()
    assert read(raw, 2)[0] == "Hi"
    assert time.perf_counter() - started < 3


@given(
    st.text(),
    st.sampled_from(["continue", "transfer", "hangup"]),
    st.dictionaries(st.text(), st.text()),
    st.booleans(),
    st.integers(1, 9),
)
def test_whatever_json_writes_is_read(
    text: str, action: str, variables: dict[str, str], ascii_only: bool, size: int
) -> None:
    text = text.encode("utf-8", "replace").decode()
    raw = json.dumps({"variables": variables, "response": text, "action": action}, ensure_ascii=ascii_only)
    spoken, answer = read(raw, size)
    assert spoken == text
    assert (answer.response, answer.action, answer.variables) == (text, action, variables)
