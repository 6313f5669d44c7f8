"""What an AI agent says when its description leaves it open, in the languages of ``tenant.default_locale``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phrases:
    """Words for the moments that every conversation can have."""

    filler: str
    apology: str
    closing: str
    reprompt: str


PHRASES = {
    "en": Phrases(
        "One moment, please.",
        "I am sorry, I have a technical problem right now.",
        "Thank you for calling. Goodbye.",
        "Are you still there?",
    ),
    "es": Phrases(
        "Un momento, por favor.",
        "Lo siento, ahora mismo tengo un problema técnico.",
        "Gracias por su llamada. Adiós.",
        "¿Sigue ahí?",
    ),
    "de": Phrases(
        "Einen Moment bitte.",
        "Es tut mir leid, ich habe gerade ein technisches Problem.",
        "Vielen Dank für Ihren Anruf. Auf Wiederhören.",
        "Sind Sie noch da?",
    ),
    "fr": Phrases(
        "Un instant, s'il vous plaît.",
        "Je suis désolé, j'ai un problème technique en ce moment.",
        "Merci de votre appel. Au revoir.",
        "Êtes-vous toujours là ?",
    ),
    "it": Phrases(
        "Un momento, per favore.",
        "Mi dispiace, al momento ho un problema tecnico.",
        "Grazie per la chiamata. Arrivederci.",
        "È ancora in linea?",
    ),
    "pt": Phrases(
        "Um momento, por favor.",
        "Lamento, estou com um problema técnico neste momento.",
        "Obrigado pela sua chamada. Adeus.",
        "Ainda está aí?",
    ),
}


def of_language(language: str) -> Phrases:
    """The phrases of ``language`` (ISO 639-1); English for one that has none."""
    return PHRASES.get(language, PHRASES["en"])
