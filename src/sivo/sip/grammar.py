"""The few pieces of RFC 3261 §25 grammar that every header shares: tokens, quoted strings, lists, parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sivo.sip.errors import SipParseError

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_\-.]{0,253})|\[[0-9A-Fa-f:.]{2,45}\])\Z")
#: What a parameter value may be without quotes: token or host (IPv6 addresses with or without brackets).
_PLAIN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~\[\]:]+\Z")

#: Parameters that stand in nearly every message.
_USUAL = frozenset(("branch", "expires", "lr", "received", "rport", "tag", "transport"))

#: A parameter without a value maps to None.
Params = dict[str, str | None]


def is_token(text: str) -> bool:
    """Whether ``text`` is a ``token``."""
    return _TOKEN.match(text) is not None


def is_host(text: str) -> bool:
    """Whether ``text`` can stand where a host name, IPv4 address or bracketed IPv6 reference stands."""
    return _HOST.match(text) is not None


def split_outside(text: str, separator: str) -> list[str]:
    """Split at ``separator``, but not inside quotes or angle brackets; parts are stripped, empty parts dropped.

    An unclosed quote or bracket runs to the end: the part is left for its own parser to refuse.
    """
    if '"' not in text and "<" not in text:
        return [part for raw in text.split(separator) if (part := raw.strip())]
    parts: list[str] = []
    start = i = 0
    quoted = angled = False
    while i < len(text):
        char = text[i]
        if quoted and char == "\\":
            i += 1
        elif char == '"' and not angled:
            quoted = not quoted
        elif not quoted and char == "<":
            angled = True
        elif not quoted and char == ">":
            angled = False
        elif char == separator and not quoted and not angled:
            if part := text[start:i].strip():
                parts.append(part)
            start = i + 1
        i += 1
    if part := text[start:].strip():
        parts.append(part)
    return parts


def unquote(text: str) -> str:
    """The content of a quoted string; other text comes back as it is."""
    if len(text) >= 2 and text[0] == '"' and text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def quote(text: str) -> str:
    """``text`` as a quoted string. Line breaks cannot be quoted and become spaces."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\r", " ").replace("\n", " ").replace("\0", " ") + '"'


def parse_params(text: str, header: str, separator: str = ";") -> Params:
    """``;a=b;c`` as a dict; names are lower-cased, values keep their form but lose their quotes.

    Raises SipParseError for a name that is no token. The first of two equal names wins.
    """
    params: Params = {}
    if not text:
        return params
    for part in split_outside(text, separator):
        name, has_value, value = part.partition("=")
        name = name.strip().lower()
        if name not in _USUAL and not is_token(name):
            raise SipParseError(f"bad parameter name {name[:40]!r}", header)
        value = value.strip()
        params.setdefault(name, (unquote(value) if '"' in value else value) if has_value else None)
    return params


def format_params(params: Mapping[str, str | None]) -> str:
    """``;a=b;c``; values that are neither token nor host are quoted."""
    out = []
    for name, value in params.items():
        if value is None:
            out.append(f";{name}")
        else:
            out.append(f";{name}={value if _PLAIN.match(value) else quote(value)}")
    return "".join(out)


def parse_number(text: str, header: str, limit: int) -> int:
    """A decimal number of at most ``limit``; raises SipParseError naming ``header``."""
    text = text.strip()
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else -1
    if not 0 <= number <= limit:
        raise SipParseError(f"{text[:40]!r} is not a number up to {limit}", header)
    return number
