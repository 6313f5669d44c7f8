"""The sealed form of a small value: AES-256-GCM under a data key, bound to owner, purpose and key.

Layout: format byte (1) · key id (16 bytes, UUID) · nonce (12 bytes, random) · ciphertext with tag. The additional data
is ``sivo|<owner>|<purpose>|<key id>``, so a value that is copied to another tenant, row or field does not open.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sivo.base.errors import SivoError, register

BROKEN = register("VAULT_SEAL_BROKEN", 500)

_FORMAT = 1
_NONCE = 12
_OVERHEAD = 1 + 16 + _NONCE + 16


@dataclass(frozen=True)
class DataKey:
    """A data-encryption key (32 bytes) and its id."""

    key_id: UUID
    material: bytes = field(repr=False)


def _bound_to(owner: str, purpose: str, key_id: UUID) -> bytes:
    return f"sivo|{owner}|{purpose}|{key_id}".encode()


def seal(key: DataKey, owner: str, purpose: str, plaintext: bytes) -> bytes:
    """Seal ``plaintext`` (any length) for ``owner`` and ``purpose``."""
    nonce = os.urandom(_NONCE)
    body = AESGCM(key.material).encrypt(nonce, plaintext, _bound_to(owner, purpose, key.key_id))
    return bytes([_FORMAT]) + key.key_id.bytes + nonce + body


def key_id_of(sealed: bytes) -> UUID:
    """Id of the key that ``sealed`` was made with. Raises VAULT_SEAL_BROKEN when it is not a sealed value."""
    if len(sealed) < _OVERHEAD or sealed[0] != _FORMAT:
        raise SivoError(BROKEN, "not a sealed value", where="vault")
    return UUID(bytes=bytes(sealed[1:17]))


def open_sealed(key: DataKey, owner: str, purpose: str, sealed: bytes) -> bytes:
    """The plaintext. Raises VAULT_SEAL_BROKEN when it was altered or belongs to another owner, purpose or key."""
    if key_id_of(sealed) != key.key_id:
        raise SivoError(BROKEN, "sealed under another key", where=f"vault, {purpose}")
    try:
        return AESGCM(key.material).decrypt(
            bytes(sealed[17 : 17 + _NONCE]), bytes(sealed[17 + _NONCE :]), _bound_to(owner, purpose, key.key_id)
        )
    except InvalidTag:
        raise SivoError(
            BROKEN,
            "a sealed value was altered, or belongs to another tenant or field",
            where=f"vault, {purpose}",
            remedy="restore the row from a backup, or enter the secret again",
        ) from None
