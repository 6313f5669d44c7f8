"""The rules model: answers like a language model would, but only from the intents in the system message.

It reads the line after ``INTENTS_JSON:``, finds the intent that the last user message means, and gives the same JSON
that a real model is asked for: ``{"response", "action", "variables"}``. It keeps no state: what was asked before stands
in the history, in ``variables._intent`` of the assistant's turns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sivo.speech.rules_match import Intent, Matcher, words_of

MARK = "INTENTS_JSON:"
_UNKNOWN, _OFFER = "_unknown", "_offer_transfer"
#: How the prompt says that nobody can be transferred to.
_NO_TRANSFER = 'never use "transfer"'


@dataclass(frozen=True)
class _Wording:
    again: str
    offer: str
    transfer: str
    go_on: str
    goodbye: str
    yes: tuple[str, ...]


_WORDINGS = {
    "English": _Wording(
        "I am sorry, I did not understand that. Could you say it in other words, please?",
        "I still did not understand. Would you like me to connect you to a colleague?",
        "I am connecting you now.",
        "All right. What can I do for you?",
        "I am sorry that I could not help you this time. Goodbye.",
        ("yes", "please"),
    ),
    "Spanish": _Wording(
        "Perdone, no le he entendido. ¿Podría decirlo con otras palabras, por favor?",
        "Sigo sin entenderle. ¿Quiere que le pase con un compañero?",
        "Le paso ahora mismo.",
        "De acuerdo. ¿En qué puedo ayudarle?",
        "Siento no haber podido ayudarle esta vez. Adiós.",
        ("si", "vale", "claro"),
    ),
    "German": _Wording(
        "Entschuldigung, das habe ich nicht verstanden. Können Sie es bitte anders sagen?",
        "Ich habe es leider wieder nicht verstanden. Soll ich Sie mit einem Kollegen verbinden?",
        "Ich verbinde Sie jetzt.",
        "Gut. Was kann ich für Sie tun?",
        "Es tut mir leid, dass ich Ihnen diesmal nicht helfen konnte. Auf Wiederhören.",
        ("ja", "gerne", "bitte"),
    ),
    "French": _Wording(
        "Pardon, je n'ai pas compris. Pouvez-vous le dire autrement, s'il vous plaît ?",
        "Je n'ai toujours pas compris. Voulez-vous que je vous passe un collègue ?",
        "Je vous mets en relation.",
        "D'accord. Que puis-je faire pour vous ?",
        "Je suis désolé de ne pas avoir pu vous aider cette fois. Au revoir.",
        ("oui", "volontiers"),
    ),
    "Italian": _Wording(
        "Mi scusi, non ho capito. Può dirlo con altre parole, per favore?",
        "Non ho ancora capito. Vuole che le passi un collega?",
        "La metto in contatto subito.",
        "Va bene. Che cosa posso fare per lei?",
        "Mi dispiace di non averla potuta aiutare questa volta. Arrivederci.",
        ("si", "certo", "volentieri"),
    ),
    "Portuguese": _Wording(
        "Desculpe, não percebi. Pode dizer de outra forma, por favor?",
        "Continuo sem perceber. Quer que o ligue a um colega?",
        "Vou ligá-lo agora.",
        "Está bem. Em que posso ajudar?",
        "Lamento não ter podido ajudar desta vez. Adeus.",
        ("sim", "claro"),
    ),
}


def answer(messages: Sequence[dict[str, Any]]) -> str:
    """The reply to ``messages`` (``role`` and text ``content``), as one line of JSON with ``response`` first."""
    system = "\n".join(message["content"] for message in messages if message["role"] in ("system", "developer"))
    said = next((message["content"] for message in reversed(messages) if message["role"] == "user"), "")
    past = _past_intents(messages)
    last = past[-1] if past else ""
    intents = intents_in(system)
    wording = next((text for name, text in _WORDINGS.items() if f"speak {name}" in system), _WORDINGS["English"])
    if last == _OFFER and set(words_of(said)) & set(wording.yes):
        return _reply(wording.transfer, "transfer", {"_intent": "_transfer"})
    meant = Matcher(intents).best(said, last)
    if meant is not None:
        return _reply(meant.reply, meant.action, {**meant.variables, "_intent": meant.name})
    if last == _OFFER:
        return _reply(wording.go_on, "continue", {"_intent": "_go_on"})
    if last != _UNKNOWN:
        return _reply(wording.again, "continue", {"_intent": _UNKNOWN})
    if _may_transfer(system, intents):
        return _reply(wording.offer, "continue", {"_intent": _OFFER})
    return _reply(wording.goodbye, "hangup", {"_intent": "_goodbye"})


def intents_in(system: str) -> list[Intent]:
    """The intents in a system message; none when the block is absent. ``ValueError`` when it is damaged."""
    _, mark, rest = system.rpartition(MARK)
    if not mark:
        return []
    line = rest.strip().partition("\n")[0]
    try:
        return msgspec.json.decode(line, type=list[Intent])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"the line after {MARK} is not a list of intents: {error}") from error


def _past_intents(messages: Sequence[dict[str, Any]]) -> list[str]:
    """``variables._intent`` of each assistant turn; empty for a turn that is not in our form."""
    names = []
    for message in messages:
        if message["role"] == "assistant":
            try:
                turn = json.loads(message["content"])
            except ValueError:
                turn = None
            variables = turn.get("variables") if isinstance(turn, dict) else None
            names.append(str(variables.get("_intent", "")) if isinstance(variables, dict) else "")
    return names


def _may_transfer(system: str, intents: Sequence[Intent]) -> bool:
    if _NO_TRANSFER in system:
        return False
    return '"transfer" hands' in system or any(intent.action == "transfer" for intent in intents)


def _reply(response: str, action: str, variables: dict[str, Any]) -> str:
    return json.dumps({"response": response, "action": action, "variables": variables}, ensure_ascii=False)
