"""What the model must answer, read while it streams: ``{"response", "action", "variables"}``, keys in any order.

``response`` is handed out as it arrives so that it can be spoken at once; the rest counts when the object is whole.
Text that is not JSON is taken as ``response`` with action ``continue``. JSON that turns out broken is never spoken
beyond the piece of ``response`` that was already valid.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

ACTIONS = ("continue", "transfer", "hangup")
_SPACE = " \t\r\n"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}
_FENCE = re.compile(r"^```[a-zA-Z]*\s*")
_FENCE_START = re.compile(r"^`{1,3}[a-zA-Z]*$")
#: More than this much of raw output is not an answer any more.
MAX_CHARS = 64_000


class ContractBroken(ValueError):  # noqa: N818 - it names what happened to the contract
    """The model's output cannot be used; the message says why and quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer of the model."""

    response: str
    action: str = "continue"
    variables: dict[str, Any] = field(default_factory=dict)


class ContractParser:
    """Feed raw model output piece by piece; each call gives the newly known text of ``response``."""

    def __init__(self) -> None:
        self._mode = "start"  # start | json | plain | done
        self._raw = ""  # what is not yet understood
        self._total = 0
        self._response: list[str] = []
        self._members: dict[str, Any] = {}
        self._key: str | None = None
        self._expect = "key"  # key | colon | value | comma
        self._in_response = False
        self._surrogate = ""
        self._scan = _Scan()

    def feed(self, piece: str) -> str:
        """Take a piece of output; returns new text of ``response``. :class:`ContractBroken` when it cannot go on."""
        self._total += len(piece)
        if self._total > MAX_CHARS:
            raise ContractBroken(f"the answer is longer than {MAX_CHARS} characters")
        self._raw += piece
        if self._mode == "start":
            self._decide()
        if self._mode == "plain":
            text, self._raw = self._raw, ""
            self._response.append(text)
            return text
        if self._mode == "json":
            return self._read_object()
        return ""

    def finish(self) -> Answer:
        """No more output comes: the whole answer, or :class:`ContractBroken`."""
        if self._mode == "start":
            raise ContractBroken("the answer is empty" if not self._raw.strip() else "the answer is not an object")
        if self._mode == "plain":
            return Answer("".join(self._response).strip())
        if self._mode != "done":
            raise ContractBroken("the JSON object does not end")
        if not set(self._members) & {"response", "action"}:
            raise ContractBroken("the JSON object has neither response nor action")
        action = self._members.get("action") or "continue"
        if action not in ACTIONS:
            raise ContractBroken("action is not one of continue, transfer, hangup")
        variables = self._members.get("variables") or {}
        if not isinstance(variables, dict):
            raise ContractBroken("variables is not an object")
        return Answer("".join(self._response), action, variables)

    def _decide(self) -> None:
        text = self._raw.lstrip()
        if not text or _FENCE_START.match(text):
            return
        fence = _FENCE.match(text)
        if fence:
            text = text[fence.end() :]
            if not text:
                return
        if text.startswith("{"):
            self._mode, self._raw = "json", text[1:]
        elif re.match(r"\[\s*$", text):
            return  # an audio tag or a list: the next piece tells
        elif re.match(r"\[\s*[\[{\"]", text):
            raise ContractBroken("the answer is a JSON list")
        else:
            self._mode, self._raw = "plain", text

    def _read_object(self) -> str:
        spoken: list[str] = []
        while self._raw:
            if self._in_response:
                if not self._read_response(spoken):
                    break
            elif not self._read_member():
                break
        return "".join(spoken)

    def _read_member(self) -> bool:
        """One step between the parts of the object; False when more output is needed."""
        self._raw = self._raw.lstrip(_SPACE)
        if not self._raw:
            return False
        first = self._raw[0]
        if self._expect in ("key", "comma") and first == "}":
            self._mode, self._raw = "done", ""
            return False
        if self._expect == "comma":
            return self._skip(",", "key")
        if self._expect == "colon":
            return self._skip(":", "value")
        if self._expect == "key":
            return self._read_key()
        if self._key == "response" and first == '"':
            self._in_response, self._raw = True, self._raw[1:]
            return True
        return self._read_value()

    def _skip(self, sign: str, then: str) -> bool:
        if self._raw[0] != sign:
            raise ContractBroken(f"{sign!r} expected in the JSON object")
        self._raw, self._expect = self._raw[1:], then
        return True

    def _read_key(self) -> bool:
        if self._raw[0] != '"':
            raise ContractBroken("a key in double quotes expected in the JSON object")
        end = self._scan.end(self._raw)
        if end is None:
            return False
        self._scan = _Scan()
        self._key = str(_loads(self._raw[:end]))
        self._raw, self._expect = self._raw[end:], "colon"
        return True

    def _read_value(self) -> bool:
        end = self._scan.end(self._raw)
        if end is None:
            return False
        self._scan = _Scan()
        value = _loads(self._raw[:end])
        if self._key == "response":
            if value is not None:
                raise ContractBroken("response is not a string")
            value = ""
        self._members[self._key or ""] = value
        self._raw, self._expect = self._raw[end:], "comma"
        return True

    def _read_response(self, spoken: list[str]) -> bool:
        """Decode the response string as far as it has come; False when more output is needed."""
        out: list[str] = []
        position, done = 0, False
        while position < len(self._raw):
            sign = self._raw[position]
            if sign == '"':
                position, done = position + 1, True
                break
            if sign != "\\":
                end = _run_end(self._raw, position)
                out.append(self._flush_surrogate() + self._raw[position:end])
                position = end
                continue
            length = 6 if self._raw[position + 1 : position + 2] == "u" else 2
            if len(self._raw) < position + length:
                break
            out.append(self._escape(self._raw[position : position + length]))
            position += length
        self._raw = self._raw[position:]
        if done:
            out.append(self._flush_surrogate())
            self._in_response, self._expect = False, "comma"
            self._members["response"] = True
        text = "".join(out)
        self._response.append(text)
        spoken.append(text)
        return done

    def _escape(self, escape: str) -> str:
        if escape[1] != "u":
            if escape[1] not in _ESCAPES:
                raise ContractBroken("an unknown escape in response")
            return self._flush_surrogate() + _ESCAPES[escape[1]]
        try:
            code = int(escape[2:], 16)
        except ValueError as error:
            raise ContractBroken("a broken \\u escape in response") from error
        if 0xD800 <= code < 0xDC00:
            lone = self._flush_surrogate()
            self._surrogate = chr(code)
            return lone
        if 0xDC00 <= code < 0xE000:
            high, self._surrogate = self._surrogate, ""
            if not high:
                return "\ufffd"
            return chr(0x10000 + ((ord(high) - 0xD800) << 10) + (code - 0xDC00))
        return self._flush_surrogate() + chr(code)

    def _flush_surrogate(self) -> str:
        lone, self._surrogate = self._surrogate, ""
        return "\ufffd" if lone else ""


def _run_end(text: str, start: int) -> int:
    """Where plain characters of a JSON string end."""
    ends = [place for place in (text.find('"', start), text.find("\\", start)) if place >= 0]
    return min(ends, default=len(text))


class _Scan:
    """Finds where a JSON value ends, going on where it stopped: long values must not be read again for every piece."""

    def __init__(self) -> None:
        self._position = self._depth = 0
        self._in_string = False

    def end(self, text: str) -> int | None:
        """Length of the value at the start of ``text`` (the same as before, or longer), or None while it goes on."""
        while self._position < len(text):
            place, sign = self._position, text[self._position]
            if self._in_string:
                if sign == "\\":
                    self._position += 2
                    continue
                self._in_string = sign != '"'
                if not self._in_string and self._depth == 0:
                    return place + 1
            elif (found := self._outside(place, sign)) is not None:
                return found
            self._position += 1
        return None

    def _outside(self, place: int, sign: str) -> int | None:
        if sign == '"':
            self._in_string = True
        elif sign in "{[":
            self._depth += 1
        elif sign in "}]":
            if self._depth == 0:
                return place
            self._depth -= 1
            if self._depth == 0:
                return place + 1
        elif self._depth == 0 and (sign == "," or (sign in _SPACE and place)):
            return place
        return None


def _loads(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except ValueError as error:
        raise ContractBroken("a value in the JSON object cannot be read") from error
