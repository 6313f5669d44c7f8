"""What a form needs to show and edit a key, made from its declaration; words in English, as the reference has them."""

from __future__ import annotations

from typing import Any

from sivo.config.key import Key
from sivo.config.registry import KEYS

#: Groups in the order of the reference, with the heading that a form and the reference page give them.
GROUPS = {
    "tenant": "Tenant identity",
    "auth": "Authentication",
    "recording": "Recording",
    "transcription": "Transcription",
    "ai": "AI agents",
    "sf": "Salesforce",
    "webhooks": "Webhooks",
}
_SPELLINGS = {
    "ai": "AI",
    "dlq": "DLQ",
    "id": "ID",
    "jwt": "JWT",
    "kms": "KMS",
    "llm": "LLM",
    "mfa": "MFA",
    "scrt": "SCRT",
    "sf": "Salesforce",
    "sip": "SIP",
    "stt": "STT",
    "ttl": "lifetime",
    "tts": "TTS",
    "url": "URL",
}
#: Last parts of names that only repeat the unit.
_UNITS = ("sec", "ms", "days")
_ORDER = {name: place for place, name in enumerate(KEYS, start=1)}


def form(key: Key) -> dict[str, Any]:
    """Widget, title, help, group, unit and place of one key; its bounds are in its JSON Schema.

    ``options`` is a closed list, ``suggestions`` are words that are accepted beside what the widget takes. ``confirm``
    is the sentence that has to be confirmed before a change.
    """
    schema = key.type.schema()
    return {
        "widget": key.type.widget,
        "title": title(key),
        "help": key.help,
        "group": key.group,
        "group_title": GROUPS[key.group],
        "order": _ORDER[key.name],
        "unit": key.unit,
        "options": list(schema.get("enum") or schema.get("items", {}).get("enum", ())),
        "suggestions": [word for one in schema.get("anyOf", ()) for word in one.get("enum", ())],
        "read_only": key.read_only,
        "confirm": key.confirm or None,
    }


def title(key: Key) -> str:
    """A label: the last part of the name in words, without its unit ("Barge in cooldown", "JWT lifetime")."""
    words = key.name.split(".", 1)[1].split("_")
    if key.unit and words[-1] in _UNITS:
        words.pop()
    label = " ".join(_SPELLINGS.get(word, word) for word in words)
    return label[0].upper() + label[1:]
