"""Keys for SRTP in a session description: ``a=crypto`` (RFC 4568, suites of RFC 7714 too).

A line is taken when everything in it is understood: one inline key of the suite's length, no MKI, no parameter that
changes what is protected. Other lines are passed over, as §5.1.2 wants it. Keys never stand in a ``repr``.
"""

from __future__ import annotations

import binascii
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from enum import StrEnum

from sivo.sip.sdp import Media

#: Suites by name with bytes of master key and salt together, in the order in which we offer them.
SUITES = {
    "AEAD_AES_256_GCM": 44,
    "AEAD_AES_128_GCM": 28,
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
}
PROTECTED = ("RTP/SAVP", "RTP/SAVPF")
CLEAR = ("RTP/AVP", "RTP/AVPF")
#: Lines that are read of one section.
_MOST = 16


class SrtpPolicy(StrEnum):
    """Whether a phone's audio is protected: never, where it can, or else there is no call."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Crypto:
    """One ``a=crypto`` line. ``key`` is master key and salt behind each other, raw."""

    tag: int
    suite: str
    key: bytes = field(repr=False)

    @classmethod
    def fresh(cls, tag: int, suite: str) -> Crypto:
        """A line with a new key."""
        return cls(tag, suite, secrets.token_bytes(SUITES[suite]))

    @classmethod
    def parse(cls, value: str) -> Crypto | None:
        """Read the value of an attribute; None for one that is to be passed over."""
        tag, suite, *params = [*value.split(), "", ""]
        params = [param for param in params if param]
        key = _inline(params[0]) if params else None
        known = tag.isascii() and tag.isdigit() and len(tag) <= 9 and suite.upper() in SUITES
        if not known or key is None or len(key) != SUITES[suite.upper()] or not all(map(_harmless, params[1:])):
            return None
        return cls(int(tag), suite.upper(), key)

    def __str__(self) -> str:
        return f"{self.tag} {self.suite} inline:{b64encode(self.key).decode()}"


@dataclass(frozen=True, slots=True)
class StreamKeys:
    """What was agreed for one stream: the suite, our key and the peer's."""

    suite: str
    ours: bytes = field(repr=False)
    theirs: bytes = field(repr=False)


def crypto_of(media: Media) -> list[Crypto]:
    """The lines of a section that can be taken, in its order."""
    values = [value for name, value in media.attributes if name == "crypto" and value][:_MOST]
    return [line for value in values if (line := Crypto.parse(value)) is not None]


def _inline(text: str) -> bytes | None:
    """Key and salt of ``inline:key|lifetime``. A lifetime is let be: ours and any that a phone names is longer than
    a call (§6.1, at least 2**20 packets in practice)."""
    method, _, value = text.partition(":")
    key, *more = value.split("|")
    if method.lower() != "inline" or ";" in text or any(":" in part for part in more):  # several keys, or an MKI
        return None
    try:
        return b64decode(key + "=" * (-len(key) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def _harmless(param: str) -> bool:
    """Session parameters (§6.3) that change nothing for us: a hint on the window, and what may be ignored."""
    return param.startswith("-") or param.upper().startswith("WSH=")
