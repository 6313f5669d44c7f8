"""Keys of the group "AI agents"."""

from __future__ import annotations

from typing import Any

from sivo.config.key import Computed, Inputs, Key, Lookup, Static, When
from sivo.config.types import Int, Text, Url
from sivo.config.voices import default_voice

#: Language of the call a value is resolved for; outside a call the tenant's locale stands in.
CALL_LANGUAGE = "call.language"

PROVIDER = Text(
    max_length=64, pattern=r"[a-z0-9][a-z0-9_.-]*", rule="lower-case letters, digits, dot, dash, underscore"
)
MODEL = Text(max_length=128)


def _voice(inputs: Inputs, lookup: Lookup) -> Any:
    return default_voice(lookup("ai.tts_provider"), lookup(CALL_LANGUAGE))


KEYS = (
    Key(
        name="ai.stt_provider",
        type=PROVIDER,
        default=Static("deepgram"),
        when=When.CALLS,
        help="Speech-to-text protocol; local is served by the platform's own speech role.",
    ),
    Key(
        name="ai.stt_model",
        type=MODEL,
        default=Static("nova-2"),
        when=When.CALLS,
        help="Model parameter of speech-to-text.",
    ),
    Key(
        name="ai.llm_base_url",
        type=Url(words=("local",)),
        default=Static("https://api.groq.com/openai/v1"),
        when=When.CALLS,
        help="OpenAI-compatible endpoint of the language model; local is the platform's own speech role.",
    ),
    Key(
        name="ai.llm_model",
        type=MODEL,
        default=Static("llama-3.1-70b-versatile"),
        when=When.CALLS,
        help="Model parameter of the language model; a retired or unknown one gives a named error.",
    ),
    Key(
        name="ai.tts_provider",
        type=PROVIDER,
        default=Static("elevenlabs"),
        when=When.CALLS,
        help="Text-to-speech protocol; local is served by the platform's own speech role.",
    ),
    Key(
        name="ai.tts_model",
        type=MODEL,
        default=Static("eleven_multilingual_v2"),
        when=When.CALLS,
        help="Model parameter of text-to-speech; _v3 models receive audio tags, _v2 models have them stripped.",
    ),
    Key(
        name="ai.tts_voice_id",
        type=MODEL,
        default=Computed("by language, from the platform's voice table", _voice),
        when=When.CALLS,
        overridden_by=("ai_agent.voice",),
        help="Voice on the wire.",
    ),
    Key(
        name="ai.max_turns",
        type=Int(1, 200),
        default=Static(20),
        when=When.CALLS,
        unit="turns",
        overridden_by=("ai_agent.max_turns",),
        help="Safety cut-off: the conversation ends after so many turns, reason max_turns.",
    ),
    Key(
        name="ai.max_duration_sec",
        type=Int(10, 7_200),
        default=Static(600),
        when=When.CALLS,
        unit="s",
        overridden_by=("ai_agent.max_duration_sec",),
        help="The conversation ends at that age, reason max_duration.",
    ),
    Key(
        name="ai.barge_in_cooldown_ms",
        type=Int(0, 2_000),
        default=Static(300),
        when=When.CALLS,
        unit="ms",
        help="Anti-echo: voice that starts within it after the last agent frame is deferred as possible echo.",
    ),
    Key(
        name="ai.speech_min_ms",
        type=Int(80, 2_000),
        default=Static(400),
        when=When.CALLS,
        unit="ms",
        help="Voiced time from which a sound counts as an utterance; it also pauses the agent.",
    ),
)
