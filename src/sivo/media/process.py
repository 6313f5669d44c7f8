"""Everything one media process carries: sessions, their sockets, and the tick that drives them."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.media import journal
from sivo.media.clock import STALE_MS, Ticker
from sivo.media.conversation import Conversation, Start, VadBatch, VadSlot, VadWindow
from sivo.media.journal_writer import JournalDisk, JournalWriter
from sivo.media.latch import Address
from sivo.media.leg import Leg
from sivo.media.playout import Playout
from sivo.media.protocol import ConversationSpec, Fact, FactBody, MediaFigures, Note, OpenSession, TranscriptionSpec
from sivo.media.session import Host, Session
from sivo.media.sockets import PortPool, RtpSocket

if TYPE_CHECKING:
    from sivo.media.transcribing import StartTranscribing, Transcription
    from sivo.outbound.client import GuardedClient

#: What is longer is a fact in the trace.
SLOW_S = 0.010
#: Seconds for which sessions go on without ``call``.
ORPHAN_S = 10.0
LOAD_NOTE_TICKS = 250
#: Every half second each leg is asked whether a report is due.
_REPORT_TICKS = 25
#: Lateness that is the machine's fault (others had the core) is only told from here on.
_MACHINE_MS = 20.0
#: Bounds of the lateness histogram.
_LATE_MS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)

log = logs.get("media")


@dataclass(frozen=True)
class Parts:
    """What a process is made of."""

    clock: Clock
    disk: JournalDisk
    journal_dir: Path
    ports: PortPool
    call_cap: int
    vad: VadBatch
    http: GuardedClient
    start: Start
    transcribe: StartTranscribing


class _Emit:
    """A conversation's way out (:class:`~sivo.media.conversation.Emit`)."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __call__(self, body: FactBody) -> None:
        self._session.fact(body)

    def note(self, kind: str, data: dict[str, Any]) -> None:
        self._session.note(kind, data)


class MediaProcess:
    """All sessions of this process. ``emit`` takes facts and notes for ``call``."""

    def __init__(self, parts: Parts, emit: Callable[[Fact | Note], None]) -> None:
        self.parts = parts
        self.sessions: dict[str, Session] = {}
        self.draining = False
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[Leg, RtpSocket] = {}
        self._controls: dict[Leg, RtpSocket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._orphan: asyncio.TimerHandle | None = None
        self._cpu_mark = time.thread_time()
        self._tick_number = -1
        self._tick_due = 0.0
        self.ticker = Ticker(self._tick)

    # --- sessions ---------------------------------------------------------------------------------------------------

    def open(self, command: OpenSession) -> Session:
        """Make a session and its journal. ``FileExistsError`` when the journal is there already."""
        header = journal.Header(
            session=command.session,
            tenant=command.tenant,
            call=command.call,
            key_sealed=command.journal_key_sealed,
            nonce_prefix=secrets.token_bytes(4),
            created_at=self._wall_ms(),
            about=command.about,
        )
        path = self.parts.journal_dir / f"{command.session}{journal.SUFFIX}"
        writer = JournalWriter(path, header, command.journal_key, self.parts.disk)
        session = Session(
            command.session,
            command.tenant,
            command.call,
            writer,
            now=time.monotonic,
            wall_ms=self._wall_ms,
            emit=self._emit,
        )
        self.sessions[command.session] = session
        return session

    def add_leg(self, session: Session, leg: Leg, host: str) -> int:
        """Give a leg its port."""
        rtp, control = self.parts.ports.bind(host)
        self._sockets[leg] = RtpSocket(self._loop, rtp, leg.datagram)
        self._controls[leg] = RtpSocket(self._loop, control, leg.control)
        session.legs[leg.id] = leg
        return self._sockets[leg].port

    def remove_leg(self, session: Session, leg: Leg) -> None:
        """Free a leg's port; the conversation on it ends."""
        if session.host is not None and session.host.leg is leg:
            self.stop_conversation(session, "caller_hangup")
        session.drop_leg(leg)
        self._report(leg, bye=True)
        self._sockets.pop(leg).close()
        self._controls.pop(leg).close()

    def start_capture(self, session: Session, record: bool) -> None:
        """Start the session's capture clock with the next tick."""
        session.start_capture(record, self._tick_number + 1, self._tick_due + 0.020)

    def converse(self, session: Session, leg: Leg, spec: ConversationSpec) -> None:
        """Let an agent talk on ``leg``."""
        host = Host(leg, Playout(), self.parts.vad.open())
        session.host = host
        try:
            with logs.about(session.tenant, session.call):
                host.conversation = self.parts.start(
                    spec, host.playout, _Emit(session), session.clock_ms, self.parts.http, host.slot
                )
        except Exception:
            session.host = None
            host.slot.close()
            raise

    def stop_conversation(self, session: Session, reason: str) -> None:
        """End the agent's part at once; what it still has to close is awaited in the background."""
        try:
            conversation = session.stop_conversation(reason)
        except Exception as error:
            log.error("a conversation failed to stop", **session.ids, error=repr(error))
            return
        if conversation is not None:
            self._spawn(self._closed(session, conversation))

    async def _closed(self, session: Session, conversation: Conversation) -> None:
        try:
            await conversation.wait_closed()
        except Exception as error:
            log.error("a conversation did not close cleanly", **session.ids, error=repr(error))

    def transcribe(self, session: Session, spec: TranscriptionSpec) -> None:
        """Transcribe a bridge live; what was transcribing before is replaced."""
        self.stop_transcription(session)
        vad, http = self.parts.vad, self.parts.http
        with logs.about(session.tenant, session.call):
            session.transcription = self.parts.transcribe(spec, _Emit(session), session.clock_ms, http, vad)

    def stop_transcription(self, session: Session) -> None:
        """Stop at once."""
        transcription, session.transcription = session.transcription, None
        if transcription is not None:
            self._spawn(transcription.cancel())

    def close(self, session: Session, reason: str, synced: Callable[[journal.End, bool], None]) -> None:
        """End a session; ``synced(end, ok)`` is called when its journal is on the disk. The last words of a live
        transcription are waited for (1.5 s at most); nothing is sent or kept meanwhile."""
        self.stop_conversation(session, _EXIT.get(reason, "caller_hangup"))
        for leg in list(session.legs.values()):
            self.remove_leg(session, leg)
        del self.sessions[session.id]
        transcription, session.transcription = session.transcription, None
        if transcription is None:
            self._end(session, reason, synced)
        else:
            self._spawn(self._end_after(transcription, session, reason, synced))

    async def _end_after(
        self, last: Transcription, session: Session, reason: str, synced: Callable[[journal.End, bool], None]
    ) -> None:
        try:
            await last.finish()
        except Exception as error:
            log.error("a transcription did not end cleanly", **session.ids, error=repr(error))
        self._end(session, reason, synced)

    @staticmethod
    def _end(session: Session, reason: str, synced: Callable[[journal.End, bool], None]) -> None:
        box: list[journal.End] = []
        box.append(session.end(reason, lambda ok: synced(box[0], ok)))

    async def shut_down(self, reason: str) -> None:
        """End all sessions and wait until their journals are on the disk."""
        waiting: list[asyncio.Future[None]] = []
        for session in list(self.sessions.values()):
            done: asyncio.Future[None] = self._loop.create_future()
            waiting.append(done)
            self.close(session, reason, lambda _end, _ok, done=done: done.set_result(None))  # type: ignore[misc]
        if waiting:
            await asyncio.wait(waiting, timeout=3.0)
        closing = self._tasks - {asyncio.current_task()}
        if closing:
            await asyncio.wait(closing, timeout=2.0)

    # --- the line to call -------------------------------------------------------------------------------------------

    def call_gone(self) -> None:
        """The line broke: sessions go on for :data:`ORPHAN_S`, then they are closed."""
        self._orphan = self._loop.call_later(ORPHAN_S, self._orphaned)

    def call_back(self) -> list[Fact]:
        """``call`` is there again; everything that it has not acknowledged."""
        if self._orphan is not None:
            self._orphan.cancel()
            self._orphan = None
        return [fact for session in self.sessions.values() for fact in session.unacknowledged]

    def _orphaned(self) -> None:
        log.warning("call is gone; sessions are closed", sessions=len(self.sessions))
        self._spawn(self.shut_down("node_failure"))

    # --- the tick ---------------------------------------------------------------------------------------------------

    def _tick(self, number: int, late_ms: float) -> None:
        now = time.monotonic()
        due = now - late_ms / 1000
        self._tick_number, self._tick_due = number, due
        sessions = list(self.sessions.values())
        send = self._send if late_ms < STALE_MS else None
        for session in sessions:
            try:
                session.send(number, due, send)
            except Exception as error:
                self._broken(session, error)
        self._converse(sessions)
        for session in sessions:
            try:
                session.rest(number, now)
            except Exception as error:
                self._broken(session, error)
        if number % _REPORT_TICKS == 0:
            for leg in list(self._sockets):
                self._report(leg)
        self._judge_lateness(sessions, late_ms)
        if number % LOAD_NOTE_TICKS == 0:
            figures = msgspec.to_builtins(self.figures())
            recent = self.ticker.recent().summary()
            self._emit(Note(session="", kind="load", data={**self.load(), "recent": recent, "figures": figures}))

    @staticmethod
    def _broken(session: Session, error: Exception) -> None:
        """One session's error is its own: the others get their tick."""
        if not session.broken:
            session.broken = True
            log.error("a session failed in the tick", **session.ids, error=repr(error), exc_info=error)

    def _send(self, leg: Leg, data: bytes, destination: Address) -> bool:
        return self._sockets[leg].send(data, destination)

    def _converse(self, sessions: list[Session]) -> None:
        """One VAD batch for everybody who is listened to, then each gets its verdicts."""
        voices: list[tuple[VadSlot, bytes]] = []
        steps: list[tuple[Session, int, Callable[[list[list[VadWindow]]], None]]] = []
        for session in sessions:
            voice = session.listen()
            if voice is not None:
                voices.append(voice)
                steps.append((session, 1, lambda heard, to=session: to.converse(heard[0])))  # type: ignore[misc]
            overheard = session.overhear()
            if overheard:
                voices += overheard
                steps.append((session, len(overheard), session.transcribe))
        if not voices:
            return
        begun = time.monotonic()
        windows = self._voiced(voices)
        slow_ms = (time.monotonic() - begun) * 1000
        for session, count, step in steps:
            heard, windows = windows[:count], windows[count:]
            self._guarded(session, lambda step=step, heard=heard: step(heard))  # type: ignore[misc]
            if slow_ms > SLOW_S * 1000:
                session.slow("vad", slow_ms)

    def _voiced(self, voices: list[tuple[VadSlot, bytes]]) -> list[list[VadWindow]]:
        try:
            return self.parts.vad.process(voices)
        except Exception as error:
            log.error("voice activity detection failed in the tick", error=repr(error))
            return [[] for _ in voices]

    def _guarded(self, session: Session, step: Callable[[], None]) -> None:
        """Run one conversation's step: an error in it must not stop the tick for the others."""
        begun = time.monotonic()
        try:
            step()
        except Exception as error:
            log.error("a conversation failed in the tick", **session.ids, error=repr(error))
            self.stop_conversation(session, "provider_failure")
        held = time.monotonic() - begun
        if held > SLOW_S:
            session.slow("conversation", held * 1000)

    def _judge_lateness(self, sessions: list[Session], late_ms: float) -> None:
        """A late tick is our fault when this thread has computed for most of that time, else the machine's."""
        cpu = time.thread_time()
        own = (cpu - self._cpu_mark) * 1000 > late_ms / 2
        self._cpu_mark = cpu
        if late_ms > (SLOW_S * 1000 if own else _MACHINE_MS):
            for session in sessions:
                session.slow("loop" if own else "machine", late_ms)

    def load(self) -> dict[str, Any]:
        """Sessions, legs and lateness of the clock since the start."""
        return {
            "sessions": len(self.sessions),
            "legs": len(self._sockets),
            "skipped_ticks": self.ticker.skipped,
            **self.ticker.lateness.summary(),
        }

    def figures(self) -> MediaFigures:
        """What an operator watches."""
        late = self.ticker.lateness
        return MediaFigures(
            sessions=len(self.sessions),
            legs=len(self._sockets),
            late_below=late.below(*_LATE_MS),
            ticks=late.count,
            late_ms=late.total_ms,
            skipped_ticks=self.ticker.skipped,
            journal_writes=self.parts.disk.waiting,
            facts=sum(len(session.unacknowledged) for session in self.sessions.values()),
            tasks=len(asyncio.all_tasks()),
        )

    def _report(self, leg: Leg, *, bye: bool = False) -> None:
        """Send what RTCP has to say about a leg, if it is time."""
        report = leg.report(time.monotonic(), self.parts.clock.now().timestamp(), bye=bye)
        if report is not None:
            data, destination, mux = report
            (self._sockets if mux else self._controls)[leg].send(data, destination)

    # --- small parts ------------------------------------------------------------------------------------------------

    def _wall_ms(self) -> int:
        return int(self.parts.clock.now().timestamp() * 1000)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


#: How the end of a session reads as the end of its conversation, where that is still running.
_EXIT = {"node_failure": "node_failure", "shutdown": "shutdown"}
