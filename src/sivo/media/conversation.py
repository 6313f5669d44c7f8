"""The seam between the media loop and an AI conversation: what each side may expect of the other.

The media loop hosts conversations that it does not know: ``sivo.ai.runner`` implements :class:`Conversation`,
``sivo.speech.vad`` implements :class:`VadBatch`. They meet by these calls only, so that one day they could live in two
processes.

Order within a 20 ms tick: play-out of every leg is sent, then one :meth:`VadBatch.process` for all conversations, then
for each conversation :meth:`Conversation.on_digit` (keys pressed before this tick), :meth:`Conversation.on_sent` (what
has just gone out) and :meth:`Conversation.on_audio` (what the caller said in the same 20 ms). An exception from any of
them ends the conversation with ``provider_failure``; the call itself and its neighbours go on. All calls are made on
the event loop; none may block or take longer than 10 ms.

Times are milliseconds on the session's capture clock (0 = answer of the call). ``now_ms`` of a tick is where its 20 ms
end in the record: both the frame that was sent and the frame that was heard stand at ``now_ms - 20`` to ``now_ms``;
``clock_ms()`` runs on from there until the next tick, so the two never contradict. A conversation may be started before
the answer (to open provider sockets and synthesise the greeting while the phone rings): until the capture clock runs,
its play-out is held, ``clock_ms()`` is 0 and no ``on_…`` call but :meth:`Conversation.stop` comes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sivo.media.playout import Playout, SentFrame
from sivo.media.protocol import ConversationSpec, FactBody

if TYPE_CHECKING:
    from sivo.outbound.client import GuardedClient


class VadWindow(NamedTuple):
    """Verdict on one 32 ms window (256 samples at 8 kHz) of the caller's voice."""

    voiced: bool
    #: 0.0 to 1.0; 0.0 when the gate was shut and the model was not asked.
    probability: float
    #: Milliseconds of the current frame that come after the end of this window (0 to 19).
    age_ms: int


class VadSlot(Protocol):
    """State of one voice in the batch."""

    def reset(self) -> None:
        """Forget everything heard so far."""
        ...

    def close(self) -> None:
        """Give the slot back; it may not be used any more."""
        ...


class VadBatch(Protocol):
    """All voices of a process in one model session."""

    def open(self) -> VadSlot:
        """A slot for one more voice."""
        ...

    def process(self, frames: Sequence[tuple[Any, bytes]]) -> list[list[VadWindow]]:
        """Take one 20 ms frame (320 bytes, PCM16 little-endian, 8 kHz) a slot.

        Returns, in the order of ``frames``, the windows that were completed by each frame (none or one: five windows
        in every eight frames).
        """
        ...


class Emit(Protocol):
    """Where a conversation puts what became true."""

    def __call__(self, body: FactBody) -> None:
        """Journal a fact and send it to ``call``; never blocks."""
        ...

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Tell ``call`` something of the moment (``interim`` text); may be lost."""
        ...


class Conversation(Protocol):
    """One AI agent talking on one leg."""

    def on_sent(self, now_ms: int, sent: SentFrame | None) -> None:
        """A frame of speech has left the socket, or (None) silence was sent in this tick.

        Called at least once a tick; once more for an utterance whose ``end`` came after its last sample was sent.
        """
        ...

    def on_audio(self, now_ms: int, ulaw_frame: bytes, pcm16: bytes, voiced: list[VadWindow]) -> None:
        """20 ms of the caller: 160 bytes PCMU and the same as 320 bytes PCM16, after the jitter buffer.

        ``now_ms`` is the end of the frame. Comes every tick, silence when nothing was received.
        """
        ...

    def on_digit(self, digit: str) -> None:
        """The caller pressed a key (0-9 * # A-D); the Digit fact is emitted by the session, not here."""
        ...

    def stop(self, reason: str) -> None:
        """End at once. The last facts (truncated segment, turn, ConversationEnded) are emitted before it returns.

        Calling it on a conversation that has ended does nothing.
        """
        ...

    async def wait_closed(self) -> None:
        """Return when every task and provider stream of the conversation is gone (bounded: 2 s at most)."""
        ...


#: ``sivo.ai.runner.start(spec, playout, emit, clock_ms, http, vad)``. Must be called on the running loop, returns at
#: once. ``vad`` is the conversation's slot: the session feeds and closes it, the conversation may only reset it.
Start = Callable[
    [ConversationSpec, Playout, Emit, Callable[[], int], "GuardedClient", VadSlot],
    Conversation,
]
