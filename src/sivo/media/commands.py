"""What ``call`` can ask for, one function a command. Each is done, or refused with a code and a reason."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import msgspec

from sivo.base import logs
from sivo.base.errors import SivoError, register
from sivo.media import protocol as wire
from sivo.media.bridge import Bridge
from sivo.media.dtmf import DIGITS, Press
from sivo.media.journal import End
from sivo.media.leg import Leg
from sivo.media.mixing import Row
from sivo.media.process import MediaProcess
from sivo.media.session import Session

MEDIA_FULL = register("MEDIA_FULL", 503)
#: Names become file names, so they are plain.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
log = logs.get("media")

Answer = Callable[[wire.Done | wire.Refused], None]


class Commands:
    """Carries out commands in the order in which they come."""

    def __init__(self, process: MediaProcess) -> None:
        self._process = process

    def execute(self, command: wire.Command, answer: Answer) -> None:
        """Carry out one command. ``answer`` is called once, possibly later (never for an acknowledgement)."""
        if isinstance(command, wire.Ack):
            session = self._process.sessions.get(command.session)
            if session is not None:
                session.acknowledge(command.seq)
            return
        try:
            result = self._do(command, answer)
        except SivoError as error:
            answer(wire.Refused(ref=command.ref, code=error.code, message=error.message))
        except (ValueError, OSError) as error:
            answer(wire.Refused(ref=command.ref, code="VALIDATION_FAILED", message=str(error)))
        except Exception as error:
            known = self._process.sessions.get(getattr(command, "session", ""))
            ids = known.ids if known is not None else {}
            log.error("a command failed", command=type(command).__name__, error=repr(error), **ids)
            answer(wire.Refused(ref=command.ref, code="INTERNAL", message=type(error).__name__))
        else:
            if result is not None:
                answer(wire.Done(ref=command.ref, result=result))

    def _do(self, command: wire.Command, answer: Answer) -> dict[str, Any] | None:
        match command:
            case wire.OpenSession():
                return self._open(command)
            case wire.AddLeg():
                return self._add_leg(command)
            case wire.SetRemote():
                self._leg(command.session, command.leg).set_remote(command.remote)
            case wire.StartCapture():
                self._process.start_capture(self._session(command.session), command.record)
            case wire.StopCapture():
                self._session(command.session).stop_capture()
            case wire.Bridge():
                self._bridge(command)
            case wire.Unbridge():
                self._session(command.session).bridge = None
            case wire.Mix():
                self._leg(command.session, command.leg)
                row = Row(frozenset(command.hears), frozenset(command.heard_by), command.recorded)
                self._session(command.session).mix.rows[command.leg] = row
            case wire.StartConversation():
                self._converse(command)
            case wire.StopConversation():
                self._stop_conversation(command, answer)
                return None
            case wire.StartTranscription():
                self._process.transcribe(self._session(command.session), command.spec)
            case wire.StopTranscription():
                self._process.stop_transcription(self._session(command.session))
            case wire.TakeDigit():
                self._take_digit(command)
            case wire.SendDigits():
                self._leg(command.session, command.leg).press(command.digits)
            case wire.RemoveLeg():
                return self._remove_leg(command)
            case wire.CloseSession():
                self._close(command, answer)
                return None
            case wire.Drain():
                self._process.draining = True
        return {}

    def _open(self, command: wire.OpenSession) -> dict[str, Any]:
        process = self._process
        if process.draining or len(process.sessions) >= process.parts.call_cap:
            why = "it is being drained" if process.draining else f"it carries {len(process.sessions)} calls"
            raise SivoError(MEDIA_FULL, f"this media process takes no more calls: {why}")
        if not _NAME.fullmatch(command.session):
            raise ValueError(f"{command.session!r} is no session name (letters, digits, - and _)")
        if len(command.journal_key) != 32:
            raise ValueError("the journal key must be 32 bytes")
        try:
            session = process.open(command)
        except FileExistsError as error:
            raise SivoError("ALREADY_EXISTS", f"session {command.session} has a journal already") from error
        return {"journal": str(session.writer.path)}

    def _add_leg(self, command: wire.AddLeg) -> dict[str, Any]:
        session = self._session(command.session)
        if command.leg in session.legs:
            raise SivoError("ALREADY_EXISTS", f"leg {command.leg} is in session {command.session} already")
        if command.channel not in (0, 1):
            raise ValueError(f"channel {command.channel} is neither 0 (caller) nor 1 (agent)")
        return {"port": self._process.add_leg(session, Leg(command.leg, command.channel), command.host)}

    def _bridge(self, command: wire.Bridge) -> None:
        session = self._session(command.session)
        session.bridge = Bridge(self._leg(command.session, command.a), self._leg(command.session, command.b))

    def _converse(self, command: wire.StartConversation) -> None:
        session = self._session(command.session)
        leg = self._leg(command.session, command.leg)
        if session.host is not None:
            if not session.host.ended:
                raise SivoError("ALREADY_EXISTS", f"an agent is talking in session {command.session} already")
            self._process.stop_conversation(session, "agent_hangup")
        self._process.converse(session, leg, command.spec)

    def _take_digit(self, command: wire.TakeDigit) -> None:
        if len(command.digit) != 1 or command.digit not in DIGITS:
            raise ValueError(f"{command.digit!r} is no DTMF digit")
        press = Press(command.digit, min(max(command.duration_ms, 0), 10_000))
        self._leg(command.session, command.leg).take_digit(press, time.monotonic())

    def _stop_conversation(self, command: wire.StopConversation, answer: Answer) -> None:
        session = self._session(command.session)
        if command.reason not in wire.EXIT_REASONS:
            raise ValueError(f"{command.reason!r} is no exit reason")
        self._process.stop_conversation(session, command.reason)
        # The last facts are on their way through the journal; the answer comes behind them.
        session.writer.flush(lambda _ok: answer(wire.Done(ref=command.ref)))

    def _remove_leg(self, command: wire.RemoveLeg) -> dict[str, Any]:
        leg = self._leg(command.session, command.leg)
        stats: dict[str, Any] = msgspec.to_builtins(leg.stats())
        self._process.remove_leg(self._session(command.session), leg)
        return stats

    def _close(self, command: wire.CloseSession, answer: Answer) -> None:
        session = self._session(command.session)
        legs = {leg.id: msgspec.to_builtins(leg.stats()) for leg in session.legs.values()}

        def synced(end: End, ok: bool) -> None:
            answer(
                wire.Done(
                    ref=command.ref,
                    result={
                        "duration_ms": end.duration_ms,
                        "recorded_ms": end.recorded_ms,
                        "frames": end.frames,
                        "journal": str(session.writer.path),
                        "journal_failed": not ok,
                        "legs": legs,
                    },
                )
            )

        self._process.close(session, command.reason, synced)

    def _session(self, name: str) -> Session:
        session = self._process.sessions.get(name)
        if session is None:
            raise SivoError("NOT_FOUND", f"no session {name} in this media process", where="session")
        return session

    def _leg(self, session: str, name: str) -> Leg:
        leg = self._session(session).legs.get(name)
        if leg is None:
            raise SivoError("NOT_FOUND", f"no leg {name} in session {session}", where="leg")
        return leg
