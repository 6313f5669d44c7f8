"""What the platform itself says when an agent's definition leaves a phrase empty, by language."""

from __future__ import annotations

from dataclasses import dataclass

from sivo.ai.sentences import clean
from sivo.media.protocol import ConversationSpec


@dataclass(frozen=True, slots=True)
class Phrases:
    """Fixed phrases of one conversation; they are synthesised ahead."""

    filler: str
    apology: str
    closing: str
    reprompt: str
    not_understood: str

    def ahead(self) -> list[str]:
        """In the order of need."""
        return list(dict.fromkeys([self.apology, self.filler, self.not_understood, self.closing, self.reprompt]))


_PLATFORM = {
    "en": Phrases(
        "One moment, please.",
        "I am sorry, something is not working on our side right now.",
        "Thank you for calling. Goodbye.",
        "Are you still there?",
        "Sorry, I did not catch that. Could you say it again?",
    ),
    "es": Phrases(
        "Un momento, por favor.",
        "Lo siento, ahora mismo tenemos un problema técnico.",
        "Gracias por llamar. Hasta luego.",
        "¿Sigue usted ahí?",
        "Perdone, no le he entendido. ¿Puede repetirlo?",
    ),
    "de": Phrases(
        "Einen Moment, bitte.",
        "Es tut mir leid, bei uns ist gerade etwas gestört.",
        "Danke für Ihren Anruf. Auf Wiederhören.",
        "Sind Sie noch da?",
        "Das habe ich leider nicht verstanden. Können Sie es wiederholen?",
    ),
    "fr": Phrases(
        "Un instant, s'il vous plaît.",
        "Je suis désolé, nous avons un problème technique en ce moment.",
        "Merci de votre appel. Au revoir.",
        "Vous êtes toujours là ?",
        "Pardon, je n'ai pas compris. Pouvez-vous répéter ?",
    ),
    "it": Phrases(
        "Un momento, per favore.",
        "Mi dispiace, al momento abbiamo un problema tecnico.",
        "Grazie per la chiamata. Arrivederci.",
        "È ancora in linea?",
        "Scusi, non ho capito. Può ripetere?",
    ),
    "pt": Phrases(
        "Um momento, por favor.",
        "Lamento, neste momento temos um problema técnico.",
        "Obrigado pela sua chamada. Até logo.",
        "Ainda está aí?",
        "Desculpe, não percebi. Pode repetir?",
    ),
}


def phrases(spec: ConversationSpec) -> Phrases:
    """The phrases of a conversation: the agent's own where set, else the platform's for its language (else English)."""
    platform = _PLATFORM.get(spec.language[:2].lower(), _PLATFORM["en"])
    return Phrases(
        filler=clean(spec.filler) or platform.filler,
        apology=clean(spec.apology) or platform.apology,
        closing=clean(spec.closing) or platform.closing,
        reprompt=clean(spec.reprompt) or platform.reprompt,
        not_understood=platform.not_understood,
    )
