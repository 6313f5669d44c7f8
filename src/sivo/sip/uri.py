"""SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from urllib.parse import quote, unquote

from sivo.sip.errors import SipParseError
from sivo.sip.grammar import is_host
from sivo.sip.peer import DEFAULT_PORT, DEFAULT_TLS_PORT, Peer, unbracketed

_MAX_URI = 2048
_USER_SAFE = "-_.!~*'()&=+$,;?/"
#: Text that needs no escape anywhere.
_PLAIN = re.compile(r"[A-Za-z0-9_.+-]*").fullmatch
_PARAM_SAFE = "-_.!~*'()[]/:&+$"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*\Z")
_FORBIDDEN = re.compile(r'[\x00-\x20\x7f<>"]')
#: Parameters that make two URIs different when only one of them has it (§19.1.4).
_SIGNIFICANT = ("user", "ttl", "method", "maddr", "transport")


@dataclass(frozen=True, slots=True, eq=False)
class Uri:
    """One URI. ``user`` and parameter values are unescaped (but for ``%00``).

    For schemes other than sip and sips all that follows the colon stands in ``user`` (for ``tel`` without its
    parameters) and ``host`` is empty.

    Equality follows §19.1.4: host and parameter names without case, user with case, default ports not equal to none.
    """

    scheme: str
    user: str | None
    host: str
    port: int | None = None
    params: Mapping[str, str | None] = field(default_factory=dict)
    headers: str = ""
    password: str | None = None
    #: As it is written, once somebody has asked: the same few are written again and again.
    _text: str | None = field(default=None, init=False, repr=False)

    @classmethod
    def parse(cls, text: str, header: str = "URI") -> Uri:
        """Read a URI; ``header`` is named in the SipParseError."""
        text = text.strip()
        return _cached(text, header) if len(text) <= 256 else _parse(text, header)

    @property
    def is_sip(self) -> bool:
        """Whether this is a sip or sips URI, the only ones a request can be sent to."""
        return self.scheme in ("sip", "sips")

    @property
    def loose(self) -> bool:
        """Whether the ``lr`` parameter marks a loose router (§16.12)."""
        return "lr" in self.params

    def peer(self) -> Peer:
        """Where a request for this URI goes without DNS: host (or maddr), port or its default, transport."""
        transport = (self.params.get("transport") or ("TLS" if self.scheme == "sips" else "UDP")).upper()
        default = DEFAULT_TLS_PORT if transport == "TLS" or self.scheme == "sips" else DEFAULT_PORT
        return Peer(unbracketed(self.params.get("maddr") or self.host), self.port or default, transport)

    def bare(self) -> Uri:
        """Scheme, user, host and port only: an address of record."""
        return Uri(self.scheme, self.user, self.host, self.port)

    def replace(self, **changes: object) -> Uri:
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def without_headers(self) -> Uri:
        """As a Request-URI: what follows the ``?`` is no part of it (§19.1.1)."""
        return self.replace(headers="") if self.headers else self

    def __str__(self) -> str:
        if self._text is None:
            object.__setattr__(self, "_text", self._write())
        return self._text or ""

    def _write(self) -> str:
        params = "" if not self.params else _written(self.params)
        if not self.is_sip:
            return f"{self.scheme}:{self.user or ''}{params}"
        user = ""
        if self.user is not None:
            user = _escape(self.user, _USER_SAFE)
            if self.password is not None:
                user += ":" + _escape(self.password, _USER_SAFE)
            user += "@"
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}:{user}{self.host}{port}{params}" + (f"?{self.headers}" if self.headers else "")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Uri):
            return NotImplemented
        if self._fixed() != other._fixed():
            return False
        for name in self.params.keys() | other.params.keys():
            mine, theirs = (u.params.get(name, "\0absent") for u in (self, other))
            if "\0absent" in (mine, theirs):
                if name in _SIGNIFICANT:
                    return False
            elif (mine or "").lower() != (theirs or "").lower():
                return False
        return True

    def __hash__(self) -> int:
        return hash(self._fixed())

    def _fixed(self) -> tuple[object, ...]:
        headers = frozenset(part.lower() for part in self.headers.split("&"))
        return (self.scheme, self.user, self.password, self.host.lower(), self.port, headers)


def _written(params: Mapping[str, str | None]) -> str:
    return "".join(
        f";{_escape(name, _PARAM_SAFE)}" + ("" if value is None else f"={_escape(value, _PARAM_SAFE)}")
        for name, value in params.items()
    )


def _unescape(text: str) -> str:
    """Without percent escapes. ``%00`` stays as it is: a NUL in a text is poison for databases and logs."""
    return unquote(text).replace("\0", "%00") if "%" in text else text


def _escape(text: str, safe: str) -> str:
    if _PLAIN(text):  # most are: numbers, names of parameters
        return text
    return quote(text, safe=safe).replace("%2500", "%00")


def _parse(text: str, header: str) -> Uri:
    scheme, colon, rest = text.partition(":")
    if len(text) > _MAX_URI or not colon or not _SCHEME.match(scheme) or not rest or _FORBIDDEN.search(text):
        raise SipParseError(f"{text[:60]!r} is not a URI", header)
    scheme = scheme.lower()
    if scheme == "tel":
        number, *parts = rest.split(";")
        return Uri(scheme, number, "", params=_params(parts, header))
    if scheme not in ("sip", "sips"):
        return Uri(scheme, rest, "")
    # The user part may hold ";" and "?" (§25.1), never "@" unescaped: cut it off first.
    userinfo, at, hostpart = rest.rpartition("@")
    user: str | None = None
    password: str | None = None
    if at:
        name, has_password, secret = userinfo.partition(":")
        user, password = _unescape(name), _unescape(secret) if has_password else None
        if not name or "@" in userinfo:
            raise SipParseError(f"bad user part in {text[:60]!r}", header)
    hostpart, _, headers = hostpart.partition("?")
    hostport, *parts = hostpart.split(";")
    host, port = parse_hostport(hostport, header)
    return Uri(scheme, user, host, port, _params(parts, header), headers, password)


_cached = lru_cache(maxsize=1024)(_parse)


def parse_hostport(text: str, header: str) -> tuple[str, int | None]:
    """``host[:port]`` with IPv6 in brackets; raises SipParseError naming ``header``."""
    text = text.strip()
    if text.startswith("["):
        host, bracket, tail = text.partition("]")
        host += bracket
        port_text = tail[1:] if tail.startswith(":") else tail
        has_port = bool(tail)
        if tail and not tail.startswith(":"):
            raise SipParseError(f"bad host {text[:60]!r}", header)
    else:
        host, colon, port_text = text.partition(":")
        host, port_text, has_port = host.strip(), port_text.strip(), bool(colon)
    if not is_host(host):
        raise SipParseError(f"bad host {host[:60]!r}", header)
    if not has_port:
        return host, None
    if not (port_text.isascii() and port_text.isdigit()) or len(port_text) > 5 or not 0 < int(port_text) < 65536:
        raise SipParseError(f"bad port {port_text[:20]!r}", header)
    return host, int(port_text)


def _params(parts: list[str], header: str) -> dict[str, str | None]:
    params: dict[str, str | None] = {}
    for part in parts:
        name, has_value, value = part.partition("=")
        name = _unescape(name.strip()).lower()
        if not name:
            if part:
                raise SipParseError("a URI parameter without a name", header)
            continue
        params.setdefault(name, _unescape(value) if has_value else None)
    return params
