"""A framework as a server of calls: ``peer.py NAME SOCKET``, run by the peers' own Python, one line of JSON a question.

``{"open": number, "port": caller's RTP port}`` -> ``{"port": own RTP port}``; ``{"close": number}`` -> ``{}``.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))


async def serve(name: str, path: str) -> None:
    """Take questions until the process is ended."""
    module = importlib.import_module(f"peer_{name}")
    house = await module.start(os.environ["BENCH_VENDORS"])
    calls: dict[int, Any] = {}

    async def answer(question: dict[str, Any]) -> dict[str, Any]:
        if "open" in question:
            call = calls[question["open"]] = await house.open(question["port"])
            return {"port": call.line.port}
        await calls.pop(question["close"]).close()
        return {}

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            try:
                said = await answer(json.loads(line))
            except Exception as error:
                said = {"error": repr(error)}
            writer.write(json.dumps(said).encode() + b"\n")
            await writer.drain()

    server = await asyncio.start_unix_server(talk, path)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
