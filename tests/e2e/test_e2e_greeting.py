"""A stock SIP phone rings the demo DID and hears the agent's greeting."""

from __future__ import annotations

import asyncio
import socket

import numpy as np
import pytest

from sivo.demo.platform import free_port
from support.baresip import Account, Baresip
from support.running_node import Node

pytestmark = pytest.mark.asyncio(loop_scope="session")

FRAME = 160


def spoken_seconds(samples: np.ndarray) -> float:
    """Seconds of 20 ms frames that are clearly louder than silence."""
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    return float((np.sqrt((whole**2).mean(axis=1)) > 200).sum() * 0.02) if len(whole) else 0.0


async def test_baresip_hears_the_greeting(node: Node) -> None:
    account = Account(node.tenant.extension, node.tenant.sip_domain, node.tenant.sip_password, node.proxy)
    dial = f"/dial sip:{node.tenant.did}@{node.tenant.sip_domain}"
    with Baresip(account, port=free_port(0, socket.SOCK_DGRAM), rtp=36500, commands=(dial,), seconds=8) as phone:
        await asyncio.sleep(9)
        heard, said = phone.heard(), phone.output()
    assert "200 OK" in said, said[-2000:]
    # The greeting lasts about three seconds; music, tones or a click would be longer or shorter.
    assert 1.5 < spoken_seconds(heard) < 8, f"{spoken_seconds(heard):.2f} s of {len(heard) / 8000:.2f} s"


async def test_a_wrong_password_is_not_answered(node: Node) -> None:
    account = Account(node.tenant.extension, node.tenant.sip_domain, "not-the-password", node.proxy)
    dial = f"/dial sip:{node.tenant.did}@{node.tenant.sip_domain}"
    # From an address of its own: who guesses is not heard for a while, and 127.0.0.1 is everybody's in this tier.
    port, guesser = free_port(0, socket.SOCK_DGRAM), "127.0.0.13"
    with Baresip(account, port=port, rtp=36520, commands=(dial,), seconds=4, host=guesser) as phone:
        await asyncio.sleep(4.5)
        heard, said = phone.heard(), phone.output()
    assert len(heard) == 0
    assert "200 OK" not in said, said[-2000:]
