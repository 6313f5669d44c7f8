"""A tenant with people and phones, made through the API, and what its calls leave behind, read through the API."""

from __future__ import annotations

import asyncio
import io
import itertools
import time
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from support.baresip import Account
from support.raw_phone import Message, RawPhone
from support.rtp_phone import RtpPhone
from support.running_node import CARRIER, Node

_numbers = itertools.count(1)
#: Seconds before each question whether a change has reached the call role. Asked too early, an unknown account is a
#: wrong guess: three are free, then the answer waits longer each time.
SPREAD_PAUSES = (0.2, 0.8, 1.5, 1.5, 2.5, 4.5)


@dataclass
class Heard:
    """A recording as it was downloaded: samples (8 kHz) of caller and agent."""

    caller: np.ndarray
    agent: np.ndarray

    @property
    def ms(self) -> float:
        """Its length."""
        return len(self.caller) / 8


@dataclass
class Company:
    """One tenant: extensions 201 and 202, a trunk that rings from :data:`CARRIER`, a DID to extension 202."""

    node: Node
    tenant_id: str
    slug: str
    domain: str
    did: str
    passwords: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def sip(self) -> tuple[str, int]:
        """Where SIP is served."""
        return "127.0.0.1", self.node.platform.ports.sip

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the public API for this tenant."""
        return await self.node.client.call(method, path, body, self.tenant_id)

    async def make(self, plural: str, body: dict[str, Any]) -> dict[str, Any]:
        """Create a resource."""
        return dict(await self.api("POST", f"/api/{plural}", body))

    def account(self, number: str, answer: str = "manual") -> Account:
        """A SIP account for baresip."""
        return Account(number, self.domain, self.passwords[number], self.node.proxy, answer=answer)

    @asynccontextmanager
    async def phone(self, number: str, host: str = "127.0.0.1") -> AsyncIterator[RawPhone]:
        """A phone of an extension, not registered."""
        opened = await RawPhone.open(number, self.domain, self.passwords[number], self.sip, host)
        try:
            yield opened
        finally:
            opened.close()

    @asynccontextmanager
    async def carrier(self, number: str, host: str = CARRIER) -> AsyncIterator[RawPhone]:
        """The carrier's side, with the caller's number."""
        opened = await RawPhone.open(number, "carrier.example.com", "", self.sip, host)
        try:
            yield opened
        finally:
            opened.close()

    async def ended(self, caller: str, timeout: float = 20.0) -> dict[str, Any]:
        """The CDR of the last call from ``caller`` once it is over."""

        def over(call: dict[str, Any]) -> bool:
            return bool(call["state"] == "ended")

        return await self.call_of(caller, over, timeout)

    async def call_of(self, caller: str, fits: Callable[[dict[str, Any]], bool], timeout: float = 20.0) -> Any:
        """The newest call from ``caller``, as soon as it ``fits``."""
        deadline = time.monotonic() + timeout
        while True:
            calls = (await self.api("GET", "/api/calls"))["items"]
            found = next((one for one in calls if one["from_number"] == caller), None)
            if found is not None and fits(found):
                return found
            assert time.monotonic() < deadline, f"call of {caller}: {calls[:3]}"
            await asyncio.sleep(0.1)

    async def trace(self, call_id: str) -> dict[str, Any]:
        """Why it went as it did."""
        return dict(await self.api("GET", f"/api/calls/{call_id}/trace"))

    async def recorded(self, call_id: str, timeout: float = 30.0) -> dict[str, Any]:
        """The recording of a call as the trace shows it, once its fate is decided."""
        deadline = time.monotonic() + timeout
        while True:
            found = (await self.trace(call_id))["recording"]
            if found is not None and found["state"] != "pending":
                return dict(found)
            assert time.monotonic() < deadline, f"recording of {call_id}: {found}"
            await asyncio.sleep(0.1)

    async def download(self, recording_id: str) -> Heard:
        """The audio of a recording, both channels; it must be what a WAV player expects."""
        data = await self.node.client.get_bytes(f"/api/recordings/{recording_id}/audio", self.tenant_id)
        with wave.open(io.BytesIO(data)) as file:
            assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).astype(float)
        return Heard(samples[:, 0], samples[:, 1])


async def open_company(node: Node, *, recording: bool = True) -> Company:
    """Make one, and wait until its phones can register."""
    serial = next(_numbers)
    slug = f"company{serial}"
    tenant = await node.client.call("POST", "/api/tenants", {"slug": slug, "name": f"Company {serial}", "plan": "pro"})
    company = Company(node, str(tenant["id"]), slug, "", f"+3493{serial:03}0002")
    config = await company.api("GET", "/api/config")
    company.domain = str(config["tenant.sip_domain"])
    for number in ("201", "202"):
        made = await company.make("extensions", {"number": number})
        company.ids[number], company.passwords[number] = str(made["id"]), str(made["sip_password"])
    company.ids["trunk"] = str((await company.make("trunks", {"name": "carrier", "cidrs": [f"{CARRIER}/32"]}))["id"])
    target = {"kind": "extension", "id": company.ids["202"]}
    await company.make("dids", {"number": company.did, "trunk": company.ids["trunk"], "target": target})
    if recording:
        await company.make("recording-policies", {"name": "all"})
    await spread(company)
    return company


async def spread(company: Company) -> None:
    """Wait until the call role knows what was changed so far: it learns of a tenant as a whole, so of a new extension
    together with everything that was made before it."""
    number = str(210 + next(_numbers) % 700)
    made = await company.make("extensions", {"number": number})
    # From an address of its own: what this phone guesses too early is nobody else's fault.
    host = f"127.0.2.{next(_numbers) % 250 + 1}"
    phone = await RawPhone.open(number, company.domain, str(made["sip_password"]), company.sip, host)
    uri = f"sip:{company.domain}"
    try:
        for pause in SPREAD_PAUSES:
            await asyncio.sleep(pause)
            mark = len(phone.inbox)
            phone.send(phone.request("OPTIONS", uri))
            await asyncio.sleep(0.15)
            challenge = next((one for one in phone.inbox[mark:] if one.status == 401), None)
            if challenge is not None:
                header = phone.authorization(challenge, "OPTIONS", uri)
                phone.send(phone.request("OPTIONS", uri, extra=header))
                await asyncio.sleep(0.15)
                if any(one.status == 200 for one in phone.inbox[mark:]):
                    return
        raise AssertionError("what was changed is not known to the call role")
    finally:
        phone.close()
        await company.api("DELETE", f"/api/extensions/{made['id']}")


@dataclass
class Line:
    """A phone with sound: signalling and RTP."""

    sip: RawPhone
    rtp: RtpPhone

    def talk(self, message: Message, host: str = "127.0.0.1") -> None:
        """Send audio to where the SDP of ``message`` says, from now on."""
        self.rtp.call(host, message.rtp_port)
        self.rtp.start()

    async def close(self) -> None:
        """Free both sockets."""
        await self.rtp.close()
        self.sip.close()


def level_db(samples: np.ndarray, hertz: float) -> float:
    """Level of one frequency in dB of full scale: mean power of Hann-windowed blocks of 0.2 s."""
    block = 1600
    count = len(samples) // block
    if not count:
        return -120.0
    window = np.hanning(block)
    turn = np.exp(-2j * np.pi * hertz * np.arange(block) / 8000)
    blocks = samples[: count * block].reshape(count, block) / 32768 * window
    powers = (4 * np.abs(blocks @ turn) / block) ** 2 / 2
    return float(10 * np.log10(max(powers.mean(), 1e-12)))
