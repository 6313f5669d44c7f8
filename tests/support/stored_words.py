"""Calls whose transcription breaks in the middle, and what stands in the database afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from sivo.simulators.script import FaultOrder, SttScript
from support.ai_desk import clip
from support.people_desk import CALLER, HEARD, PERSON, talk, team, words
from support.running_node import Node
from support.tones import speak
from support.vendor_world import Vendors

ENGINES = {"deepgram": "deepgram", "scribe": "elevenlabs_scribe_v2_realtime"}


#: The same words in real voices, heard one stretch of voice after the other. Our VAD hears these, tones it does not,
#: and only the end of a voice makes an answer due, which a half-open line does not give.
VOICES = SttScript(utterances=[CALLER, PERSON])
CALLER_VOICE, PERSON_VOICE = "en_order_slt", "en_cancel_rms"


@dataclass(frozen=True)
class Broken:
    """One call: whose stream (both legs have one), what breaks, how far into the audio."""

    protocol: str
    kind: str
    after_ms: int = 0
    #: Whether a second connection is needed to get over it.
    again: bool = True

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.protocol} {self.kind} {self.after_ms}"


async def stored(node: Node, vendors: Vendors, broken: Broken, *, quiet_ms: int = 7000) -> None:
    """A whole call with the fault on both legs: every word that was said stands in the stored transcript once, in
    order, under the name of who said it."""
    keys = {"transcription.engine": ENGINES[broken.protocol]}
    async with team(node, vendors, keys) as one:
        order = FaultOrder(protocol=broken.protocol, kind=broken.kind, times=2, after_ms=broken.after_ms)
        one.account.script.faults.append(order)
        await one.api("POST", "/api/transcription-policies", {"name": "all"})
        await asyncio.sleep(1.0)
        said_by = speak(CALLER, HEARD), speak(PERSON, HEARD)
        if broken.kind == "silent":
            one.account.script.stt = VOICES
            said_by = clip(CALLER_VOICE), clip(PERSON_VOICE)
        trace: dict[str, Any] = await talk(one, *said_by, quiet_ms=quiet_ms)
        said = await words(one, trace, "caller", "agent")
        assert said == {"caller": CALLER, "agent": PERSON}, f"stored: {said}"
        opened = len(one.opened(broken.protocol))
        assert opened >= (4 if broken.again else 2), f"the fault was not met: {opened} connections"
        assert one.account.offences == [], one.account.offences


async def all_stored(node: Node, vendors: Vendors, matrix: list[Broken]) -> None:
    """All of them at a time on one node; every failure is told."""
    results = await asyncio.gather(*(stored(node, vendors, one) for one in matrix), return_exceptions=True)
    failed = [f"{one.name}: {result!r}" for one, result in zip(matrix, results, strict=True) if result is not None]
    assert not failed, "\n\n".join(failed)
