"""What every error code is called and what can be done about it, in the six languages of the product.

The words stand in ``codes.toml`` beside this file; statuses stand where a room registers its code. The language is
chosen at the edge from ``Accept-Language`` (RFC 9110 §12.5.4); code and status are the same in every language.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LANGUAGES = ("en", "es", "de", "fr", "it", "pt")
#: What programs get, which name no language.
DEFAULT = "en"
_FILE = Path(__file__).with_name("codes.toml")


@dataclass(frozen=True, slots=True)
class Words:
    """Title and remedy of one code in one language."""

    title: str
    remedy: str


@functools.cache
def catalogue() -> Mapping[str, Mapping[str, Words]]:
    """code -> language -> words, as the file has them."""
    raw = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {code: {language: Words(*pair) for language, pair in languages.items()} for code, languages in raw.items()}


def words(code: str, language: str) -> Words | None:
    """What ``code`` is called in ``language``; None for a code without words (a test keeps those out)."""
    return catalogue().get(code, {}).get(language)


def chosen(accept_language: str) -> str:
    """The best of :data:`LANGUAGES` for an ``Accept-Language`` header; :data:`DEFAULT` when it names none of them."""
    best, weight = DEFAULT, 0.0
    for part in accept_language[:200].split(","):
        tag, _, parameter = part.partition(";")
        language = tag.strip().lower().partition("-")[0]
        quality = _quality(parameter.strip())
        if language in LANGUAGES and quality > weight:
            best, weight = language, quality
    return best


def _quality(parameter: str) -> float:
    """The weight of RFC 9110 §12.4.2: ``q=`` 0 to 1, 1 when absent, 0 when it is none."""
    if not parameter:
        return 1.0
    name, _, value = parameter.partition("=")
    try:
        quality = float(value) if name.strip().lower() == "q" else 0.0
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0
