"""The key-encryption key: wraps data keys, never touches data. Here is what all kinds share, and those held locally."""

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
#: The service that holds the key does not answer now; what was opened before goes on.
KEK_AWAY = register("VAULT_KEK_AWAY", 503)

_SIZE = 32


class Kek(Protocol):
    """What the vault needs from a key-encryption key, wherever it is kept."""

    @property
    def kek_id(self) -> str:
        """Stable name of the key; stored beside everything it wrapped."""
        ...

    async def wrap(self, material: bytes, bound_to: str) -> bytes:
        """Wrap a data key. Raises VAULT_KEK_AWAY or VAULT_KEK_UNUSABLE."""
        ...

    async def unwrap(self, wrapped: bytes, bound_to: str) -> bytes:
        """The data key. Raises VAULT_KEK_UNUSABLE when this is not the key that wrapped it, VAULT_KEK_AWAY."""
        ...

    def derive(self, purpose: str) -> bytes | None:
        """A 32-byte subkey for ``purpose`` that tells nothing about the key; None where the key cannot be had."""
        ...


class LocalKek:
    """A key of 32 bytes in this process's memory: AES-256-GCM, 96-bit random nonce, bound by additional data."""

    def __init__(self, key: bytes, source: str = "file") -> None:
        self._key = key
        self._cipher = AESGCM(key)
        self._id = f"{source}:" + hashlib.sha256(b"sivo-kek-id" + key).hexdigest()[:16]

    @property
    def kek_id(self) -> str:
        return self._id

    async def wrap(self, material: bytes, bound_to: str) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, material, bound_to.encode())

    async def unwrap(self, wrapped: bytes, bound_to: str) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:12], wrapped[12:], bound_to.encode())
        except (InvalidTag, ValueError):
            raise SivoError(
                KEK_UNUSABLE,
                f"key {self._id} does not open what the database holds",
                where="key-encryption key",
                remedy="put back the key that belongs to this database",
            ) from None

    def derive(self, purpose: str) -> bytes:
        return hmac.digest(self._key, f"sivo-derive|{purpose}".encode(), "sha256")


class FileKek(LocalKek):
    """A key in a file of this node: 32 bytes in base64, mode 0600."""

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
        key = _decoded(path.read_bytes())
        if key is None:
            raise _unusable(path, "the key-encryption key is not 32 bytes in base64", "put the right file back")
        return cls(key)


class EnvironmentKek(LocalKek):
    """A key in an environment variable: 32 bytes in base64, put there by whatever starts the node."""

    @classmethod
    def load(cls, variable: str) -> EnvironmentKek:
        """Read the key. Raises VAULT_KEK_UNUSABLE when the variable is not set or not 32 bytes."""
        key = _decoded(os.environ.get(variable, "").encode())
        if key is None:
            problem = "is not 32 bytes in base64" if os.environ.get(variable) else "is not set"
            raise _unusable(variable, f"the environment variable of the key-encryption key {problem}", "set it")
        return cls(key, "env")


def _decoded(text: bytes) -> bytes | None:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == _SIZE else None


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


def _unusable(where: object, message: str, remedy: str) -> SivoError:
    return SivoError(KEK_UNUSABLE, message, where=str(where), remedy=remedy)
