"""What ``call`` tells ``media`` to do. Each command with a ``ref`` is answered by ``Done`` or ``Refused``."""

from __future__ import annotations

from sivo.media.protocol.descriptions import ConversationSpec, Remote, TranscriptionSpec
from sivo.media.protocol.message import Message


class OpenSession(Message, kw_only=True):
    """Make a session (= one call). The journal file is created at once; facts go there in any case."""

    ref: int
    session: str
    tenant: str
    call: str
    journal_key: bytes
    #: Vault envelope of ``journal_key``; stored in the journal's header so that others can open it.
    journal_key_sealed: bytes
    #: Sealed by ``call`` for whoever reads the journal after a kill; stored in its header as it is.
    about: bytes = b""
    record: bool = False


class AddLeg(Message, kw_only=True):
    """Allocate an RTP port for a leg; answered by Done with ``{"port": int}``.

    ``channel`` says where the voice *heard from* this leg belongs: 0 caller, 1 agent.
    """

    ref: int
    session: str
    leg: str
    channel: int
    host: str = "127.0.0.1"


class SetRemote(Message, kw_only=True):
    """Tell a leg where and how to send; may come again at a re-INVITE."""

    ref: int
    session: str
    leg: str
    remote: Remote


class StartCapture(Message, kw_only=True):
    """Start the capture clock (at answer or bridge). ``record`` false = facts and clock only, no frames are kept."""

    ref: int
    session: str
    record: bool


class StopCapture(Message, kw_only=True):
    """Stop keeping frames at once (a safety switch was turned off); facts go on."""

    ref: int
    session: str


class Bridge(Message, kw_only=True):
    """Connect two legs: each hears the other."""

    ref: int
    session: str
    a: str
    b: str


class Unbridge(Message, kw_only=True):
    """Both legs of the session's bridge go back to silence."""

    ref: int
    session: str


class Mix(Message, kw_only=True):
    """``leg`` is a guest beside the bridge: it hears the legs of ``hears`` (``agent``: an AI agent), and those of
    ``heard_by`` hear it. ``recorded``: its voice goes onto the agent's channel. Replaces an earlier one of the leg."""

    ref: int
    session: str
    leg: str
    hears: list[str]
    heard_by: list[str]
    recorded: bool = False


class StartConversation(Message, kw_only=True):
    """Let an AI agent talk on ``leg``.

    May come before :class:`StartCapture`: then provider sockets are opened and the greeting is made while the phone
    rings, and the agent speaks from the moment at which the capture clock starts.
    """

    ref: int
    session: str
    leg: str
    spec: ConversationSpec


class StopConversation(Message, kw_only=True):
    """End the conversation at once with ``reason`` (for example ``caller_hangup``)."""

    ref: int
    session: str
    reason: str


class StartTranscription(Message, kw_only=True):
    """Transcribe what the two legs of the session's bridge say, from now on."""

    ref: int
    session: str
    spec: TranscriptionSpec


class StopTranscription(Message, kw_only=True):
    """Stop at once (a safety switch was turned off); nothing more is told."""

    ref: int
    session: str


class TakeDigit(Message, kw_only=True):
    """A key was pressed on ``leg`` and came beside the audio (SIP INFO); treated like one that came in RTP."""

    ref: int
    session: str
    leg: str
    digit: str
    duration_ms: int = 100


class SendDigits(Message, kw_only=True):
    """Send digits (0-9 * # A-D) on a leg: telephone events (RFC 4733), or sound where none were agreed on."""

    ref: int
    session: str
    leg: str
    digits: str


class RemoveLeg(Message, kw_only=True):
    """Free a leg's port; answered by Done with its statistics (see ``LegStats`` fields)."""

    ref: int
    session: str
    leg: str


class CloseSession(Message, kw_only=True):
    """End the session. The journal gets its end record and is synced; answered by Done with
    ``{"duration_ms", "recorded_ms", "frames", "journal", "journal_failed", "legs": {leg: LegStats}}``. Facts not yet
    acknowledged stay readable in the file."""

    ref: int
    session: str
    reason: str


class Ack(Message, kw_only=True):
    """Facts of ``session`` up to and including ``seq`` are committed."""

    session: str
    seq: int


class Drain(Message, kw_only=True):
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
