"""What an API key looks like: ``sivo_<prefix>_<secret><check>``.

The prefix (10 characters) is no secret: it is shown in lists, logs and the ledger, and a key is found by it. The secret
(40 characters of base 62, 238 bits) is shown once. Six more characters are the CRC-32 of all before them, as GitHub
does it, so that scanners for leaked secrets know a key when they see one, and a mistyped or made-up one is refused
without asking the database.
"""

from __future__ import annotations

import hashlib
import secrets
import string
import zlib
from dataclasses import dataclass, field

MARK = "sivo_"
_PREFIX_ALPHABET = string.ascii_lowercase + string.digits
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PREFIX, _SECRET, _CHECK = 10, 40, 6


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """A well-formed key; whether it was ever given out is another question."""

    prefix: str
    text: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the whole key, which is what is stored."""
        return hashlib.sha256(self.text.encode()).digest()


def new_key() -> ParsedKey:
    """A fresh key from the system's generator."""
    prefix = "".join(secrets.choice(_PREFIX_ALPHABET) for _ in range(_PREFIX))
    text = f"{MARK}{prefix}_" + "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET))
    return ParsedKey(prefix, text + _check(text))


def parse(text: str) -> ParsedKey | None:
    """The key that ``text`` spells; None when it has another form or its check characters are wrong."""
    if not text.startswith(MARK) or len(text) != len(MARK) + _PREFIX + 1 + _SECRET + _CHECK or not text.isascii():
        return None
    prefix, bar, rest = text[len(MARK) :].partition("_")
    if not bar or len(prefix) != _PREFIX or not rest.isalnum() or not set(prefix) <= set(_PREFIX_ALPHABET):
        return None
    return ParsedKey(prefix, text) if _check(text[:-_CHECK]) == text[-_CHECK:] else None


def _check(text: str) -> str:
    value, digits = zlib.crc32(text.encode()), ""
    for _ in range(_CHECK):
        value, rest = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[rest] + digits
    return digits
