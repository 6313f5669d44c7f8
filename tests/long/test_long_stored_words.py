"""Every word exactly once in the stored transcript: more faults, at more places of a word, on both engines."""

from __future__ import annotations

import pytest

from support import vendor_world
from support.running_node import running_node
from support.stored_words import Broken, all_stored

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(900)]

#: A word is 200 ms with 60 ms after it: these fall into words, onto their edges and between them.
PLACES = (560, 620, 680, 740, 800, 860, 1100, 1380)
MATRIX = [
    *(Broken("deepgram", "cut", place) for place in PLACES),
    *(Broken("scribe", "cut", place) for place in PLACES),
    *(Broken(protocol, "silent", place) for protocol in ("deepgram", "scribe") for place in PLACES[::3]),
    *(Broken("deepgram", kind) for kind in ("refused", "server_error", "rate_limited")),
    *(Broken("deepgram", kind, 700) for kind in ("net_0000", "net_0001", "data_0000")),
    *(Broken("scribe", kind) for kind in ("refused", "http_500", "http_429")),
    Broken("scribe", "duplicate", 500, again=False),
    Broken("deepgram", "garbage", 700),
    Broken("scribe", "garbage", 700),
]


async def test_every_word_is_stored_once() -> None:
    async with vendor_world.serve(range(38200, 38260)) as vendors:
        allow = [f"127.0.0.1/32:{vendors.port}"]
        async with running_node(allow=allow) as node:
            for start in range(0, len(MATRIX), 6):
                await all_stored(node, vendors, MATRIX[start : start + 6])
