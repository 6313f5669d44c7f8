"""Ten minutes of two people: their channels stay together, and the recording stays as long as the call."""

from __future__ import annotations

import asyncio
import os

import numpy as np
import pytest

from support.company import Line
from support.place_to_hurt import Place
from support.rtp_phone import RtpPhone, tone

pytestmark = pytest.mark.asyncio(loop_scope="session")

MINUTES = float(os.environ.get("SIVO_TEST_SKEW_MINUTES", "10"))
EVERY_SECONDS, BURST_SECONDS = 10.0, 0.2
SKEW_MS, LENGTH_MS = 20.0, 60.0


def beats(seconds: float) -> bytes:
    """A short tone every ten seconds, silence in between; the first after a second."""
    rest = bytes(2 * int(8000 * (EVERY_SECONDS - BURST_SECONDS)))
    return bytes(2 * 8000) + (tone(1000, BURST_SECONDS) + rest) * int(seconds / EVERY_SECONDS)


def onsets(samples: np.ndarray) -> np.ndarray:
    """Milliseconds at which the tones begin."""
    loud = np.flatnonzero(np.abs(samples) > 1000)
    first = np.flatnonzero(np.diff(loud, prepend=-80_000) > 8000)
    return loud[first] / 8


@pytest.mark.timeout(MINUTES * 60 + 300)
async def test_channels_stay_together(place: Place) -> None:
    company = place.company
    async with company.phone("201") as one, company.phone("202") as two:
        left, right = Line(one, await RtpPhone.open()), Line(two, await RtpPhone.open())
        two.auto_answer, two.rtp_port = 200, right.rtp.port
        assert (await two.register()).status == 200
        answer = await one.invite("202", left.rtp.port)
        assert answer.status == 200
        for line, message in ((left, answer), (right, await two.wait("INVITE"))):
            line.rtp.play(beats(MINUTES * 60))
            line.talk(message)
        await asyncio.sleep(MINUTES * 60 + 1)
        assert (await one.bye()).status == 200
        await left.rtp.close()
        await right.rtp.close()
    cdr = await company.ended("201")
    heard = await company.download((await company.recorded(cdr["id"], timeout=120))["id"])
    caller, agent = onsets(heard.caller), onsets(heard.agent)
    assert len(caller) == len(agent) == int(MINUTES * 60 / EVERY_SECONDS)
    apart = caller - agent
    print(f"{MINUTES:g} minutes: call {cdr['duration_ms']} ms, recording {heard.ms:.0f} ms")
    print(f"apart at the beginning {apart[0]:.0f} ms, at the end {apart[-1]:.0f} ms, most {np.abs(apart).max():.0f} ms")
    assert abs(heard.ms - cdr["duration_ms"]) <= LENGTH_MS
    assert np.abs(apart - apart[0]).max() <= SKEW_MS
