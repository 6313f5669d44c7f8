"""The platform's Ed25519 key (RFC 8032) that signs ledger entries; its private half is sealed in the vault.

Verification derives the public half from the sealed private one, so that nobody who can merely write to the database
can bring in a key of their own.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sivo.vault.vault import Vault

ITEM = "ledger-signing-key"


class LedgerKey:
    """Signs and verifies. Made by :meth:`load` (the platform's) or :meth:`generate` (kept nowhere)."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = key.public_key()
        self._key_id = hashlib.sha256(self.public_bytes()).hexdigest()[:16]

    @classmethod
    def generate(cls) -> LedgerKey:
        """A new key that is stored nowhere."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    async def load(cls, vault: Vault) -> LedgerKey:
        """The platform's key; made at the first use."""
        raw = await vault.platform_item(ITEM, lambda: Ed25519PrivateKey.generate().private_bytes_raw())
        return cls(Ed25519PrivateKey.from_private_bytes(raw))

    @property
    def key_id(self) -> str:
        """First 16 hex digits of SHA-256 over the raw public key."""
        return self._key_id

    def public_bytes(self) -> bytes:
        """The raw public key, 32 bytes."""
        return self._public.public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, data: bytes) -> bytes:
        """64 bytes of signature."""
        return self._key.sign(data)

    def verify(self, key_id: str, data: bytes, signature: bytes) -> bool:
        """Whether this key, called ``key_id``, made ``signature`` over ``data``."""
        if key_id != self._key_id:
            return False
        try:
            self._public.verify(signature, data)
        except InvalidSignature:
            return False
        return True
