"""One call inside a media process: legs, bridge, conversation, capture, facts. State only; sockets are elsewhere.

The process drives all sessions tick by tick in four steps, each step for every session before the next begins:
:meth:`Session.send` (play-out), :meth:`Session.listen` (what the VAD batch gets), :meth:`Session.converse`,
:meth:`Session.rest` (digits, capture, timeouts).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from sivo.media import codec, mixing
from sivo.media.bridge import Bridge, payload_for
from sivo.media.capture import Capture
from sivo.media.conversation import Conversation, VadSlot, VadWindow
from sivo.media.jitter import SILENCE, Kind
from sivo.media.journal import End
from sivo.media.journal_writer import JournalWriter
from sivo.media.keypad import Way
from sivo.media.latch import Address
from sivo.media.leg import Leg
from sivo.media.playout import Playout, SentFrame
from sivo.media.protocol import (
    CaptureChanged,
    ConversationEnded,
    Digit,
    Fact,
    FactBody,
    MediaTimeout,
    Note,
    SlowCallback,
)
from sivo.media.transcribing import Heard, Transcription

#: Name of an AI agent's voice in a mix.
AGENT = "agent"
#: Sends one datagram from a leg's own port; False when the system refused it.
Send = Callable[[Leg, bytes, Address], bool]


class Host:
    """The AI agent on one leg: its conversation, play-out queue and VAD slot."""

    def __init__(self, leg: Leg, playout: Playout, slot: VadSlot) -> None:
        self.leg = leg
        self.playout = playout
        self.slot = slot
        self.conversation: Conversation | None = None
        self.reports: list[SentFrame] = []
        self.spoken: bytes | None = None  # PCMU sent in the current tick
        self.digits: list[str] = []  # for the conversation's next turn in the tick
        self.ended = False

    def next_frame(self, payload_type: int) -> bytes:
        """20 ms for the wire; what really goes out is remembered for capture and reports."""
        pcm16, self.reports = self.playout.pull()
        if pcm16 is None:
            self.spoken = None
            return codec.silence(payload_type)
        payload = codec.encode(payload_type, pcm16)
        self.spoken = payload if payload_type == codec.PCMU else codec.encode(codec.PCMU, pcm16)
        return payload


class Session:
    """State of one call. ``emit_fact`` and ``emit_note`` take what goes to ``call``; ``wall_ms`` is Unix time."""

    def __init__(
        self,
        session: str,
        tenant: str,
        call: str,
        writer: JournalWriter,
        *,
        now: Callable[[], float],
        wall_ms: Callable[[], int],
        emit: Callable[[Fact | Note], None],
    ) -> None:
        self.id = session
        self.tenant = tenant
        self.call = call
        self.legs: dict[str, Leg] = {}
        self.bridge: Bridge | None = None
        self.mix = mixing.Mix()
        self.host: Host | None = None
        self.transcription: Transcription | None = None
        self.writer = writer
        self.capture = Capture(writer)
        self.closed = False
        self.broken = False  # a tick step failed; told once
        self._now = now
        self._wall_ms = wall_ms
        self._emit = emit
        self._seq = 0
        self._written = 0
        self._unacknowledged: deque[Fact] = deque()
        self._slow_second: dict[str, int] = {}

    @property
    def ids(self) -> dict[str, str]:
        """What every line of the log about this session names."""
        return {"tenant": self.tenant, "call": self.call}

    # --- facts ------------------------------------------------------------------------------------------------------

    def fact(self, body: FactBody) -> None:
        """Journal ``body``; it goes to ``call`` once it is in the file. Nothing is added to a closed session."""
        if self.closed:
            return
        self._seq += 1
        fact = Fact(session=self.id, seq=self._seq, at=self._wall_ms(), body=body)
        self._unacknowledged.append(fact)
        # A failing disk must not silence the call as well: the fact is sent in any case, `journal_failed` tells.
        self.writer.fact(fact, lambda _ok: self._written_out(fact))
        if isinstance(body, ConversationEnded) and self.host is not None:
            self.host.ended = True

    def _written_out(self, fact: Fact) -> None:
        self._written = fact.seq
        self._emit(fact)

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Send something of the moment."""
        self._emit(Note(session=self.id, kind=kind, data=data))

    def acknowledge(self, seq: int) -> None:
        """``call`` has committed everything up to ``seq``."""
        known = False
        while self._unacknowledged and self._unacknowledged[0].seq <= seq:
            self._unacknowledged.popleft()
            known = True
        if known and not self.closed:
            self.writer.acknowledge(seq)

    @property
    def unacknowledged(self) -> list[Fact]:
        """Facts to be sent again to a new ``call``; those still on their way into the journal come by themselves."""
        return [fact for fact in self._unacknowledged if fact.seq <= self._written]

    def clock_ms(self) -> int:
        """Milliseconds on the capture clock."""
        return self.capture.clock_ms(self._now())

    def slow(self, what: str, held_ms: float) -> None:
        """Record that the loop was held; at most one fact a second for each culprit."""
        at_ms = self.clock_ms()
        if self.capture.running and self._slow_second.get(what) != at_ms // 1000:
            self._slow_second[what] = at_ms // 1000
            self.fact(SlowCallback(what=what, held_ms=round(held_ms, 1), at_ms=at_ms))

    # --- capture ----------------------------------------------------------------------------------------------------

    def start_capture(self, record: bool, next_tick: int, due: float) -> None:
        """Start the clock (once) and, with ``record``, keep frames."""
        self.capture.start(next_tick, due)
        self._set_recording(record)

    def stop_capture(self) -> None:
        """Keep no more frames; the clock runs on."""
        self._set_recording(False)

    def _set_recording(self, recording: bool) -> None:
        if recording != self.capture.recording:
            self.capture.recording = recording
            self.fact(CaptureChanged(recording=recording, at_ms=self.capture.now_ms))

    # --- the tick ---------------------------------------------------------------------------------------------------

    def send(self, number: int, due: float, send: Send | None) -> None:
        """Step 1: hear every leg, then send every leg its 20 ms; with None it is too late for sending."""
        for leg in self.legs.values():
            leg.hear(due)
        if self.host is not None:
            self.host.reports, self.host.spoken = [], None
        if send is None or (not self.capture.running and self.bridge is None):
            return
        for leg in self.legs.values():
            if leg.sends:
                self._send_leg(leg, number, due, send)

    def _send_leg(self, leg: Leg, number: int, due: float, send: Send) -> None:
        assert leg.remote is not None
        payload_type = leg.remote.payload_type
        peer = self.bridge.peer(leg) if self.bridge else None
        if peer is not None:
            payload = payload_for(payload_type, peer.frame or SILENCE)
        elif self._agent_speaks(leg):
            assert self.host is not None
            payload = self.host.next_frame(payload_type)
        else:
            payload = codec.silence(payload_type)
        if self.mix.rows:
            payload = self._with_others(leg, payload_type, payload)
        packet = leg.packet(number, payload, due)
        if packet is not None:
            if send(leg, *packet):
                leg.sent += 1
            else:
                leg.send_errors += 1

    def _with_others(self, leg: Leg, payload_type: int, payload: bytes) -> bytes:
        """``payload`` and the voices that the mix adds to it."""
        voices = [self._voice(source) for source in self.mix.sources(leg.id)]
        others = mixing.add(voice for voice in voices if voice is not None)
        if others is None:
            return payload
        both = mixing.add((codec.decode(payload_type, payload), others))
        return codec.encode(payload_type, both or others)

    def _voice(self, source: str) -> bytes | None:
        if source == AGENT:
            spoken = self.host.spoken if self.host is not None else None
            return codec.decode(codec.PCMU, spoken) if spoken is not None else None
        leg = self.legs.get(source)
        return mixing.said(leg.frame) if leg is not None else None

    def _agent_speaks(self, leg: Leg) -> bool:
        """Whether the agent's next frame can go out now; while digits are sent, or on hold, the agent waits."""
        return self.host is not None and self.host.leg is leg and self.capture.running and not leg.pressing

    def listen(self) -> tuple[VadSlot, bytes] | None:
        """Step 2: the caller's 20 ms for the VAD batch, None without a conversation."""
        host = self.host
        if host is None or host.ended or host.conversation is None or not self.capture.running:
            return None
        return host.slot, (host.leg.frame or SILENCE).pcm16

    def converse(self, windows: list[VadWindow]) -> None:
        """Step 3: tell the conversation what was sent and what was heard."""
        host = self.host
        if host is None or host.conversation is None or host.ended:
            return
        now_ms = self.capture.now_ms + codec.FRAME_MS
        digits, host.digits = host.digits, []
        for digit in digits:
            host.conversation.on_digit(digit)
        for report in host.reports:
            host.conversation.on_sent(now_ms, report)
        if host.spoken is None and all(report.duration_ms == 0 for report in host.reports):
            host.conversation.on_sent(now_ms, None)
        if host.ended:
            return
        frame = host.leg.frame or SILENCE
        host.conversation.on_audio(now_ms, frame.ulaw, frame.pcm16, windows)

    def overhear(self) -> list[tuple[VadSlot, bytes]]:
        """Step 2 for live transcription: what the VAD batch gets; nothing while the legs are not bridged."""
        if self.transcription is None or self.bridge is None or not self.capture.running:
            return []
        caller, agent = self._said(0), self._said(1)
        return self.transcription.voices(caller, agent)

    def _said(self, channel: int) -> Heard:
        for leg in self.legs.values():
            if leg.channel == channel and leg.frame is not None and self.bridge and self.bridge.peer(leg) is not None:
                return Heard(leg.frame.ulaw, leg.frame.pcm16)
        return Heard(SILENCE.ulaw, SILENCE.pcm16)

    def transcribe(self, windows: list[list[VadWindow]]) -> None:
        """Step 3 for live transcription."""
        if self.transcription is not None:
            self.transcription.on_audio(self.capture.now_ms + codec.FRAME_MS, windows)

    def rest(self, number: int, now: float) -> None:
        """Step 4: digits, capture, legs that fell silent."""
        self._digits(now)
        self.capture.tick(number, *self._channels())
        if not self.capture.running:
            return
        for leg in self.legs.values():
            silent_ms = leg.silent_ms(now)
            if silent_ms is not None:
                self.fact(MediaTimeout(leg=leg.id, silent_ms=silent_ms))

    def _digits(self, now: float) -> None:
        for leg in self.legs.values():
            for press, way in leg.presses(now):
                self.fact(
                    Digit(leg=leg.id, digit=press.digit, duration_ms=press.duration_ms, at_ms=self.capture.now_ms)
                )
                if self.bridge is not None and way is not Way.SOUND:
                    self.bridge.relay(leg, press.digit)
                if self.host is not None and self.host.leg is leg:
                    self.host.digits.append(press.digit)

    def _channels(self) -> tuple[bytes | None, bytes | None]:
        heard: list[bytes | None] = [None, None]
        for leg in self.legs.values():
            frame = leg.frame
            tapped = leg.channel == 0 or (self.bridge is not None and self.bridge.peer(leg) is not None)
            if tapped and frame is not None and frame.kind is not Kind.SILENCE:
                heard[leg.channel] = frame.ulaw
        if self.host is not None and self.host.spoken is not None:
            heard[1 - self.host.leg.channel] = self.host.spoken
        if self.mix.rows:
            guests = [voice for guest in self.mix.recorded if (voice := self._voice(guest)) is not None]
            if guests:
                agent = [codec.decode(codec.PCMU, heard[1])] if heard[1] is not None else []
                heard[1] = codec.encode(codec.PCMU, mixing.add([*agent, *guests]) or codec.SILENCE_PCM)
        return heard[0], heard[1]

    # --- ends -------------------------------------------------------------------------------------------------------

    def stop_conversation(self, reason: str) -> Conversation | None:
        """End the agent's part; its last facts are journaled. Returns the conversation to be waited for."""
        host = self.host
        if host is None:
            return None
        try:
            if host.conversation is not None:
                host.conversation.stop(reason)
        finally:
            if not host.ended:  # it broke before it could say so, and `call` must not wait for ever
                self.fact(ConversationEnded(reason=reason, turns=0, at_ms=self.clock_ms()))
            self.host = None
            host.slot.close()
        return host.conversation

    def drop_leg(self, leg: Leg) -> None:
        """Forget a leg, and the bridge it was part of."""
        self.legs.pop(leg.id, None)
        self.mix.forget(leg.id)
        if self.bridge is not None and self.bridge.peer(leg) is not None:
            self.bridge = None

    def end(self, reason: str, synced: Callable[[bool], None]) -> End:
        """Write the end of the journal; ``synced`` is called when it is on the disk."""
        self._set_recording(False)
        end = End(
            reason=reason,
            duration_ms=self.capture.now_ms,
            recorded_ms=self.capture.frames * codec.FRAME_MS,
            frames=self.capture.frames,
        )
        self.closed = True
        self.writer.close(end, synced)
        return end
