"""The reference page of error codes: ``python -m sivo.base.errors_page > docs/reference/errors.md``."""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from http import HTTPStatus
from pathlib import Path

from sivo.base.errors import CODES
from sivo.base.problem_words import LANGUAGES, catalogue

_SOURCE = Path(__file__).parents[1]

_HEAD = """# Error codes

Made from the register: `python -m sivo.base.errors_page > docs/reference/errors.md`.

Every refusal of the API is an RFC 9457 problem (`application/problem+json`) with a stable `code`; codes are added,
never renamed. `title` and `remedy` follow `Accept-Language` (es, en, de, fr, it, pt; else English),
`detail` names the values in English. Where the place that refused knows a better remedy than the register, English
readers get that one as `remedy`, readers of other languages get it as `hint`.
"""


def registered() -> dict[str, int]:
    """code -> status as the rooms register them, read from the source: nothing is imported for it."""
    found = dict(CODES)
    for path in sorted(_SOURCE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "register(" in text:
            found.update(_calls(ast.parse(text)))
    return found


def _calls(tree: ast.Module) -> dict[str, int]:
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "register":
            match node.args:
                case [ast.Constant(value=str(code)), ast.Constant(value=int(status))]:
                    found[code] = status
    return found


def page() -> str:
    """The whole page. ``KeyError`` names a code without words."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for code, status in registered().items():
        by_status[status].append(code)
    parts = [_HEAD]
    for status in sorted(by_status):
        parts.append(f"\n## {status} {HTTPStatus(status).phrase}\n")
        parts += [_entry(code) for code in sorted(by_status[status])]
    return "".join(parts)


def _entry(code: str) -> str:
    said = catalogue()[code]
    rows = [f"| {language} | {said[language].title} | {said[language].remedy} |\n" for language in LANGUAGES]
    return f"\n### `{code}`\n\n| | title | remedy |\n|---|---|---|\n{''.join(rows)}"


if __name__ == "__main__":
    sys.stdout.write(page())
