"""The system message: the agent's prompt, the answer contract, and its intents in one line of JSON.

The line after ``INTENTS_JSON:`` is read by the local rules model; a large model reads it as well.
"""

from __future__ import annotations

import json

from sivo.media.protocol import ConversationSpec

INTENTS_MARK = "INTENTS_JSON:"

_CONTRACT = """You are on the telephone. Everything you say is spoken aloud: short sentences, no lists,
no markdown, no emoji.
Always speak {language}.
Answer every message with one JSON object and nothing else:
{{"response": "<what you say>", "action": "continue" | "transfer" | "hangup", "variables": {{}}}}
"response" comes first. "hangup" ends the call after your words, {transfer}
"variables" holds what you learned from the caller."""

_LANGUAGES = {
    "en": "English",
    "es": "Spanish",
    "de": "German",
    "fr": "French",
    "it": "Italian",
    "pt": "Portuguese",
}

NEARLY_OVER = "The call must end soon. Bring the conversation to a close politely in your next answers."


def system_message(spec: ConversationSpec) -> str:
    """The first message of every request to the model."""
    transfer = (
        '"transfer" hands the caller to a person after your words.'
        if spec.transfer_to
        else 'never use "transfer": there is nobody to transfer to.'
    )
    language = _LANGUAGES.get(spec.language[:2].lower(), spec.language)
    parts = [spec.prompt.strip(), _CONTRACT.format(language=language, transfer=transfer)]
    if spec.intents:
        intents = [
            {
                "name": intent.name,
                "phrases": intent.phrases,
                "reply": intent.reply,
                "action": intent.action,
                "after": intent.after,
                "variables": intent.variables,
            }
            for intent in spec.intents
        ]
        parts.append(
            "Known intents. When the caller means one of them, answer with its reply, action and variables; one with "
            '"after" only counts after those intents. Put the intent\'s name into variables._intent.'
        )
        parts.append(INTENTS_MARK + "\n" + json.dumps(intents, ensure_ascii=False, separators=(",", ":")))
    return "\n\n".join(part for part in parts if part)


def sample_phrases(spec: ConversationSpec) -> list[str]:
    """All sample phrases once each: a hint for speech-to-text, and the grammar of the local one."""
    return list(dict.fromkeys(phrase for intent in spec.intents for phrase in intent.phrases))
