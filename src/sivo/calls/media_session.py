"""One call's session in a media process: commands in the order in which the call wants them.

Only opening and adding legs are waited for, because their answers are needed; everything else is sent and watched: a
refusal is reported through ``on_refused``, and a broken line ends the call by itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from sivo.base.errors import SivoError
from sivo.calls.media_link import MEDIA_GONE, MediaLink, MediaPool
from sivo.media import protocol as wire
from sivo.sip.offer_answer import AudioStream
from sivo.sip.peer import Peer

CALLER = "caller"
CALLEE = "callee"
#: Recording channel of each leg: left the caller, right who answers.
CHANNELS = {CALLER: 0, CALLEE: 1}
#: Seconds to wait for the end record of a session.
CLOSE_SECONDS = 2.0


class MediaSession:
    """A session on one media process, from open to close."""

    def __init__(self, link: MediaLink, session: str, on_refused: Callable[[SivoError], None]) -> None:
        self.link = link
        self.id = session
        #: Our port of every leg.
        self.ports: dict[str, int] = {}
        #: The leg in media that sits in each seat.
        self.names = {CALLER: CALLER, CALLEE: CALLEE}
        #: What was counted on legs that have left.
        self.left: dict[str, dict[str, Any]] = {}
        #: Legs whose carrier sends keys as sound.
        self.keys_as_sound: set[str] = set()
        self.closed: asyncio.Future[dict[str, Any]] | None = None
        #: Ports that were asked for at the opening, by leg.
        self._asked: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._on_refused = on_refused

    @classmethod
    async def open(
        cls,
        pool: MediaPool,
        *,
        session: str,
        tenant: str,
        call: str,
        key: bytes,
        sealed_key: bytes,
        about: bytes,
        record: bool,
        legs: Mapping[str, str],
        on_refused: Callable[[SivoError], None],
    ) -> MediaSession:
        """Open a session where there is most room, and ask with the same breath for the ports of ``legs``, each on its
        host (see :meth:`port`). Raises SivoError when no process takes it."""
        link = pool.choose()
        opened = cls(link, session, on_refused)
        link.sessions.add(session)
        answer = link.command(
            wire.OpenSession,
            session=session,
            tenant=tenant,
            call=call,
            journal_key=key,
            journal_key_sealed=sealed_key,
            about=about,
            record=record,
        )
        for leg, host in legs.items():
            opened._asked[leg] = opened._ask_for(leg, host, CHANNELS[leg])
            opened._asked[leg].add_done_callback(_heard)
        try:
            await answer
        except SivoError:
            link.sessions.discard(session)
            raise
        return opened

    async def port(self, leg: str) -> int:
        """A port that was asked for at the opening; raises SivoError."""
        self.ports[leg] = int((await self._asked[leg])["port"])
        return self.ports[leg]

    async def add_leg(self, leg: str, host: str, channel: int | None = None) -> int:
        """Allocate an RTP port on ``host``; raises SivoError."""
        result = await self._ask_for(leg, host, CHANNELS[leg] if channel is None else channel)
        self.ports[leg] = int(result["port"])
        return self.ports[leg]

    def _ask_for(self, leg: str, host: str, channel: int) -> asyncio.Future[dict[str, Any]]:
        return self.link.command(wire.AddLeg, session=self.id, leg=leg, channel=channel, host=host)

    def remove_leg(self, leg: str) -> None:
        """Free the port of a leg that is in nobody's seat any more; what it counted is kept."""
        if self.ports.pop(leg, None) is None:
            return

        def keep(future: asyncio.Future[dict[str, Any]]) -> None:
            if not future.cancelled() and future.exception() is None:
                self.left[leg] = future.result()

        self.link.command(wire.RemoveLeg, session=self.id, leg=leg).add_done_callback(keep)

    def set_remote(self, leg: str, stream: AudioStream, signalled_from: Peer) -> None:
        """Where and how to send on a leg; again after each new agreement with the phone at ``signalled_from``."""
        keys = stream.srtp
        remote = wire.Remote(
            host=stream.host,
            port=stream.port,
            payload_type=stream.payload_type,
            dtmf_payload_type=stream.dtmf_payload_type,
            ptime_ms=stream.ptime_ms,
            send=stream.send,
            receive=stream.receive,
            behind_nat=is_behind_nat(stream.host, signalled_from.host),
            rtcp_port=stream.rtcp_port,
            rtcp_mux=stream.rtcp_mux,
            keys_as_sound=leg in self.keys_as_sound,
            srtp=None if keys is None else wire.SrtpKeys(suite=keys.suite, ours=keys.ours, theirs=keys.theirs),
        )
        self._tell(wire.SetRemote, leg=self.names.get(leg, leg), remote=remote)

    def take_digit(self, leg: str, digit: str, duration_ms: int) -> None:
        """A key that a phone sent beside its audio."""
        self._tell(wire.TakeDigit, leg=self.names.get(leg, leg), digit=digit, duration_ms=duration_ms, quiet=True)

    def send_digits(self, leg: str, digits: str) -> None:
        """Press keys towards a phone or an IVR."""
        self._tell(wire.SendDigits, leg=self.names.get(leg, leg), digits=digits, quiet=True)

    def start_capture(self, record: bool) -> None:
        """Start the capture clock, and keep frames when ``record``."""
        self._tell(wire.StartCapture, record=record)

    def stop_capture(self) -> None:
        """Keep no more frames."""
        self._tell(wire.StopCapture)

    def bridge(self) -> None:
        """Caller and callee hear each other."""
        self._tell(wire.Bridge, a=self.names[CALLER], b=self.names[CALLEE])

    def mix(self, leg: str, *, hears: list[str], heard_by: list[str], recorded: bool) -> None:
        """A guest's row of the mixing matrix; seats are named as caller and callee."""
        hears, heard_by = ([self.names.get(name, name) for name in names] for names in (hears, heard_by))
        self._tell(wire.Mix, leg=leg, hears=hears, heard_by=heard_by, recorded=recorded, quiet=True)

    def unbridge(self) -> None:
        """Neither hears the other any more."""
        self._tell(wire.Unbridge)

    def start_conversation(self, spec: wire.ConversationSpec) -> None:
        """Let the AI agent talk with the caller."""
        self._tell(wire.StartConversation, leg=CALLER, spec=spec)

    def stop_conversation(self, reason: str) -> None:
        """Silence the AI agent; it may have ended by itself a moment ago, so a refusal means nothing."""
        self._tell(wire.StopConversation, reason=reason, quiet=True)

    def start_transcription(self, spec: wire.TranscriptionSpec) -> None:
        """Transcribe what caller and callee say to each other."""
        self._tell(wire.StartTranscription, spec=spec)

    def stop_transcription(self) -> None:
        """Transcribe nothing more, at once."""
        self._tell(wire.StopTranscription)

    def close(self, reason: str) -> asyncio.Future[dict[str, Any]]:
        """End the session; the future gives duration, frames and journal path, or raises SivoError."""
        if self.closed is None:
            self.closed = self.link.command(wire.CloseSession, session=self.id, reason=reason)
            self.closed.add_done_callback(self._forget)
        return self.closed

    def _forget(self, future: asyncio.Future[dict[str, Any]]) -> None:
        self.link.sessions.discard(self.id)
        self._on_refused = _nobody  # it knows the call, which knows this session: let both go at once
        if not future.cancelled():
            future.exception()

    def _tell(self, kind: type[Any], quiet: bool = False, **fields: Any) -> None:
        def report(future: asyncio.Future[dict[str, Any]]) -> None:
            if future.cancelled():
                return
            error = future.exception()
            if isinstance(error, SivoError) and error.code != MEDIA_GONE and not quiet and self.closed is None:
                self._on_refused(error)

        self.link.command(kind, session=self.id, **fields).add_done_callback(report)


def _nobody(_error: SivoError) -> None:
    """The session is closed."""


def _heard(future: asyncio.Future[dict[str, Any]]) -> None:
    """An error that nobody waits for is told by another command."""
    if not future.cancelled():
        future.exception()


def is_behind_nat(media_host: str, signalling_host: str) -> bool:
    """Whether the address in a peer's SDP means nothing: nobody can route to it, and its SIP comes from elsewhere.

    A routable address is believed even when it differs, for a carrier's media gateways are other hosts than its proxy.
    """
    return media_host != signalling_host and not ipaddress.ip_address(media_host).is_global
