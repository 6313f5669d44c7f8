"""``--set field=value`` and ``--file``: how a resource body is written on a command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sivo.cli.client import CliError


def parse_value(text: str) -> Any:
    """Text as it stands; ``[…]``, ``{…}``, ``true``, ``false`` and ``null`` are read as JSON.

    Numbers stay text on purpose (extension 0100 and +34… are not numbers); the platform converts where its
    model wants a number.
    """
    if text[:1] in ("[", "{") or text in ("true", "false", "null"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise CliError(f"not valid JSON: {text[:80]} ({error})", 2) from error
    return text


def assign(body: dict[str, Any], assignment: str) -> None:
    """Put ``field.part=value`` into ``body``; dots reach into objects."""
    path, separator, text = assignment.partition("=")
    if not separator or not path:
        raise CliError(f"--set wants field=value, not {assignment!r}", 2)
    *parents, last = path.split(".")
    place = body
    for parent in parents:
        inner = place.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise CliError(f"--set {path}: {parent} is not an object", 2)
        place = inner
    place[last] = parse_value(text)


def body_from(file: Path | None, assignments: list[str]) -> dict[str, Any]:
    """The body in ``file`` (JSON; ``-`` is standard input) with ``assignments`` on top."""
    body: dict[str, Any] = {}
    if file is not None:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        try:
            loaded = json.loads(text)
        except ValueError as error:
            raise CliError(f"{file} is not valid JSON: {error}", 2) from error
        if not isinstance(loaded, dict):
            raise CliError(f"{file} does not hold a JSON object", 2)
        body = loaded
    for assignment in assignments:
        assign(body, assignment)
    if not body:
        raise CliError("nothing given: use --set field=value or --file", 2)
    return body
