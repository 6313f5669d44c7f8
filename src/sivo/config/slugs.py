"""Slugs made from names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator

from sivo.config.rules import RESERVED_SLUGS

_LONGEST = 32


def from_name(name: str) -> str:
    """A slug that resembles ``name``: ASCII, lower case, dashes; always valid, not always free."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if not slug or not slug[0].isalpha():
        slug = f"t-{slug}".rstrip("-")
    slug = slug[:_LONGEST].rstrip("-")
    return slug if len(slug) >= 3 else f"{slug}-tenant"


def candidates(name: str) -> Iterator[str]:
    """The slug of ``name``, then the same with -2, -3 and so on, without end."""
    base = from_name(name)
    if base not in RESERVED_SLUGS:
        yield base
    number = 2
    while True:
        suffix = f"-{number}"
        yield base[: _LONGEST - len(suffix)].rstrip("-") + suffix
        number += 1


def free(name: str, taken: Collection[str]) -> str:
    """The first candidate that is not taken."""
    return next(slug for slug in candidates(name) if slug not in taken)
