"""Encryption of large objects in chunks that can be read at random (the STREAM construction with AES-256-GCM).

Layout: header, then chunks of 64 KiB of plaintext, each with its 16-byte tag; the last one may be shorter and is the
only one with the last flag in its nonce. Nonce = 7 random bytes · chunk number (32 bits) · last flag. Header and the
caller's ``aad`` (what the object belongs to, for example tenant and record) are additional data of every chunk. So
chunks that were altered, reordered, repeated, exchanged or cut off do not decrypt, and neither does another record's
object. One key encrypts one object (wrap it with ``Vault.seal``).
Source: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance".
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sivo.base.errors import SivoError
from sivo.vault.envelope import BROKEN

CHUNK = 64 * 1024
TAG = 16

_MAGIC = b"SVO1"
_LAYOUT = struct.Struct(">4sI7s")
HEADER_SIZE = _LAYOUT.size


def new_key() -> bytes:
    """A fresh object key: 32 random bytes."""
    return os.urandom(32)


def _broken(message: str) -> SivoError:
    return SivoError(BROKEN, message, where="object", remedy="restore the object from a backup")


class _Cipher:
    """Chunks of one object under one key."""

    def __init__(self, key: bytes, header: bytes, aad: bytes) -> None:
        if len(header) != HEADER_SIZE:
            raise _broken("the object is shorter than its header")
        magic, chunk, self._prefix = _LAYOUT.unpack(header)
        if magic != _MAGIC or chunk != CHUNK:
            raise _broken("not an encrypted object")
        self._cipher = AESGCM(key)
        self._aad = header + aad

    def _nonce(self, number: int, last: bool) -> bytes:
        nonce: bytes = self._prefix + number.to_bytes(4, "big") + bytes([last])
        return nonce

    def seal(self, number: int, last: bool, plaintext: bytes) -> bytes:
        return self._cipher.encrypt(self._nonce(number, last), plaintext, self._aad)

    def open(self, number: int, last: bool, body: bytes) -> bytes:
        try:
            return self._cipher.decrypt(self._nonce(number, last), body, self._aad)
        except InvalidTag:
            raise _broken(f"chunk {number} was altered, moved or cut, or belongs to another object") from None


def seal_stream(key: bytes, aad: bytes, plaintext: Iterable[bytes]) -> Iterator[bytes]:
    """The encrypted object, piece by piece; ``plaintext`` may come in pieces of any size."""
    header = _LAYOUT.pack(_MAGIC, CHUNK, os.urandom(7))
    yield header
    cipher, waiting, number = _Cipher(key, header, aad), bytearray(), 0
    for piece in plaintext:
        waiting += piece
        while len(waiting) > CHUNK:  # one chunk is held back: only the end shows which is the last
            yield cipher.seal(number, False, bytes(waiting[:CHUNK]))
            del waiting[:CHUNK]
            number += 1
    yield cipher.seal(number, True, bytes(waiting))


class Opener:
    """Decrypts an object as it arrives: ``feed`` pieces of any size, then ``finish`` once.

    A chunk is given out only when it is authentic; VAULT_SEAL_BROKEN is raised at the first that is not, and by
    ``finish`` for a truncated object. Whoever needs all or nothing must take all before using any.
    """

    def __init__(self, key: bytes, aad: bytes) -> None:
        self._key = key
        self._aad = aad
        self._waiting = bytearray()
        self._cipher: _Cipher | None = None
        self._number = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Plaintext that is complete with ``data``."""
        self._waiting += data
        ready: list[bytes] = []
        if self._cipher is None and len(self._waiting) >= HEADER_SIZE:
            self._cipher = _Cipher(self._key, bytes(self._waiting[:HEADER_SIZE]), self._aad)
            del self._waiting[:HEADER_SIZE]
        while self._cipher is not None and len(self._waiting) > CHUNK + TAG:
            ready.append(self._cipher.open(self._number, False, bytes(self._waiting[: CHUNK + TAG])))
            del self._waiting[: CHUNK + TAG]
            self._number += 1
        return iter(ready)

    def finish(self) -> Iterator[bytes]:
        """The rest; proves that nothing was cut off."""
        if self._cipher is None:
            raise _broken("the object is shorter than its header")
        return iter([self._cipher.open(self._number, True, bytes(self._waiting))])


def open_stream(key: bytes, aad: bytes, data: Iterable[bytes]) -> Iterator[bytes]:
    """Plaintext of a whole object; see :class:`Opener`."""
    opener = Opener(key, aad)
    for piece in data:
        yield from opener.feed(piece)
    yield from opener.finish()


def plaintext_size(stored_size: int) -> int:
    """Bytes of plaintext in an object of ``stored_size`` bytes."""
    body = stored_size - HEADER_SIZE
    if body < TAG:
        raise _broken("the object is too short")
    chunks = -(-body // (CHUNK + TAG))
    return body - chunks * TAG


def read_range(
    key: bytes, aad: bytes, stored_size: int, read_at: Callable[[int, int], bytes], start: int, length: int
) -> bytes:
    """``length`` bytes of plaintext from ``start``, cut at the end; whole chunks come from ``read_at(offset, n)``."""
    total = plaintext_size(stored_size)
    end = min(start + length, total)
    if start >= end:
        return b""
    cipher = _Cipher(key, read_at(0, HEADER_SIZE), aad)
    first, last, final = start // CHUNK, (end - 1) // CHUNK, (total - 1) // CHUNK
    plain = b"".join(
        cipher.open(number, number == final, read_at(HEADER_SIZE + number * (CHUNK + TAG), CHUNK + TAG))
        for number in range(first, last + 1)
    )
    return plain[start - first * CHUNK : end - first * CHUNK]
