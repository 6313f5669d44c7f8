"""Facts of a session: kept in its journal until ``call`` has acknowledged them."""

from __future__ import annotations

from typing import Any

import msgspec

from sivo.media.protocol.message import Message


class _FactBody(msgspec.Struct, tag_field="f", kw_only=True):
    """Base of everything that a journal keeps beside frames."""


class Segment(_FactBody, kw_only=True):
    """One final piece of transcript. ``segment`` names it within the session.

    ``speaker`` is ``caller`` or ``agent``; agent text is what was really played.
    """

    segment: str
    speaker: str
    text: str
    start_ms: int
    end_ms: int
    language: str = ""
    turn: int | None = None


class Turn(_FactBody, kw_only=True):
    """One committed user turn and the reply that was played to it.

    ``latency`` holds milliseconds from the end of speech: ``endpointing``, ``stt``, ``llm_first_token``,
    ``tts_first_byte``, ``first_frame`` (each from the end of the caller's speech, so they only grow).
    """

    turn: int
    user_text: str
    user_start_ms: int
    user_end_ms: int
    reply_text: str
    reply_start_ms: int | None = None
    reply_end_ms: int | None = None
    interrupted: bool = False
    action: str = "continue"
    variables: dict[str, Any] = msgspec.field(default_factory=dict)
    latency: dict[str, float] = msgspec.field(default_factory=dict)


class Interruption(_FactBody, kw_only=True):
    """The caller spoke over the agent. ``outcome``: ``committed`` (agent cut) or ``resumed`` (false alarm)."""

    at_ms: int
    outcome: str
    voiced_ms: int
    played_ms: int
    text_played: str = ""


class ProviderFault(_FactBody, kw_only=True):
    """A provider failed. ``stage`` stt|llm|tts; ``cause`` refused|slow|cut|rejected|garbage|guard; no secret inside."""

    stage: str
    cause: str
    detail: str
    at_ms: int
    action: str = ""


class ConversationEnded(_FactBody, kw_only=True):
    """The agent is done; ``reason`` is from :data:`EXIT_REASONS`. ``call`` acts on it (BYE, transfer)."""

    reason: str
    turns: int
    at_ms: int
    transfer_to: str = ""
    detail: str = ""
    variables: dict[str, Any] = msgspec.field(default_factory=dict)
    usage: dict[str, float] = msgspec.field(default_factory=dict)


class TranscriptionStarted(_FactBody, kw_only=True):
    """Live transcription has an engine that listens. ``engine``: the tenant's word for it."""

    at_ms: int
    engine: str
    separate: bool


class Digit(_FactBody, kw_only=True):
    """One DTMF digit, once per event however often it was sent."""

    leg: str
    digit: str
    duration_ms: int
    at_ms: int


class MediaTimeout(_FactBody, kw_only=True):
    """No RTP came on this leg for ``silent_ms`` although it should."""

    leg: str
    silent_ms: int


class CaptureChanged(_FactBody, kw_only=True):
    """Capture of frames started or stopped at ``at_ms``."""

    recording: bool
    at_ms: int


class SlowCallback(_FactBody, kw_only=True):
    """Something held the media loop for more than 10 ms."""

    what: str
    held_ms: float
    at_ms: int


FactBody = (
    Segment
    | Turn
    | Interruption
    | ProviderFault
    | ConversationEnded
    | TranscriptionStarted
    | Digit
    | MediaTimeout
    | CaptureChanged
    | SlowCallback
)


class Fact(Message, kw_only=True):
    """Envelope: ``seq`` grows by one within a session, from 1; commits are idempotent on (session, seq)."""

    session: str
    seq: int
    #: Unix milliseconds at which it became true.
    at: int
    body: FactBody


#: Why an AI conversation can end; a closed list (issue text, webhooks and the trace use these words).
EXIT_REASONS = (
    "agent_hangup",
    "transfer",
    "caller_hangup",
    "max_turns",
    "max_duration",
    "silence",
    "provider_failure",
    "node_failure",
    "shutdown",
)
