"""Every template in every language."""

from __future__ import annotations

from sivo.mail.template import Kind, Template
from sivo.mail.texts import de, en, es, fr, it, pt

TEXTS: dict[str, dict[Kind, Template]] = {
    "es": es.TEXTS,
    "en": en.TEXTS,
    "de": de.TEXTS,
    "fr": fr.TEXTS,
    "it": it.TEXTS,
    "pt": pt.TEXTS,
}
