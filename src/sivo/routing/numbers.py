"""Telephone numbers: what carriers and people write, brought to E.164 (ITU-T E.164: ``+`` and 2 to 15 digits)."""

from __future__ import annotations

import re

#: What people and carriers put between digits, and control characters (``%00`` in a URI), which nothing may store.
_SEPARATORS = re.compile(r"[\s().\-/\x00-\x1f\x7f]")
_E164 = re.compile(r"\+[1-9]\d{1,14}")
_DIGITS = re.compile(r"\d{1,15}")
_EXTENSION = re.compile(r"\d{3,5}")


def is_e164(number: str) -> bool:
    """Whether ``number`` is written as E.164, with its plus and without separators."""
    return _E164.fullmatch(number) is not None


def is_extension(number: str) -> bool:
    """Whether ``number`` looks like an extension (3 to 5 digits)."""
    return _EXTENSION.fullmatch(number) is not None


def dialled(user: str) -> str:
    """The user part of a URI without separators and without parameters after ``;``."""
    return _SEPARATORS.sub("", user.split(";", 1)[0])


def e164_candidates(user: str, country: str = "") -> list[str]:
    """The E.164 numbers that ``user`` may stand for, the most likely first; empty when it is no number.

    A plus or ``00`` says that the country is there. Without them carriers send either the bare international number
    or the national one; ``country`` (digits of a country calling code) makes the latter possible. A leading trunk
    ``0`` is tried without it, and as it is for countries such as Italy where it belongs to the number.
    """
    number = dialled(user)
    if number.startswith("+"):
        return [number] if is_e164(number) else []
    if not _DIGITS.fullmatch(number):
        return []
    found: list[str] = []
    if number.startswith("00"):
        found.append("+" + number[2:])
    else:
        found.append("+" + number)
        if country:
            found += [f"+{country}{number.removeprefix('0')}", f"+{country}{number}"]
    return [item for item in dict.fromkeys(found) if is_e164(item)]


def display(user: str) -> str:
    """How a caller's number is stored: E.164 where it is unmistakably one, else as it came."""
    number = dialled(user)
    if number.startswith("00") and is_e164("+" + number[2:]):
        return "+" + number[2:]
    return number
