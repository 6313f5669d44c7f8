"""What an edge and its nodes share: a token on what they send each other, and the secret of the edges' nonces."""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, field

from sivo.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class EdgeKeys:
    """Both are text of 64 hex digits; whoever has the token can speak to a node as any phone."""

    token: str = field(repr=False)
    nonce_secret: str = field(repr=False)

    @classmethod
    async def open(cls, vault: Vault) -> EdgeKeys:
        """The platform's: the same for every node and every edge."""
        secret = await vault.platform_item("sip-edge", lambda: os.urandom(32))
        return cls(
            token=hmac.digest(secret, b"token", "sha256").hex(),
            nonce_secret=hmac.digest(secret, b"nonces", "sha256").hex(),
        )
