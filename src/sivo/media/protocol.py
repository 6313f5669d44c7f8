"""What ``call`` and ``media`` say to each other over a local socket.

Every message is one msgpack document (tagged structs) behind a 4-byte big-endian length. ``call`` sends
:data:`Command`, ``media`` answers each with :class:`Done` or :class:`Refused` carrying the command's ``ref``, and
sends :class:`Fact` and :class:`Note` of its own accord. A fact is written to the session's journal before it is sent
and stays there until ``call`` has acknowledged it with :class:`Ack`; a note is only of the moment.

Times called ``*_ms`` are milliseconds since the session's capture clock started (the answer of the call) unless a
field says otherwise. Audio is 8 kHz; a frame is 20 ms.
"""

from __future__ import annotations

from typing import Any

import msgspec

MAX_MESSAGE = 4 * 1024 * 1024


class _Message(msgspec.Struct, tag_field="t", kw_only=True):
    """Base: the tag is the class name."""


# --- descriptions -------------------------------------------------------------------------------------------------


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


# --- commands (call -> media) -------------------------------------------------------------------------------------


class OpenSession(_Message, kw_only=True):
    """Make a session (= one call). The journal file is created at once; facts go there in any case."""

    ref: int
    session: str
    tenant: str
    call: str
    journal_key: bytes
    #: Vault envelope of ``journal_key``; stored in the journal's header so that others can open it.
    journal_key_sealed: bytes
    record: bool = False


class AddLeg(_Message, kw_only=True):
    """Allocate an RTP port for a leg; answered by Done with ``{"port": int}``.

    ``channel`` says where the voice *heard from* this leg belongs: 0 caller, 1 agent.
    """

    ref: int
    session: str
    leg: str
    channel: int
    host: str = "127.0.0.1"


class SetRemote(_Message, kw_only=True):
    """Tell a leg where and how to send; may come again at a re-INVITE."""

    ref: int
    session: str
    leg: str
    remote: Remote


class StartCapture(_Message, kw_only=True):
    """Start the capture clock (at answer or bridge). ``record`` false = facts and clock only, no frames are kept."""

    ref: int
    session: str
    record: bool


class StopCapture(_Message, kw_only=True):
    """Stop keeping frames at once (a safety switch was turned off); facts go on."""

    ref: int
    session: str


class Bridge(_Message, kw_only=True):
    """Connect two legs: each hears the other."""

    ref: int
    session: str
    a: str
    b: str


class Unbridge(_Message, kw_only=True):
    """Both legs of the session's bridge go back to silence."""

    ref: int
    session: str


class Mix(_Message, kw_only=True):
    """``leg`` is a guest beside the bridge: it hears the legs of ``hears`` (``agent``: an AI agent), and those of
    ``heard_by`` hear it. ``recorded``: its voice goes onto the agent's channel. Replaces an earlier one of the leg."""

    ref: int
    session: str
    leg: str
    hears: list[str]
    heard_by: list[str]
    recorded: bool = False


class StartConversation(_Message, kw_only=True):
    """Let an AI agent talk on ``leg``.

    May come before :class:`StartCapture`: then provider sockets are opened and the greeting is made while the phone
    rings, and the agent speaks from the moment at which the capture clock starts.
    """

    ref: int
    session: str
    leg: str
    spec: ConversationSpec


class StopConversation(_Message, kw_only=True):
    """End the conversation at once with ``reason`` (for example ``caller_hangup``)."""

    ref: int
    session: str
    reason: str


class StartTranscription(_Message, kw_only=True):
    """Transcribe what the two legs of the session's bridge say, from now on."""

    ref: int
    session: str
    spec: TranscriptionSpec


class StopTranscription(_Message, kw_only=True):
    """Stop at once (a safety switch was turned off); nothing more is told."""

    ref: int
    session: str


class TakeDigit(_Message, kw_only=True):
    """A key was pressed on ``leg`` and came beside the audio (SIP INFO); treated like one that came in RTP."""

    ref: int
    session: str
    leg: str
    digit: str
    duration_ms: int = 100


class SendDigits(_Message, kw_only=True):
    """Send digits (0-9 * # A-D) on a leg: telephone events (RFC 4733), or sound where none were agreed on."""

    ref: int
    session: str
    leg: str
    digits: str


class LegStats(msgspec.Struct, kw_only=True):
    """What happened on a leg: the result of :class:`RemoveLeg`, and ``legs`` of :class:`CloseSession`'s result."""

    packets_received: int = 0
    packets_sent: int = 0
    lost: int = 0
    late: int = 0
    duplicates: int = 0
    reordered: int = 0
    #: RFC 3550 interarrival jitter at the end.
    jitter_ms: float = 0.0
    #: Frames that were made up, put in, left out and jumped over by the jitter buffer (20 ms each).
    concealed: int = 0
    inserted: int = 0
    dropped: int = 0
    skipped: int = 0
    #: Datagrams that were no RTP or of a payload type that was not agreed on, and packets from a third address.
    malformed: int = 0
    strangers: int = 0
    send_errors: int = 0
    #: Mean time that a frame waited in the jitter buffer.
    buffer_ms: float = 0.0
    #: From the peer's RTCP: reports received, newest round trip (None: never measured), and what it lost of ours.
    rtcp_received: int = 0
    rtt_ms: float | None = None
    remote_lost: int = 0
    remote_jitter_ms: float = 0.0


class RemoveLeg(_Message, kw_only=True):
    """Free a leg's port; answered by Done with its statistics (see :class:`LegStats` fields)."""

    ref: int
    session: str
    leg: str


class CloseSession(_Message, kw_only=True):
    """End the session. The journal gets its end record and is synced; answered by Done with
    ``{"duration_ms", "recorded_ms", "frames", "journal", "journal_failed", "legs": {leg: LegStats}}``. Facts not yet
    acknowledged stay readable in the file."""

    ref: int
    session: str
    reason: str


class Ack(_Message, kw_only=True):
    """Facts of ``session`` up to and including ``seq`` are committed."""

    session: str
    seq: int


class Drain(_Message, kw_only=True):
    """Take no new sessions; running ones go on."""

    ref: int


Command = (
    OpenSession
    | AddLeg
    | SetRemote
    | StartCapture
    | StopCapture
    | Bridge
    | Unbridge
    | Mix
    | StartConversation
    | StopConversation
    | StartTranscription
    | StopTranscription
    | TakeDigit
    | SendDigits
    | RemoveLeg
    | CloseSession
    | Ack
    | Drain
)


# --- answers and notes (media -> call) ----------------------------------------------------------------------------


class Hello(_Message, kw_only=True):
    """First message on a connection: who this is and what it can take."""

    index: int
    pid: int
    call_cap: int
    sessions: list[str] = msgspec.field(default_factory=list)


class Done(_Message, kw_only=True):
    """The command with this ``ref`` was carried out."""

    ref: int
    result: dict[str, Any] = msgspec.field(default_factory=dict)


class Refused(_Message, kw_only=True):
    """The command with this ``ref`` was not carried out; ``code`` is from the error register."""

    ref: int
    code: str
    message: str


class Note(_Message, kw_only=True):
    """Something of the moment that nobody has to keep: ``interim`` text, ``load``, ``level``."""

    session: str
    kind: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)


# --- facts (journaled, acknowledged) ------------------------------------------------------------------------------


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


class Fact(_Message, kw_only=True):
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

Event = Hello | Done | Refused | Note | Fact

_encoder = msgspec.msgpack.Encoder()
command_decoder = msgspec.msgpack.Decoder(Command)
event_decoder = msgspec.msgpack.Decoder(Event)


def encode(message: Command | Event) -> bytes:
    """One framed message: length and body."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


class Deframer:
    """Cuts a byte stream into message bodies. ``ValueError`` when a length is over :data:`MAX_MESSAGE`."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes in, give whole bodies out."""
        self._buffer += data
        bodies: list[bytes] = []
        while len(self._buffer) >= 4:
            size = int.from_bytes(self._buffer[:4], "big")
            if size > MAX_MESSAGE:
                raise ValueError(f"message of {size} bytes is over the limit of {MAX_MESSAGE}")
            if len(self._buffer) < 4 + size:
                break
            bodies.append(bytes(self._buffer[4 : 4 + size]))
            del self._buffer[: 4 + size]
        return bodies
