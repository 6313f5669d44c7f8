"""The client's core and the simulated server, face to face on the virtual clock; the wire takes no time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sivo.outbound.websocket import SocketClosed
from sivo.simulators.deepgram_query import parse
from sivo.simulators.deepgram_stream import DeepgramStream
from sivo.simulators.ear import Ear
from sivo.simulators.script import SttScript
from sivo.simulators.stt_connection import Close, Offence, Say, Stream
from sivo.speech.deepgram import Deepgram, query
from sivo.speech.deepgram_stt import ended
from sivo.speech.faults import ProviderError
from sivo.speech.live import Connect, Effect, Hang, LiveCore, Transmit
from sivo.speech.stt import SttFailed, SttReady, SttText, SttTrouble
from support.tones import ulaw_frames


class DeepgramLine:
    """One session: 20 ms frames of ``pcm16`` (or silence), time in steps of 20 ms."""

    def __init__(self, script: SttScript, *, patient: bool = False, reachable: bool = True) -> None:
        self.now = 0.0
        self.core = self.make_core(patient)
        self.server: Stream | None = None
        self.results: list[tuple[float, Any]] = []
        self.offences: list[str] = []
        self.sent: list[tuple[float, str | int]] = []  # text, or bytes of audio
        self.connects: list[float] = []
        self.reachable = reachable
        self.deaf = False  # the server does not hear or say anything any more
        self.mute_finalize = False  # the server never answers Finalize
        self._script = script
        self._memory: dict[str, Any] = {}
        self.call_ms = 0  # audio of the call so far
        self._do(self.core.start(self.now))

    def make_core(self, patient: bool) -> LiveCore:
        return Deepgram(patient=patient)

    # --- the world --------------------------------------------------------------------------------------------------

    def play(self, pcm16: bytes) -> None:
        """The caller's audio, tick by tick."""
        for frame in ulaw_frames(pcm16):
            self.now += 20
            self.call_ms += 20
            self._do(self.core.audio(self.now, self.call_ms, frame))
            self._clock()

    def wait(self, ms: int) -> None:
        """Time without audio (the phone still rings)."""
        for _ in range(ms // 20):
            self.now += 20
            self._clock()

    def begin(self, segment: int, start_ms: float | None = None) -> None:
        self._do(self.core.begin(self.now, segment, self.call_ms if start_ms is None else start_ms))

    def finish(self, segment: int, end_ms: float | None = None) -> None:
        self._do(self.core.finish(self.now, segment, self.call_ms - 200 if end_ms is None else end_ms))

    def end(self) -> None:
        self._do(self.core.end(self.now))

    def cut(self, reason: str = "") -> None:
        """The line breaks."""
        self.server = None
        fault, fatal = ended(SocketClosed(1011 if reason else 1006, reason))
        self._do(self.core.closed(self.now, fault, fatal=fatal))

    # --- what came of it --------------------------------------------------------------------------------------------

    def finals(self) -> list[tuple[int | None, str]]:
        return [(one.segment, one.text) for _, one in self.results if isinstance(one, SttText) and one.final]

    def interims(self, segment: int) -> list[str]:
        texts = [one for _, one in self.results if isinstance(one, SttText) and not one.final]
        return [one.text for one in texts if one.segment == segment]

    def of(self, kind: type) -> list[Any]:
        return [one for _, one in self.results if isinstance(one, kind)]

    def said(self) -> list[tuple[float, str]]:
        """Text messages of the client."""
        return [(at, json.loads(text)["type"]) for at, text in self.sent if isinstance(text, str)]

    # --- between them -----------------------------------------------------------------------------------------------

    def _clock(self) -> None:
        self._do(self.core.tick(self.now))
        if self.server is not None:
            self._answer(self.server.due(self.now))

    def _do(self, wanted: Iterable[Effect]) -> None:
        for effect in wanted:
            match effect:
                case Connect():
                    self._connect()
                case Transmit(message):
                    self._transmit(message)
                case Hang():
                    self.server = None
                case SttText() | SttFailed() | SttTrouble() | SttReady():
                    self.results.append((self.now, effect))

    def _connect(self) -> None:
        self.connects.append(self.now)
        if not self.reachable:
            self._do(self.core.closed(self.now, ProviderError("refused", "nobody there")))
            return
        self.deaf = False
        opened = parse(query("nova-2", "en"))
        self.server = DeepgramStream(opened, self._script, Ear(self._script, self._memory), self.now)
        self._do(self.core.opened(self.now))

    def _transmit(self, message: str | bytes) -> None:
        self.sent.append((self.now, message if isinstance(message, str) else len(message)))
        if self.server is None or self.deaf:
            return
        if self.mute_finalize and isinstance(message, str) and "Finalize" in message:
            return
        server = self.server
        self._answer(server.text(self.now, message) if isinstance(message, str) else server.binary(self.now, message))

    def _answer(self, outs: Iterable[Any]) -> None:
        for out in outs:
            if isinstance(out, Offence):
                self.offences.append(out.what)
            elif self.deaf:
                continue
            elif isinstance(out, Say):
                self._do(self.core.message(self.now, json.dumps(out.body)))
            elif isinstance(out, Close):
                self.server = None
                self.cut(out.reason)
