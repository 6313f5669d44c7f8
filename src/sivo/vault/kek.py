"""The key-encryption key: wraps data keys, never touches data."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sivo.base.errors import SivoError, register
from sivo.db import secret_file

KEK_UNUSABLE = register("VAULT_KEK_UNUSABLE", 500)

_SIZE = 32


class Kek(Protocol):
    """What the vault needs from a provider (file now; environment, KMS and Vault transit have the same shape)."""

    @property
    def kek_id(self) -> str:
        """Stable name of the key; stored beside everything it wrapped."""
        ...

    def wrap(self, material: bytes, bound_to: str) -> bytes:
        """Wrap a data key."""
        ...

    def unwrap(self, wrapped: bytes, bound_to: str) -> bytes:
        """The data key. Raises VAULT_KEK_UNUSABLE when this is not the key that wrapped it."""
        ...

    def derive(self, purpose: str) -> bytes:
        """A 32-byte subkey for ``purpose``; tells nothing about the key itself."""
        ...


class FileKek:
    """A key in a file of this node: 32 bytes in base64, mode 0600."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = AESGCM(key)
        self._id = "file:" + hashlib.sha256(b"sivo-kek-id" + key).hexdigest()[:16]

    @classmethod
    def load(cls, path: Path, *, create: bool = True) -> FileKek:
        """Read the key; make one when there is none and ``create``.

        Raises :class:`SivoError` VAULT_KEK_UNUSABLE: missing, not 32 bytes, or readable by others.
        """
        if not path.exists():
            if not create:
                raise _unusable(path, "there is no key-encryption key", "put the key file back")
            _create(path)
        if path.stat().st_mode & 0o077:
            raise _unusable(path, "other users may read the key-encryption key", f"chmod 600 {path}")
        try:
            key = base64.b64decode(path.read_text(encoding="ascii").strip(), validate=True)
        except (binascii.Error, UnicodeDecodeError):
            key = b""
        if len(key) != _SIZE:
            raise _unusable(path, "the key-encryption key is not 32 bytes in base64", "put the right file back")
        return cls(key)

    @property
    def kek_id(self) -> str:
        return self._id

    def wrap(self, material: bytes, bound_to: str) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, material, bound_to.encode())

    def unwrap(self, wrapped: bytes, bound_to: str) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:12], wrapped[12:], bound_to.encode())
        except (InvalidTag, ValueError):
            raise SivoError(
                KEK_UNUSABLE,
                f"key {self._id} does not open what the database holds",
                where="key-encryption key",
                remedy="put back the key file that belongs to this database",
            ) from None

    def derive(self, purpose: str) -> bytes:
        return hmac.digest(self._key, f"sivo-derive|{purpose}".encode(), "sha256")


def _create(path: Path) -> None:
    """Make the key; when several processes do so at once, all end up with the same one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    secret_file.write(fresh, base64.b64encode(os.urandom(_SIZE)).decode() + "\n")
    try:
        os.link(fresh, path)  # fails when another process was first
    except FileExistsError:
        return
    finally:
        fresh.unlink()


def _unusable(path: Path, message: str, remedy: str) -> SivoError:
    return SivoError(KEK_UNUSABLE, message, where=str(path), remedy=remedy)
