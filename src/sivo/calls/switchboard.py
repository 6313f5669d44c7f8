"""What media processes say, brought to the calls: facts to rows and machine, a dead process to a BYE at once."""

from __future__ import annotations

import asyncio
from typing import Any

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.calls import inputs as ev
from sivo.calls.call import Call
from sivo.calls.exchange import Exchange
from sivo.calls.figures import CallFigures
from sivo.calls.live_feed import LiveFeed
from sivo.calls.media_link import MediaLink
from sivo.calls.recovery import Recovery
from sivo.media import protocol as wire

#: How long an ended call is still known: SIP repetitions of its BYE, its last messages for the ladder.
LINGER_SECONDS = 5.0
log = logs.get("calls")


class Switchboard:
    """Listener of the media pool (see :class:`sivo.calls.media_link.MediaListener`)."""

    def __init__(self, exchange: Exchange, live: LiveFeed, figures: CallFigures) -> None:
        self._exchange = exchange
        self._live = live
        self._figures = figures
        self._tasks: set[asyncio.Task[None]] = set()
        self._closings: set[asyncio.Future[dict[str, Any]]] = set()
        self.recovery: Recovery | None = None

    # --- MediaListener ---

    def media_up(self, link: MediaLink, hello: wire.Hello) -> None:
        """Sessions that belong to no call of ours are orphans of an earlier process: they are ended."""
        for session in hello.sessions:
            call = self._exchange.by_id(session)
            if call is None or call.ended:
                tenant = str(call.tenant.id) if call is not None else ""
                log.warning("orphaned media session closed", tenant=tenant, call=session, media=link.index)
                closing = link.command(wire.CloseSession, session=session, reason="node_failure")
                closing.add_done_callback(self._closings.discard)
                self._closings.add(closing)

    def media_lost(self, link: MediaLink) -> None:
        """Every call on that process is over."""
        self._figures.media.pop(link.index, None)
        for call in self._exchange.calls:
            if call.media is not None and call.media.link is link and call.session in link.sessions:
                call.post(ev.MediaDied())

    def media_fact(self, link: MediaLink, fact: wire.Fact) -> None:
        """Write it down, acknowledge it after the commit, and act on it at once."""
        call = self._exchange.by_id(fact.session)
        if call is None:
            return
        self._figures.fact(fact.body)
        call.writer.fact(fact, call.fact_context(), lambda: link.acknowledge(fact.session, fact.seq))
        match fact.body:
            case wire.ConversationEnded(reason=reason, transfer_to=transfer_to):
                call.post(ev.ConversationFinished(reason, transfer_to or (reason == "transfer" and call.told_to) or ""))
            case wire.Digit() as key:
                self._exchange.key_pressed(call, fact, key)
            case wire.Segment() as segment:
                self._live.said(call, segment)
            case wire.MediaTimeout(leg=leg) if not leg.startswith("guest"):
                call.post(ev.AudioLost(leg))

    def media_note(self, link: MediaLink, note: wire.Note) -> None:
        """What is of the moment goes to whoever looks on, and nobody keeps it."""
        self._figures.note(link.index, note)
        call = self._exchange.by_id(note.session) if note.session else None
        if call is not None:
            self._live.note(call, note.kind, note.data)

    # --- the end of calls ---

    def forget(self, call: Call) -> None:
        """Let a call go, a moment after its end."""
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._exchange.forget, call)

    def salvage(self, call: Call) -> None:
        """Media is gone without a last word: the journal has it."""
        task = asyncio.get_running_loop().create_task(self._salvage(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _salvage(self, call: Call) -> None:
        assert self.recovery is not None
        try:
            talked = call.agent is not None and call.answered_mono is not None
            found = await self.recovery.read(call.tenant.id, call.id, talked=talked)
            for fact in found.facts:
                call.writer.fact(fact, call.fact_context(), _nothing)
        except SivoError as error:
            ids = {"tenant": str(call.tenant.id), "call": str(call.id)}
            log.error("a journal is left to the next start", **ids, error=str(error))
            return
        call.writer.finished(call.journal_path, call.capture.fate(), call.capture.transcription.capture)
        log.warning("call salvaged", tenant=str(call.tenant.id), call=str(call.id), facts=len(found.facts))
        self.forget(call)

    async def orphans_closed(self, timeout: float) -> None:
        """Wait until orphaned sessions have written their last records, at most ``timeout`` seconds."""
        if self._closings:
            await asyncio.wait(set(self._closings), timeout=timeout)

    async def settle(self, timeout: float) -> None:
        """Wait for salvage that is under way, at most ``timeout`` seconds."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)


def _nothing() -> None:
    """There is nobody left to acknowledge to."""
