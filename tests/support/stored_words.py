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

#: All phones live in one process of the test: more of them at a time and their own audio comes late.
AT_A_TIME, TRIALS = 3, 3
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


class HurtOnTheWayError(Exception):
    """Packets of a voice came too late to be played: what was transcribed is not what was said."""


def _hurt(trace: dict[str, Any]) -> bool:
    """Whether media had to make up, leave out or jump over frames of a leg: on this machine, alone, it never has to."""
    legs = trace["call"]["stats"]["media"]["legs"]
    return any(leg[what] for leg in legs.values() for what in ("late", "lost", "concealed", "dropped", "skipped"))


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
        if said != {"caller": CALLER, "agent": PERSON} and _hurt(trace):
            raise HurtOnTheWayError(f"{broken.name}: {said}, {trace['call']['stats']['media']['legs']}")
        assert said == {"caller": CALLER, "agent": PERSON}, f"stored: {said}"
        opened = len(one.opened(broken.protocol))
        assert opened >= (4 if broken.again else 2), f"the fault was not met: {opened} connections"
        assert one.account.offences == [], one.account.offences


async def _on_a_whole_line(node: Node, vendors: Vendors, broken: Broken) -> None:
    """:func:`stored`, with another call when the phones' audio itself was hurt; three such calls are a failure."""
    for trial in range(1, TRIALS + 1):
        try:
            await stored(node, vendors, broken)
            break
        except HurtOnTheWayError as hurt:
            print("the line was bad:", hurt)
            if trial == TRIALS:
                raise


async def all_stored(node: Node, vendors: Vendors, matrix: list[Broken]) -> None:
    """Three calls at a time on one node; every failure is told."""
    limit = asyncio.Semaphore(AT_A_TIME)

    async def one_of_three(broken: Broken) -> None:
        async with limit:
            await _on_a_whole_line(node, vendors, broken)

    results = await asyncio.gather(*(one_of_three(one) for one in matrix), return_exceptions=True)
    failed = [f"{one.name}: {result!r}" for one, result in zip(matrix, results, strict=True) if result is not None]
    assert not failed, "\n\n".join(failed)
