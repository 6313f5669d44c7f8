"""What the demo's caller says and when: it goes by what it hears, as a person does, never by a timetable."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from sivo.demo.caller_audio import clip_frames
from sivo.demo.caller_rtp import RtpPeer
from sivo.demo.caller_sip import SipCaller

#: The agent has finished when it was quiet for so long; pauses between its sentences are shorter.
_QUIET = 1.2
#: The agent has stopped for an interruption when it was quiet for so long.
_CUT = 0.35
_LOOK = 0.02


@dataclass(frozen=True)
class Step:
    """One thing to do. ``clip``: what to say; ``into``: say it once the agent has spoken for so many seconds, without
    letting it finish; ``hear``: seconds of voice that the answer must have before its end counts (fillers are shorter);
    ``last``: the agent is expected to hang up after its answer."""

    clip: str
    into: float | None = None
    hear: float = 0.6
    last: bool = False


SCRIPTS: dict[str, tuple[Step, ...]] = {
    "order": (
        # Its answer is not heard out: the next step breaks into it.
        Step("order_question"),
        Step("interruption", into=2.0, hear=2.5),
        Step("yes", hear=2.5),
        Step("goodbye", last=True),
    ),
    "yes": (Step("yes", hear=1.0), Step("goodbye", last=True)),
    "goodbye": (Step("goodbye", last=True),),
    "transfer": (Step("transfer", last=True),),
}


@dataclass
class Findings:
    """What the caller noticed; the report is made of it."""

    turns: list[dict[str, Any]] = field(default_factory=list)
    interruption: dict[str, Any] | None = None
    missing: list[str] = field(default_factory=list)


class Performance:
    """Plays one script in an answered call."""

    def __init__(self, sip: SipCaller, rtp: RtpPeer) -> None:
        self._sip = sip
        self._rtp = rtp
        self.findings = Findings()

    async def play(self, steps: tuple[Step, ...], patience: float = 20.0) -> None:
        """Go through ``steps``; each wait is bounded by ``patience`` seconds. What did not happen is in ``missing``."""
        if not await self._finished(time.monotonic() - 3600, 0.6, patience):
            self._miss("no greeting was heard")
            return
        for index, step in enumerate(steps):
            if self._sip.ended.is_set():
                self._miss(f"the call ended before {step.clip!r} was said")
                return
            following = steps[index + 1] if index + 1 < len(steps) else None
            if not await self._step(step, following, patience):
                return

    async def _step(self, step: Step, following: Step | None, patience: float) -> bool:
        started, ended = await self._rtp.say(clip_frames(step.clip))
        stopped = await self._stopped(started) if step.into is not None else None
        since = stopped or ended
        if not await self._until(lambda: self._rtp.heard.first_voice_since(since + 0.04) is not None, patience):
            self._miss(f"no answer to {step.clip!r}")
            return False
        answered = self._rtp.heard.first_voice_since(since + 0.04)
        assert answered is not None
        self.findings.turns.append({"said": step.clip, "response_ms": round((answered - ended) * 1000, 1)})
        if step.last:
            if not await self._until(self._sip.ended.is_set, patience):
                self._miss(f"the agent did not hang up after {step.clip!r}")
            return True
        if following is not None and following.into is not None:
            wanted = following.into
            if not await self._until(lambda: self._rtp.heard.voiced_since(answered) >= wanted, patience):
                self._miss(f"the answer to {step.clip!r} was too short to break into")
                return False
            return True
        if not await self._finished(answered, step.hear, patience):
            self._miss(f"the answer to {step.clip!r} was shorter than {step.hear} s of voice, or never ended")
            return False
        return True

    async def _stopped(self, started: float) -> float | None:
        """After an interruption that began at ``started``: when the agent's last frame of the old answer came."""

        def cut() -> bool:
            last = self._rtp.heard.last_voice
            return last is not None and time.monotonic() - last > _CUT

        if not await self._until(cut, 5.0):
            self._miss("the agent talked on when it was interrupted")
            return None
        last = self._cut_after(started)
        self.findings.interruption = {"stop_ms": round((last - started) * 1000, 1)}
        return last

    def _cut_after(self, started: float) -> float:
        """The last voiced frame before the first gap of :data:`_CUT` that began after ``started``."""
        voiced = self._rtp.heard.voiced
        gaps = (before for before, after in pairwise(voiced) if before >= started and after - before > _CUT)
        return next(gaps, voiced[-1])

    async def _finished(self, since: float, voice: float, patience: float) -> bool:
        """Wait until at least ``voice`` seconds of the agent were heard since ``since`` and it is quiet."""

        def quiet() -> bool:
            heard = self._rtp.heard
            last = heard.last_voice
            return last is not None and heard.voiced_since(since) >= voice and time.monotonic() - last >= _QUIET

        return await self._until(quiet, patience)

    async def _until(self, condition: Any, patience: float) -> bool:
        deadline = time.monotonic() + patience
        while not condition():
            if time.monotonic() > deadline or (self._sip.ended.is_set() and condition != self._sip.ended.is_set):
                return bool(condition())
            await asyncio.sleep(_LOOK)
        return True

    def _miss(self, what: str) -> None:
        self.findings.missing.append(what)
