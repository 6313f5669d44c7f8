"""Encryption of large objects in chunks that can be read at random (the STREAM construction with AES-256-GCM).

Layout: header, then chunks of 64 KiB of plaintext, each with its 16-byte tag; the last one may be shorter and is the
only one with the last flag in its nonce. Nonce = 7 random bytes · chunk number (32 bits) · last flag. The header is
additional data of every chunk. So reordered, repeated, exchanged or missing chunks do not decrypt, and neither does a
truncated object. One key encrypts one object (wrap it with ``Vault.seal``).
Source: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance".
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sivo.base.errors import SivoError
from sivo.vault.envelope import BROKEN

CHUNK = 64 * 1024
TAG = 16

_MAGIC = b"SVO1"
_LAYOUT = struct.Struct(">4sI7s16s16s")
HEADER_SIZE = _LAYOUT.size


def new_key() -> bytes:
    """A fresh object key: 32 random bytes."""
    return os.urandom(32)


@dataclass(frozen=True)
class Header:
    """What an object says about itself before its first chunk."""

    tenant_id: UUID
    object_id: UUID
    prefix: bytes = field(default_factory=lambda: os.urandom(7))

    def pack(self) -> bytes:
        """The header's bytes."""
        return _LAYOUT.pack(_MAGIC, CHUNK, self.prefix, self.tenant_id.bytes, self.object_id.bytes)

    @classmethod
    def parse(cls, data: bytes) -> Header:
        """Read it back. Raises VAULT_SEAL_BROKEN when this is no encrypted object of ours."""
        if len(data) < HEADER_SIZE:
            raise _broken("the object is shorter than its header")
        magic, chunk, prefix, tenant, object_id = _LAYOUT.unpack(data[:HEADER_SIZE])
        if magic != _MAGIC or chunk != CHUNK:
            raise _broken("not an encrypted object")
        return cls(UUID(bytes=tenant), UUID(bytes=object_id), prefix)


def _broken(message: str) -> SivoError:
    return SivoError(BROKEN, message, where="object", remedy="restore the object from a backup")


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])


def encrypt(key: bytes, header: Header, plaintext: Iterable[bytes]) -> Iterator[bytes]:
    """Header and chunks of ``plaintext``, which may come in pieces of any size."""
    cipher, aad = AESGCM(key), header.pack()
    yield aad
    waiting, number = bytearray(), 0
    for piece in plaintext:
        waiting += piece
        while len(waiting) > CHUNK:  # one chunk is held back: only the end shows which is the last
            yield cipher.encrypt(_nonce(header.prefix, number, False), bytes(waiting[:CHUNK]), aad)
            del waiting[:CHUNK]
            number += 1
    yield cipher.encrypt(_nonce(header.prefix, number, True), bytes(waiting), aad)


def _decrypt_chunk(cipher: AESGCM, header: Header, number: int, last: bool, body: bytes) -> bytes:
    try:
        return cipher.decrypt(_nonce(header.prefix, number, last), body, header.pack())
    except InvalidTag:
        raise _broken(f"chunk {number} was altered, moved or cut, or the key is another object's") from None


def decrypt(key: bytes, data: Iterable[bytes], *, tenant_id: UUID, object_id: UUID) -> Iterator[bytes]:
    """Plaintext chunks of an object that must belong to ``tenant_id`` and ``object_id``.

    A chunk is given out only when it is authentic; VAULT_SEAL_BROKEN is raised at the first that is not, and at the end
    of a truncated object. Whoever needs all or nothing must take all before using any.
    """
    waiting, header, number = bytearray(), None, 0
    cipher = AESGCM(key)
    for piece in data:
        waiting += piece
        if header is None and len(waiting) >= HEADER_SIZE:
            header = _expected(bytes(waiting[:HEADER_SIZE]), tenant_id, object_id)
            del waiting[:HEADER_SIZE]
        while header is not None and len(waiting) > CHUNK + TAG:
            yield _decrypt_chunk(cipher, header, number, False, bytes(waiting[: CHUNK + TAG]))
            del waiting[: CHUNK + TAG]
            number += 1
    if header is None:
        raise _broken("the object is shorter than its header")
    yield _decrypt_chunk(cipher, header, number, True, bytes(waiting))


def _expected(data: bytes, tenant_id: UUID, object_id: UUID) -> Header:
    header = Header.parse(data)
    if (header.tenant_id, header.object_id) != (tenant_id, object_id):
        raise _broken("the object belongs to another tenant or record")
    return header


def plaintext_size(stored_size: int) -> int:
    """Bytes of plaintext in an object of ``stored_size`` bytes."""
    body = stored_size - HEADER_SIZE
    if body < TAG:
        raise _broken("the object is too short")
    chunks = -(-body // (CHUNK + TAG))
    return body - chunks * TAG


def read_range(
    key: bytes,
    stored_size: int,
    read_at: Callable[[int, int], bytes],
    start: int,
    length: int,
    *,
    tenant_id: UUID,
    object_id: UUID,
) -> bytes:
    """``length`` bytes of plaintext from ``start``, cut at the end; whole chunks come from ``read_at(offset, size)``."""
    total = plaintext_size(stored_size)
    end = min(start + length, total)
    if start >= end:
        return b""
    header = _expected(read_at(0, HEADER_SIZE), tenant_id, object_id)
    cipher, last = AESGCM(key), max(0, (total - 1) // CHUNK)
    first_chunk, last_chunk = start // CHUNK, (end - 1) // CHUNK
    parts = [
        _decrypt_chunk(
            cipher, header, number, number == last, read_at(HEADER_SIZE + number * (CHUNK + TAG), CHUNK + TAG)
        )
        for number in range(first_chunk, last_chunk + 1)
    ]
    joined = b"".join(parts)
    offset = first_chunk * CHUNK
    return joined[start - offset : end - offset]
