"""What onlookers of a running call are told: where it stands, what is being said, what was said."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sivo.base.settings import Settings
from sivo.calls.call import Call
from sivo.calls.exchange import Exchange
from sivo.media import protocol as wire
from sivo.realtime.feed import Message
from sivo.realtime.line import FeedServer, socket_path

STATE, INTERIM, FINAL = "call.state", "transcript.interim", "transcript.final"


class LiveFeed:
    """The ``call`` role's end of the live feed; the topic of a call is its id."""

    def __init__(self, exchange: Exchange, settings: Settings) -> None:
        self._exchange = exchange
        self._path = socket_path(settings.run_dir)
        self._server = FeedServer(self._greeting)
        exchange.phase_changed = self.state

    async def start(self) -> None:
        """Serve from now on."""
        await self._server.start(self._path)

    async def stop(self) -> None:
        """Let everybody go."""
        await self._server.stop()

    def _greeting(self, tenant: UUID, topic: str) -> list[Message] | None:
        call = self._exchange.by_id(topic)
        if call is None or call.tenant.id != tenant or call.ended:
            return None
        return [_state(call)]

    def state(self, call: Call) -> None:
        """The call stands elsewhere than before; its end is the end of the stream."""
        if not self._server.hub.topics():
            return
        self._server.hub.publish(call.tenant.id, call.session, _state(call))
        if call.ended:
            self._server.hub.over(call.tenant.id, call.session)

    def note(self, call: Call, kind: str, data: dict[str, Any]) -> None:
        """Interim text: it replaces what was interim of the same speaker before."""
        if kind == "interim" and "text" in data and _shown(call):
            told = {"event": INTERIM, "speaker": data["speaker"], "text": data["text"]}
            self._server.hub.publish(call.tenant.id, call.session, told)

    def said(self, call: Call, segment: wire.Segment) -> None:
        """Final text; the same words will stand in the transcript."""
        if _shown(call):
            told = {
                "event": FINAL,
                "speaker": segment.speaker,
                "text": segment.text,
                "start_ms": segment.start_ms,
                "end_ms": segment.end_ms,
            }
            self._server.hub.publish(call.tenant.id, call.session, told)


def _shown(call: Call) -> bool:
    """What may not be kept is not shown either."""
    return call.capture.transcription.capture


def _state(call: Call) -> Message:
    return {"event": STATE, "callId": call.session, "state": call.machine.phase.value}
