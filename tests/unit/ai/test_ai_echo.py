"""The echo guard on real clips: the agent's own voice coming back is found, a caller is not taken for it."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from sivo.ai.echo import EchoGuard, level

VOICES = Path(__file__).parents[2] / "data" / "voice"
Samples = npt.NDArray[np.float64]


def clip(name: str) -> Samples:
    with wave.open(str(VOICES / f"{name}.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)


AGENT = np.concatenate([clip("en_cancel_rms"), clip("en_order_slt"), clip("en_cancel_rms")])


def verdicts(heard: Samples) -> list[bool]:
    """The guard's verdict after each frame in which something was heard, from 1.2 s of agent speech on."""
    guard = EchoGuard()
    noise = np.random.default_rng(3).normal(0, 8, len(AGENT))
    line = np.zeros(len(AGENT))
    line[: len(heard)] += heard[: len(line)]
    out = []
    for place in range(0, len(AGENT) - 159, 160):
        frame = (line + noise)[place : place + 160]
        guard.tick(level(AGENT[place : place + 160].astype("<i2").tobytes()), level(frame.astype("<i2").tobytes()))
        if place >= 9600 and np.sqrt((frame**2).mean()) > 100:
            out.append(guard.is_echo())
    return out


@pytest.mark.parametrize("delay_ms", [0, 40, 120, 250, 380])
@pytest.mark.parametrize("gain_db", [-8, -20])
def test_the_agents_own_voice_is_found(delay_ms: int, gain_db: int) -> None:
    echo = np.concatenate((np.zeros(delay_ms * 8), AGENT)) * 10 ** (gain_db / 20)
    found = verdicts(echo)
    assert len(found) > 50
    assert sum(found) / len(found) > 0.9


@pytest.mark.parametrize("name", ["es_pedido_espeak", "de_frage_espeak", "en_order_slt", "en_yes_rms", "en_no_slt"])
@pytest.mark.parametrize("start_ms", [1500, 2300, 3100])
@pytest.mark.parametrize("gain_db", [0, -10])
def test_a_caller_is_no_echo(name: str, start_ms: int, gain_db: int) -> None:
    caller = np.concatenate((np.zeros(start_ms * 8), clip(name))) * 10 ** (gain_db / 20)
    found = verdicts(caller)
    assert len(found) >= 8
    assert sum(found) / len(found) < 0.2


def test_as_loud_as_the_agent_is_no_echo() -> None:
    assert not any(verdicts(AGENT * 0.9))


def test_nothing_sent_nothing_echoed() -> None:
    guard = EchoGuard()
    for _ in range(200):
        guard.tick(0.0, 500.0)
    assert not guard.is_echo()
