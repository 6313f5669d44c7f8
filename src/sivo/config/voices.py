"""The platform's voice table: which voice speaks a language when nobody chose one.

ElevenLabs multilingual voices speak every language of the model, so one premade voice per language is enough (ids from
elevenlabs.io/docs, "premade voices"). OpenAI's voices are multilingual too. ``local`` names espeak-ng voices.
"""

from __future__ import annotations

_FALLBACK = "*"

VOICES: dict[str, dict[str, str]] = {
    "elevenlabs": {
        "es": "XrExE9yKIg1WjnnlVkGX",
        "en": "21m00Tcm4TlvDq8ikWAM",
        "de": "pFZP5JQG7iQjIQuC4Bku",
        "fr": "EXAVITQu4vr4xnSDxMaL",
        "it": "FGY2WhTYpPnrIDTdsKH5",
        "pt": "XB0fDUnXU5powFXDhCwa",
        _FALLBACK: "21m00Tcm4TlvDq8ikWAM",
    },
    "openai": {_FALLBACK: "alloy"},
    "local": {"en": "en-us", "es": "es", "de": "de", "fr": "fr-fr", "it": "it", "pt": "pt", _FALLBACK: "en-us"},
}


def default_voice(provider: str, language: str) -> str:
    """Voice of ``provider`` for an ISO 639-1 ``language``; an unknown provider gets the language itself."""
    table = VOICES.get(provider)
    if table is None:
        return language
    return table.get(language, table[_FALLBACK])
