"""SRTP written down from RFC 3711 and RFC 7714, one packet at a time, as slowly as they read: what the product's
packets are judged by. It shares nothing with the library that the product uses.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TAG = {"AES_CM_128_HMAC_SHA1_80": 10, "AES_CM_128_HMAC_SHA1_32": 4}
KEY = {"AES_CM_128_HMAC_SHA1_80": 16, "AES_CM_128_HMAC_SHA1_32": 16, "AEAD_AES_128_GCM": 16, "AEAD_AES_256_GCM": 32}


def keystream(key: bytes, start: int, size: int) -> bytes:
    """AES in counter mode (§4.1.1); ``start`` is the first counter block."""
    return Cipher(algorithms.AES(key), modes.CTR(start.to_bytes(16, "big"))).encryptor().update(bytes(size))


def derive(master: bytes, salt: bytes, label: int, size: int) -> bytes:
    """A session key (§4.3.1) with a key derivation rate of zero. Salts of 96 bits are filled up (RFC 7714 §11)."""
    x = int.from_bytes(salt.ljust(14, b"\0"), "big") ^ label << 48
    return keystream(master, x << 16, size)


class Stream:
    """One direction under one master key; ``key`` is key and salt as SDES carries them."""

    def __init__(self, suite: str, key: bytes) -> None:
        self.suite = suite
        size = KEY[suite]
        master, salt = key[:size], key[size:]
        self._keys = [derive(master, salt, label, size) for label in (0, 3)]
        self._auth = [derive(master, salt, label, 20) for label in (1, 4)]
        self._salts = [derive(master, salt, label, len(salt)) for label in (2, 5)]
        self.roc = 0
        self._last: int | None = None
        self._control_index = 0

    def _counted(self, packet: bytes) -> int:
        """The packet's index (§3.3.1); the counter follows a sequence that wraps."""
        number = int.from_bytes(packet[2:4], "big")
        if self._last is not None and self._last > 0xC000 and number < 0x4000:
            self.roc += 1
        self._last = number
        return self.roc << 16 | number

    @staticmethod
    def _header(packet: bytes) -> int:
        extension = 4 + 4 * int.from_bytes(packet[14:16], "big") if packet[0] & 0x10 else 0
        return 12 + 4 * (packet[0] & 15) + extension

    def _crypt(self, control: int, ssrc: bytes, index: int, text: bytes) -> bytes:
        salt = int.from_bytes(self._salts[control], "big")
        start = salt << 16 ^ int.from_bytes(ssrc, "big") << 64 ^ index << 16
        stream = keystream(self._keys[control], start, len(text))
        return bytes(a ^ b for a, b in zip(text, stream, strict=True))

    def _nonce(self, control: int, ssrc: bytes, index: int) -> bytes:
        """RFC 7714 §8.1 and §9.1."""
        plain = b"\0\0" + ssrc + index.to_bytes(6, "big")
        return bytes(a ^ b for a, b in zip(plain, self._salts[control], strict=True))

    def _mac(self, control: int, text: bytes) -> bytes:
        tag = 10 if control else TAG[self.suite]  # §5.2: SRTCP is not shortened
        return hmac.new(self._auth[control], text, hashlib.sha1).digest()[:tag]

    def protect(self, packet: bytes) -> bytes:
        """SRTP (§3.1)."""
        index, at = self._counted(packet), self._header(packet)
        head, body, ssrc = packet[:at], packet[at:], packet[8:12]
        if self.suite.startswith("AEAD"):
            return head + AESGCM(self._keys[0]).encrypt(self._nonce(0, ssrc, index), body, head)
        sealed = head + self._crypt(0, ssrc, index, body)
        return sealed + self._mac(0, sealed + (index >> 16).to_bytes(4, "big"))

    def unprotect(self, data: bytes) -> bytes:
        """The packet in the clear; ``ValueError`` when it was changed. The counter has to be right already."""
        index, at = self._counted(data), self._header(data)
        ssrc = data[8:12]
        if self.suite.startswith("AEAD"):
            return data[:at] + AESGCM(self._keys[0]).decrypt(self._nonce(0, ssrc, index), data[at:], data[:at])
        tag = TAG[self.suite]
        sealed = data[:-tag]
        if not hmac.compare_digest(self._mac(0, sealed + (index >> 16).to_bytes(4, "big")), data[-tag:]):
            raise ValueError("the tag is wrong")
        return sealed[:at] + self._crypt(0, ssrc, index, sealed[at:])

    def protect_control(self, packet: bytes) -> bytes:
        """SRTCP (§3.4)."""
        self._control_index += 1
        index, ssrc = self._control_index, packet[4:8]
        trailer = (1 << 31 | index).to_bytes(4, "big")
        if self.suite.startswith("AEAD"):
            sealed = AESGCM(self._keys[1]).encrypt(self._nonce(1, ssrc, index), packet[8:], packet[:8] + trailer)
            return packet[:8] + sealed + trailer
        sealed = packet[:8] + self._crypt(1, ssrc, index, packet[8:]) + trailer
        return sealed + self._mac(1, sealed)

    def unprotect_control(self, data: bytes) -> bytes:
        """The RTCP packet in the clear; ``ValueError`` when it was changed."""
        ssrc = data[4:8]
        if self.suite.startswith("AEAD"):
            trailer = data[-4:]
            index = int.from_bytes(trailer, "big") & 0x7FFFFFFF
            return data[:8] + AESGCM(self._keys[1]).decrypt(self._nonce(1, ssrc, index), data[8:-4], data[:8] + trailer)
        sealed = data[:-10]
        if not hmac.compare_digest(self._mac(1, sealed), data[-10:]):
            raise ValueError("the tag is wrong")
        index = int.from_bytes(sealed[-4:], "big") & 0x7FFFFFFF
        return data[:8] + self._crypt(1, ssrc, index, sealed[8:-4])
