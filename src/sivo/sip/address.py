"""Name-addr and addr-spec (RFC 3261 §20.10): From, To, Contact, Route and their parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from sivo.sip.errors import SipParseError
from sivo.sip.grammar import Params, format_params, parse_params, quote, unquote
from sivo.sip.uri import Uri

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class NameAddr:
    """``"Display" <uri>;params``. ``display`` is unquoted; parameters are those of the header, not of the URI."""

    display: str = ""
    uri: Uri = field(default_factory=lambda: Uri("sip", None, "anonymous.invalid"))
    params: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, header: str = "address") -> NameAddr:
        """Read one address; raises SipParseError naming ``header``."""
        text = text.strip()
        return _cached(text, header) if len(text) <= 512 else _parse(text, header)

    @property
    def tag(self) -> str | None:
        """The dialog tag, or None."""
        return self.params.get("tag")

    def with_tag(self, tag: str | None) -> NameAddr:
        """A copy with this tag (None: without one)."""
        if self.params.get("tag") == tag and (tag is not None or "tag" not in self.params):
            return self
        params = {name: value for name, value in self.params.items() if name != "tag"}
        if tag is not None:
            params["tag"] = tag
        return NameAddr(self.display, self.uri, params)

    def __str__(self) -> str:
        display = f"{quote(self.display)} " if self.display else ""
        return f"{display}<{self.uri}>{format_params(self.params)}"


def _parse(text: str, header: str) -> NameAddr:
    head, closed, tail = text.partition(">")
    if closed and "<" in head and len(head) <= 512 and '"' not in head:
        # Of all the calls between two parties only the tag behind the address is new.
        bare = _bare(head, header)
        return NameAddr(bare.display, bare.uri, _behind(tail.strip(), header))
    return _read(text, header)


def _behind(tail: str, header: str) -> Params:
    if tail and not tail.startswith(";"):
        raise SipParseError(f"unexpected {tail[:20]!r} after the address", header)
    return parse_params(tail, header)


def _read(text: str, header: str) -> NameAddr:
    display = ""
    rest = text
    if match := _QUOTED.match(text):
        display, rest = unquote(match.group()), text[match.end() :].lstrip()
        if not rest.startswith("<"):
            raise SipParseError("a display name without <address>", header)
    if "<" in rest:
        name, _, rest = rest.partition("<")
        uri_text, closed, tail = rest.partition(">")
        if not closed or '"' in name:
            raise SipParseError(f"unclosed quote or bracket in {text[:60]!r}", header)
        uri = Uri.parse(uri_text, header)
        return NameAddr(display or " ".join(name.split()), uri, _behind(tail.strip(), header))
    # addr-spec: parameters after the first ";" belong to the header, not to the URI (§20.10).
    uri_text, _, tail = rest.partition(";")
    if "?" in uri_text or "," in uri_text:
        raise SipParseError(f"{uri_text[:60]!r} has to stand in <>", header)
    return NameAddr("", Uri.parse(uri_text, header), parse_params(tail, header))


@lru_cache(maxsize=1024)
def _bare(head: str, header: str) -> NameAddr:
    return _read(f"{head}>", header)


_cached = lru_cache(maxsize=1024)(_parse)
