"""From a template and its values to subject, text and simple HTML. Pure; nothing a person typed can become a header."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

from sivo.mail.template import FIELDS, WITH_LINK, Kind
from sivo.mail.texts import TEXTS

#: Longer values are cut in a subject or a name; a lead's message is not one.
MAX_LINE = 200
#: Values that may have several lines.
_MULTILINE = frozenset({"message"})


@dataclass(frozen=True, slots=True)
class Rendered:
    """One message in one language."""

    subject: str
    text: str
    html: str


def one_line(value: str) -> str:
    """``value`` without line breaks and other control characters (RFC 5322 §2.2: CR and LF end a header)."""
    spaced = "".join(char if char.isprintable() else " " for char in value)
    return " ".join(spaced.split())[:MAX_LINE]


def render(kind: Kind, language: str, values: Mapping[str, str], link: str = "") -> Rendered:
    """The message of ``kind`` in ``language``. ``ValueError`` when values or link do not fit the kind."""
    if set(values) != FIELDS[kind] or bool(link) != (kind in WITH_LINK):
        raise ValueError(f"values or link do not fit a mail of kind {kind}")
    template = TEXTS[language][kind]
    filled = {name: _lines(value) if name in _MULTILINE else one_line(value) for name, value in values.items()}
    paragraphs = [text.format_map(filled) for text in template.paragraphs]
    blocks = [_html_paragraph(text) for text in paragraphs]
    if link:
        paragraphs.insert(template.before_link, f"{template.action}:\n{link}")
        blocks.insert(template.before_link, _html_link(template.action, link))
    return Rendered(
        one_line(template.subject.format_map(filled)), "\n\n".join(paragraphs) + "\n", _html_page(language, blocks)
    )


def _lines(value: str) -> str:
    return "\n".join(
        "".join(char if char.isprintable() else " " for char in line).rstrip() for line in value.splitlines()
    )


def _html_paragraph(text: str) -> str:
    return f"<p>{html.escape(text).replace(chr(10), '<br>' + chr(10))}</p>"


def _html_link(action: str, link: str) -> str:
    target = html.escape(link, quote=True)
    return f'<p><a href="{target}">{html.escape(action)}</a></p>\n<p>{target}</p>'


def _html_page(language: str, blocks: list[str]) -> str:
    body = "\n".join(blocks)
    return (
        f'<!DOCTYPE html>\n<html lang="{language}">\n<head><meta charset="utf-8"></head>\n'
        f'<body style="font-family: sans-serif">\n{body}\n</body>\n</html>\n'
    )
