"""``sivo simulate`` as people start it: one process, scripts and ledgers over HTTP, a clean end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from support.ports import free_port

PORT = free_port()


@asynccontextmanager
async def simulate(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "sivo.cli.main", "simulate", "--port", str(PORT), *options]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await asyncio.wait_for(process.wait(), 10)


async def _serving(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
    assert f"http://127.0.0.1:{PORT}" in line
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", PORT)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise AssertionError("nobody listens")


async def test_any_key_scripts_and_ledgers() -> None:
    async with simulate() as process, aiohttp.ClientSession(f"http://127.0.0.1:{PORT}") as http:
        await _serving(process)
        script = {"faults": [{"protocol": "deepgram", "kind": "no_credit"}]}
        async with http.put("/sim/accounts/mine", json=script) as made:
            assert made.status == 200
        query = {"model": "nova-2", "encoding": "mulaw", "sample_rate": "8000"}
        async with http.get("/v1/listen", params=query, headers={"Authorization": "Token mine"}) as refused:
            assert refused.status == 402
            assert (await refused.json())["err_code"] == "ASR_PAYMENT_REQUIRED"
        async with http.get("/sim/accounts/mine/ledger") as ledger:
            (entry,) = (await ledger.json())["entries"]
        assert (entry["protocol"], entry["what"], entry["data"]["query"]) == ("deepgram", "open", query)
        async with http.put("/sim/accounts/mine", json={"nonsense": 1}) as wrong:
            assert wrong.status == 422
        socket = await http.ws_connect("/v1/listen", params=query, headers={"Authorization": "Token somebody"})
        await socket.send_str('{"type":"CloseStream"}')
        assert (await socket.receive_json(timeout=5))["type"] == "Results"
        await socket.close()
    assert process.returncode == 0


async def test_a_script_file_names_the_keys_that_are_accepted(tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    file.write_text(json.dumps({"mine": {"stt": {"utterances": ["hello"]}}}))
    query = {"model": "nova-2", "encoding": "mulaw", "sample_rate": "8000"}
    async with simulate("--script", str(file)) as process, aiohttp.ClientSession(f"http://127.0.0.1:{PORT}") as http:
        await _serving(process)
        async with http.get("/v1/listen", params=query, headers={"Authorization": "Token other"}) as refused:
            assert refused.status == 401
        socket = await http.ws_connect("/v1/listen", params=query, headers={"Authorization": "Token mine"})
        await socket.close()


async def test_a_script_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "accounts.json"
    file.write_text('{"mine": {"stt": {"utterances": 3}}}')
    async with simulate("--script", str(file)) as process:
        assert process.stderr is not None
        text = (await process.stderr.read()).decode()
        assert await process.wait() == 2
    assert str(file) in text
    assert "Traceback" not in text
