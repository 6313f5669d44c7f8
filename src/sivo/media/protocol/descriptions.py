"""Descriptions that commands carry: providers, conversations, transcription, the peer of a leg."""

from __future__ import annotations

import msgspec


class Stage(msgspec.Struct, kw_only=True):
    """One provider stage (STT, LLM or TTS) with everything needed to speak to it.

    ``protocol`` is ``openai`` in this release. ``internal`` marks our own speech role: its address is the
    platform's, not the tenant's, and is not subject to the tenant guard.
    """

    protocol: str
    base_url: str
    model: str
    api_key: str = ""
    language: str = "en"
    voice: str = ""
    internal: bool = False


class Intent(msgspec.Struct, kw_only=True):
    """One thing a caller may want, with sample phrases; grammar and rules LLM are generated from it."""

    name: str
    phrases: list[str]
    reply: str
    action: str = "continue"  # continue | transfer | hangup
    #: Only recognised after one of these intents (empty = always).
    after: list[str] = msgspec.field(default_factory=list)
    variables: dict[str, str] = msgspec.field(default_factory=dict)


class ConversationSpec(msgspec.Struct, kw_only=True):
    """A whole AI conversation, resolved: nothing in it refers to a tenant's configuration any more."""

    agent_id: str
    agent_name: str
    prompt: str
    greeting: str
    language: str
    stt: Stage
    llm: Stage
    tts: Stage
    intents: list[Intent] = msgspec.field(default_factory=list)
    transfer_to: str = ""
    greeting_interruptible: bool = True
    filler: str = ""
    apology: str = ""
    closing: str = ""
    reprompt: str = ""
    max_turns: int = 20
    max_duration_sec: int = 600
    barge_in_cooldown_ms: int = 300
    speech_min_ms: int = 400
    silence_timeout_ms: int = 10_000
    max_reprompts: int = 2
    #: Whose call it is: circuit breakers are kept by tenant.
    tenant: str = ""
    #: Providers that take over when the first one of a stage (stt, llm, tts) fails.
    second: dict[str, Stage] = msgspec.field(default_factory=dict)


class TranscriptionSpec(msgspec.Struct, kw_only=True):
    """Live transcription of people, resolved. ``engine`` is the tenant's word for what ``stage`` speaks; with
    ``separation`` each leg has a stream of its own, else both go into one."""

    engine: str
    stage: Stage
    separation: bool = True


class SrtpKeys(msgspec.Struct, kw_only=True, frozen=True):
    """What both sides of a stream are protected with (SDES): master key and salt behind each other, raw."""

    #: Name of the crypto suite (RFC 4568 §6.2, RFC 7714 §14.2).
    suite: str
    ours: bytes
    theirs: bytes

    def __repr__(self) -> str:
        return f"SrtpKeys(suite={self.suite!r})"


class Remote(msgspec.Struct, kw_only=True):
    """What the peer's SDP said about its side of one audio stream."""

    host: str
    port: int
    #: RTP payload type and codec that we send: 0 PCMU, 8 PCMA.
    payload_type: int = 0
    #: Payload type of telephone-event (RFC 4733), or None.
    dtmf_payload_type: int | None = 101
    ptime_ms: int = 20
    send: bool = True
    receive: bool = True
    #: The peer's own address means nothing (its SDP names a private one, its signalling came from elsewhere): latch
    #: onto whoever sends first instead of only onto ``host``.
    behind_nat: bool = False
    #: Where the peer takes RTCP: a port of its own (RFC 3605), None = ``port`` + 1; with ``rtcp_mux`` (RFC 5761) it is
    #: ``port``.
    rtcp_port: int | None = None
    rtcp_mux: bool = False
    #: Listen for keys in the audio: the peer (a carrier) sends them as sound and not as telephone events.
    keys_as_sound: bool = False
    #: None: RTP in the clear.
    srtp: SrtpKeys | None = None
