"""A tenant whose agent lives on the provider double, made through the API; and a caller that rings it and listens."""

from __future__ import annotations

import array
import asyncio
import audioop
import itertools
import json
import time
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from support.provider_double import Account, Double, Sound
from support.raw_phone import Message, RawPhone
from support.rtp_phone import FRAME_S, Received, RtpPhone
from support.running_node import CARRIER, Node

VOICES = Path(__file__).parents[1] / "data" / "voice"
_numbers = itertools.count(1)

GREETING, FILLER, APOLOGY, CLOSING = "Good morning.", "One moment please.", "So sorry about that.", "Goodbye then."
#: The pitch of every fixed sentence. Multiples of 50 Hz fall on one bin of a 20 ms frame.
PITCH = {GREETING: 500, FILLER: 700, APOLOGY: 900, CLOSING: 1100}


def clip(name: str) -> bytes:
    """A recorded word or sentence as PCM16, 8 kHz."""
    with wave.open(str(VOICES / f"{name}.wav")) as file:
        return file.readframes(file.getnframes())


def sound(ms: int) -> bytes:
    """Voice of ``ms`` that holds no words: the start of a sentence, cut off."""
    samples = array.array("h", clip("en_order_slt")[: 16 * ms])
    for place in range(160):
        samples[-1 - place] = samples[-1 - place] * place // 160
    return samples.tobytes()


@dataclass
class Desk:
    """One tenant with one agent behind one DID."""

    node: Node
    account: Account
    tenant_id: str
    number: str
    sip_domain: str
    ids: dict[str, str]

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the public API for this tenant."""
        return await self.node.client.call(method, path, body, self.tenant_id)

    async def change(self, keys: dict[str, Any]) -> None:
        """Set keys, and wait until calls that start now see them."""
        await self.api("PATCH", "/api/config", keys)
        await asyncio.sleep(0.5)

    async def trace(self, caller: str) -> dict[str, Any]:
        """The trace of the call from ``caller`` once it has ended."""
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            calls = (await self.api("GET", "/api/calls"))["items"]
            found = next((one for one in calls if one["from_number"] == caller), None)
            if found is not None and found["state"] == "ended":
                trace = await self.api("GET", f"/api/calls/{found['id']}/trace")
                if trace["conversations"]:
                    assert self.account.key not in json.dumps(trace), "the provider's key stands in the trace"
                    return dict(trace)
            await asyncio.sleep(0.2)
        raise AssertionError(f"no finished call from {caller}: {calls}")

    @asynccontextmanager
    async def call(self) -> AsyncIterator[Caller]:
        """Ring the agent from the carrier's address; hung up at the end if it still is up."""
        caller = await Caller.dial(self)
        try:
            yield caller
        finally:
            await caller.close()


@dataclass
class Places:
    """Where the three stages of a tenant are served; empty = on the double."""

    stt: str = ""
    llm: str = ""
    tts: str = ""


async def open_desk(
    node: Node,
    double: Double,
    *,
    keys: dict[str, Any] | None = None,
    agent: dict[str, Any] | None = None,
    did: dict[str, Any] | None = None,
    places: Places | None = None,
) -> Desk:
    """Make a tenant through the public API. ``keys``, ``agent`` and ``did`` add to what every desk has."""
    account = double.account()
    account.sounds = {text: Sound(hertz) for text, hertz in PITCH.items()}
    where = places or Places()
    serial = next(_numbers)
    call = node.client.call
    tenant = await call("POST", "/api/tenants", {"slug": f"desk{serial}", "name": f"Desk {serial}", "plan": "pro"})
    tenant_id = str(tenant["id"])

    async def make(plural: str, body: dict[str, Any]) -> str:
        return str((await call("POST", f"/api/{plural}", body, tenant_id))["id"])

    for stage, url in (("stt", where.stt), ("llm", where.llm), ("tts", where.tts)):
        secret = {"value": account.key, "base_url": url or double.url} if stage != "llm" else {"value": account.key}
        await call("PUT", f"/api/secrets/{stage}_api_key", secret | ({"host": "127.0.0.1"}), tenant_id)
    base = {
        "tenant.default_locale": "en",
        "ai.stt_provider": "openai",
        "ai.llm_base_url": where.llm or double.url,
        "ai.tts_provider": "openai",
    }
    await call("PATCH", "/api/config", base | (keys or {}), tenant_id)
    words = {"greeting": GREETING, "filler": FILLER, "apology": APOLOGY, "closing": CLOSING}
    ids = {"agent": await make("ai-agents", {"name": "Ada"} | words | (agent or {}))}
    await make("transcription-policies", {"name": "all"})
    ids["trunk"] = await make("trunks", {"name": "carrier", "cidrs": [f"{CARRIER}/32"]})
    number = f"+349100{10_000 + serial}"
    target = {"kind": "ai_agent", "id": ids["agent"]}
    # Last: whoever is answered on this number meets all of the above.
    ids["did"] = await make("dids", {"number": number, "trunk": ids["trunk"], "target": target} | (did or {}))
    config = await call("GET", "/api/config", None, tenant_id)
    return Desk(node, account, tenant_id, number, str(config["tenant.sip_domain"]), ids)


@dataclass(frozen=True)
class Tone:
    """One stretch of the agent's voice as the phone received it."""

    hertz: int
    begun: float
    ended: float

    @property
    def ms(self) -> float:
        """How long it was."""
        return (self.ended - self.begun) * 1000


@dataclass
class Caller:
    """A phone on the carrier's side."""

    desk: Desk
    number: str
    sip: RawPhone
    rtp: RtpPhone
    answered: float = 0.0
    _bye: Message | None = None
    _read: int = 0
    tones: list[Tone] = field(default_factory=list)

    @classmethod
    async def dial(cls, desk: Desk) -> Self:
        """Ring and wait for the answer; a configuration that is still spreading gets a second."""
        host, _, port = desk.node.proxy.partition(":")
        number = f"+3460000{1_000 + next(_numbers)}"
        rtp = await RtpPhone.open(CARRIER)
        for _ in range(10):
            sip = await RawPhone.open(number, "carrier.example.com", "", (host, int(port)), CARRIER)
            answer = await sip.invite(desk.number, rtp.port, auth=False, insist=True)
            if answer.status == 200:
                break
            sip.close()
            await asyncio.sleep(0.2)
        assert answer.status == 200, answer.first_line
        caller = cls(desk, number, sip, rtp, time.monotonic())
        rtp.call(host, answer.rtp_port)
        rtp.start()
        return caller

    async def close(self) -> None:
        """Hang up if nobody has."""
        if self.bye is None:
            await self.sip.bye()
        await self.rtp.close()
        self.sip.close()

    @property
    def bye(self) -> Message | None:
        """The agent's BYE, if it came."""
        return next((one for one in self.sip.inbox if one.method == "BYE" and not one.status), None)

    async def hung_up(self, timeout: float = 20.0) -> Message:
        """Wait for the agent's BYE."""
        return await self.sip.wait("BYE", timeout)

    async def say(self, pcm16: bytes) -> float:
        """Speak; the moment at which the last frame of it was sent."""
        self.rtp.play(pcm16)
        while self.rtp.playing_ms:
            await asyncio.sleep(0.005)
        return time.monotonic()

    def heard(self) -> list[Tone]:
        """Every stretch of tone so far, 40 ms or longer."""
        for packet in self.rtp.received[self._read :]:
            if packet.payload_type == 0 and len(packet.payload) == 160:
                self._hear(packet)
        self._read = len(self.rtp.received)
        return [tone for tone in self.tones if tone.hertz and tone.ms >= 40]

    def pitches(self) -> list[int]:
        """What was heard, in order, by pitch."""
        return [tone.hertz for tone in self.heard()]

    def _hear(self, packet: Received) -> None:
        hertz = _pitch(packet)
        last = self.tones[-1] if self.tones else None
        if last is not None and last.hertz == hertz:
            self.tones[-1] = Tone(hertz, last.begun, packet.at + FRAME_S)
        else:
            self.tones.append(Tone(hertz, packet.at, packet.at + FRAME_S))

    async def until(self, happened: Callable[[], Any], what: str, timeout: float = 15.0) -> Any:
        """Wait for something; AssertionError with everything that was heard otherwise."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = happened()
            if found:
                return found
            await asyncio.sleep(0.005)
        raise AssertionError(f"{what} did not happen in {timeout} s; heard {self.heard()}; {self.desk.account.ledger}")

    async def hears(self, hertz: int, *, after: float = 0.0, timeout: float = 15.0) -> Tone:
        """Wait for the start of a tone of this pitch."""

        def find() -> Tone | None:
            return next((tone for tone in self.heard() if tone.hertz == hertz and tone.begun > after), None)

        found: Tone = await self.until(find, f"a tone of {hertz} Hz", timeout)
        return found

    async def silence_after(self, hertz: int, quiet_ms: int = 100, timeout: float = 15.0) -> float:
        """Wait until a tone of this pitch has been over for ``quiet_ms``; when its last frame came."""
        await self.hears(hertz, timeout=timeout)

        def find() -> float | None:
            self.heard()
            ended = max(tone.ended for tone in self.tones if tone.hertz)
            now = time.monotonic()
            return ended if self.tones[-1].hertz == 0 and now - ended >= quiet_ms / 1000 else None

        ended: float = await self.until(find, f"silence after {hertz} Hz", timeout)
        return ended

    def voice_after(self, moment: float) -> Tone | None:
        """The first sound of the agent that begins after ``moment``."""
        return next((tone for tone in self.heard() if tone.begun > moment), None)


def _pitch(packet: Received) -> int:
    """The strongest frequency of a 20 ms PCMU frame in Hz, 0 for silence."""
    samples = np.frombuffer(audioop.ulaw2lin(packet.payload, 2), "<i2").astype(float)
    if float(np.sqrt((samples**2).mean())) < 200:
        return 0
    return int(np.abs(np.fft.rfft(samples * np.hanning(160))).argmax()) * 50
