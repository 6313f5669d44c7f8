"""Session descriptions (RFC 4566): what an SDP body says, line by line, and back.

Reading keeps what it does not understand (attributes, bandwidth, formats of other media), so that a parsed
description is written again with the same meaning. Raises SipParseError with header ``SDP``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sivo.sip.errors import SipParseError
from sivo.sip.grammar import is_token, parse_number

MAX_MEDIA = 32
MAX_LINES = 1000
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
#: Static payload types of RFC 3551 that carry no rtpmap.
STATIC = {0: "PCMU/8000", 3: "GSM/8000", 4: "G723/8000", 8: "PCMA/8000", 9: "G722/8000", 13: "CN/8000", 18: "G729/8000"}

_ORDER = "vosiuepcbtrzka"


@dataclass(frozen=True, slots=True)
class Origin:
    """``o=``: who made the description and in which version."""

    username: str = "-"
    session_id: str = "0"
    version: str = "0"
    address: str = "127.0.0.1"

    @classmethod
    def parse(cls, value: str) -> Origin:
        parts = value.split()
        if len(parts) != 6 or parts[3] != "IN" or parts[4] not in ("IP4", "IP6"):
            raise SipParseError(f"o={value[:60]!r} has not six fields of the internet", "SDP")
        for number in parts[1:3]:
            if not (number.isascii() and number.isdigit()):
                raise SipParseError(f"o= with session id or version {number[:20]!r}", "SDP")
        return cls(parts[0], parts[1], parts[2], parts[5])

    def __str__(self) -> str:
        return f"{self.username} {self.session_id} {self.version} IN {_family(self.address)} {self.address}"


@dataclass(slots=True)
class Media:
    """One ``m=`` section. ``attributes`` are name and value (None for flags) in order; ``connection`` is the address
    of its own ``c=`` line or None; ``other`` holds i=, b= and k= lines as they came."""

    kind: str
    port: int
    protocol: str
    formats: list[str]
    connection: str | None = None
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    other: list[tuple[str, str]] = field(default_factory=list)
    port_count: int = 1
    _codecs: list[tuple[int, str]] | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, value: str) -> Media:
        parts = value.split()
        if len(parts) < 4 or not is_token(parts[0]):
            raise SipParseError(f"m={value[:60]!r} is incomplete", "SDP")
        port, _, count = parts[1].partition("/")
        return cls(
            kind=parts[0].lower(),
            port=parse_number(port, "SDP", 65535),
            protocol=parts[2].upper(),
            formats=parts[3:],
            port_count=parse_number(count, "SDP", 65535) if count else 1,
        )

    def attribute(self, name: str) -> str | None:
        """The value of the first attribute ``name``; empty for a flag, None if it is not there."""
        for known, value in self.attributes:
            if known == name:
                return value or ""
        return None

    @property
    def direction(self) -> str | None:
        """The direction attribute of this section, or None."""
        return next((name for name, value in self.attributes if name in DIRECTIONS and value is None), None)

    def codecs(self) -> list[tuple[int, str]]:
        """Payload type and ``name/rate`` in upper case, in order of preference; formats without a mapping are left out.
        Asked for when the section is complete."""
        if self._codecs is None:
            self._codecs = self._mapped()
        return self._codecs

    def _mapped(self) -> list[tuple[int, str]]:
        maps = dict(STATIC)
        for name, value in self.attributes:
            if name == "rtpmap" and value:
                number, _, mapping = value.partition(" ")
                if number.isascii() and number.isdigit() and len(number) <= 3 and mapping.strip():
                    encoding, _, rest = mapping.strip().upper().partition("/")
                    maps[int(number)] = f"{encoding}/{rest.partition('/')[0] or '8000'}"
        numbers = [int(text) for text in self.formats if text.isascii() and text.isdigit() and len(text) <= 3]
        return [(number, maps[number]) for number in numbers if number in maps]

    def __str__(self) -> str:
        count = f"/{self.port_count}" if self.port_count > 1 else ""
        lines = [f"m={self.kind} {self.port}{count} {self.protocol} {' '.join(self.formats)}"]
        lines += [f"i={value}" for letter, value in self.other if letter == "i"]
        if self.connection is not None:
            lines.append(_connection_line(self.connection))
        lines += [f"{letter}={value}" for letter, value in self.other if letter != "i"]
        lines += [f"a={name}" if value is None else f"a={name}:{value}" for name, value in self.attributes]
        return "".join(f"{line}\r\n" for line in lines)


@dataclass(slots=True)
class SessionDescription:
    """A whole description. ``other`` holds the session's lines that have no field of their own, in order."""

    origin: Origin = field(default_factory=Origin)
    name: str = "-"
    connection: str | None = None
    attributes: list[tuple[str, str | None]] = field(default_factory=list)
    media: list[Media] = field(default_factory=list)
    timing: str = "0 0"
    other: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def parse(cls, body: bytes) -> SessionDescription:
        """Read an SDP body. CRLF or LF; ``v``, ``o`` and at least ``s`` or ``t`` may stand in any order, but
        a description without ``v=0`` and ``o=`` is refused."""
        return _Reader().read(body)

    @property
    def direction(self) -> str | None:
        """The session's direction attribute, or None."""
        return next((name for name, value in self.attributes if name in DIRECTIONS and value is None), None)

    def address_of(self, media: Media) -> str | None:
        """The connection address that is valid for ``media``."""
        return media.connection if media.connection is not None else self.connection

    def direction_of(self, media: Media) -> str:
        """The direction that is valid for ``media`` (RFC 4566 §6: sendrecv by default)."""
        return media.direction or self.direction or "sendrecv"

    def __str__(self) -> str:
        lines = ["v=0", f"o={self.origin}", f"s={self.name or '-'}"]
        lines += [f"{letter}={value}" for letter, value in self.other if letter in "iuep"]
        if self.connection is not None:
            lines.append(_connection_line(self.connection))
        lines += [f"{letter}={value}" for letter, value in self.other if letter == "b"]
        lines.append(f"t={self.timing}")
        lines += [f"{letter}={value}" for letter, value in self.other if letter in "rzk"]
        lines += [f"a={name}" if value is None else f"a={name}:{value}" for name, value in self.attributes]
        return "".join(f"{line}\r\n" for line in lines) + "".join(str(media) for media in self.media)

    def __bytes__(self) -> bytes:
        return str(self).encode("utf-8", "replace")


class _Reader:
    """Reads line by line into a description and its current media section."""

    def __init__(self) -> None:
        self.sdp = SessionDescription()
        self.seen: set[str] = set()

    def read(self, body: bytes) -> SessionDescription:
        lines = body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if len(lines) > MAX_LINES:
            raise SipParseError(f"more than {MAX_LINES} lines", "SDP")
        for raw in lines:
            if line := raw.rstrip():
                self._line(line)
        for letter in "vo":
            if letter not in self.seen:
                raise SipParseError(f"{letter}= is missing", "SDP")
        return self.sdp

    def _line(self, line: str) -> None:
        letter, value = line[:1], line[2:]
        if line[1:2] != "=" or not (letter.isascii() and letter.islower()) or "\0" in line:
            raise SipParseError(f"{line[:40]!r} is no SDP line", "SDP")
        if letter == "m":
            if len(self.sdp.media) >= MAX_MEDIA:
                raise SipParseError(f"more than {MAX_MEDIA} media", "SDP")
            self.sdp.media.append(Media.parse(value))
        elif self.sdp.media:
            self._in_media(self.sdp.media[-1], letter, value)
        else:
            self._in_session(letter, value)

    def _in_session(self, letter: str, value: str) -> None:
        if letter in "vo" and letter in self.seen:
            raise SipParseError(f"{letter}= stands more than once", "SDP")
        self.seen.add(letter)
        if letter == "v":
            if value.strip() != "0":
                raise SipParseError(f"version {value[:10]!r}", "SDP")
        elif letter == "o":
            self.sdp.origin = Origin.parse(value)
        elif letter == "s":
            self.sdp.name = value
        elif letter == "t":
            self.sdp.timing = value
        elif letter == "c":
            self.sdp.connection = _connection(value)
        elif letter == "a":
            self.sdp.attributes.append(_attribute(value))
        elif letter in _ORDER:
            self.sdp.other.append((letter, value))

    @staticmethod
    def _in_media(media: Media, letter: str, value: str) -> None:
        if letter == "c":
            media.connection = media.connection or _connection(value)
        elif letter == "a":
            media.attributes.append(_attribute(value))
        elif letter in "ibk":
            media.other.append((letter, value))


def _attribute(value: str) -> tuple[str, str | None]:
    name, has_value, rest = value.partition(":")
    name = name.strip()
    if not name:
        raise SipParseError("an attribute without a name", "SDP")
    return name, rest.strip() if has_value else None


def _connection(value: str) -> str:
    parts = value.split()
    if len(parts) != 3 or parts[0] != "IN" or parts[1] not in ("IP4", "IP6"):
        raise SipParseError(f"c={value[:60]!r} is no internet address", "SDP")
    return parts[2].partition("/")[0]


def _connection_line(address: str) -> str:
    return f"c=IN {_family(address)} {address}"


def _family(address: str) -> str:
    return "IP6" if ":" in address else "IP4"
