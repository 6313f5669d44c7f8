"""SRTP and SRTCP of one leg (RFC 3711, RFC 7714): packets in the clear on our side, protected ones on the wire.

libsrtp does the work (pylibsrtp, decision 16): keys are derived there, rollover counters kept, replays refused within a
window of 128 packets. A context belongs to a master key: with a new key (re-INVITE) its rollover counter begins at 0.
"""

from __future__ import annotations

from collections.abc import Callable

from pylibsrtp import Error, Policy, Session

from sivo.media.protocol import SrtpKeys

_PROFILES = {
    "AES_CM_128_HMAC_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "AES_CM_128_HMAC_SHA1_32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AEAD_AES_256_GCM": Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
#: Master key and salt, in bytes (RFC 4568 §6.2, RFC 7714 §14.2).
_LENGTHS = {
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
    "AEAD_AES_128_GCM": 28,
    "AEAD_AES_256_GCM": 44,
}
#: Streams of one peer under one key: each costs memory, and no phone starts so many.
MAX_STREAMS = 64


class SrtpError(ValueError):
    """Not from the peer, changed on the way, repeated, or too old."""


class Srtp:
    """Both directions of one leg. ``ValueError`` for an unknown suite or a key of the wrong length."""

    def __init__(self, keys: SrtpKeys) -> None:
        self.keys = keys
        self._out = _context(keys.suite, keys.ours, Policy.SSRC_ANY_OUTBOUND)
        self._in = _context(keys.suite, keys.theirs, Policy.SSRC_ANY_INBOUND)
        self._streams: set[bytes] = set()

    def renew(self, keys: SrtpKeys) -> bool:
        """Take what a new agreement says; a direction whose key has stayed goes on as it was. True when ours is new:
        what is sent from now on should be a new stream, for peers differ on whether a counter lives on (RFC 3711
        §3.3.1 keeps it, most implementations begin anew)."""
        ours = (keys.suite, keys.ours) != (self.keys.suite, self.keys.ours)
        theirs = (keys.suite, keys.theirs) != (self.keys.suite, self.keys.theirs)
        out = _context(keys.suite, keys.ours, Policy.SSRC_ANY_OUTBOUND) if ours else self._out
        if theirs:
            self._in = _context(keys.suite, keys.theirs, Policy.SSRC_ANY_INBOUND)
            self._streams.clear()
        self._out, self.keys = out, keys
        return ours

    def protect(self, packet: bytes) -> bytes:
        """An RTP packet as it goes out. Raises :class:`SrtpError` when the key is used up (2**48 packets)."""
        try:
            return self._out.protect(packet)
        except (Error, ValueError) as error:
            raise SrtpError(str(error)) from error

    def protect_control(self, packet: bytes) -> bytes:
        """An RTCP packet as it goes out. Raises :class:`SrtpError`."""
        try:
            return self._out.protect_rtcp(packet)
        except (Error, ValueError) as error:
            raise SrtpError(str(error)) from error

    def unprotect(self, data: bytes) -> bytes:
        """The RTP packet in a datagram. Raises :class:`SrtpError`."""
        return self._open(data, data[8:12], self._in.unprotect)

    def unprotect_control(self, data: bytes) -> bytes:
        """The RTCP packet in a datagram. Raises :class:`SrtpError`."""
        return self._open(data, data[4:8], self._in.unprotect_rtcp)

    def _open(self, data: bytes, ssrc: bytes, unprotect: Callable[[bytes], bytes]) -> bytes:
        if len(data) < 12:
            raise SrtpError(f"{len(data)} bytes")
        if ssrc not in self._streams and len(self._streams) >= MAX_STREAMS:
            raise SrtpError(f"more than {MAX_STREAMS} streams under one key")
        try:
            packet = unprotect(data)
        except (Error, ValueError) as error:
            raise SrtpError(str(error)) from error
        self._streams.add(ssrc)
        return packet


def _context(suite: str, key: bytes, direction: int) -> Session:
    if suite not in _PROFILES:
        raise ValueError(f"{suite!r} is no crypto suite that is known here")
    if len(key) != _LENGTHS[suite]:
        raise ValueError(f"{suite} takes {_LENGTHS[suite]} bytes of key and salt, not {len(key)}")
    return Session(Policy(key, direction, srtp_profile=_PROFILES[suite]))
