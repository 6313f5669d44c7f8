"""``make bench-api``: what signing in and being signed in cost, and whether a login flood is felt by the others.

1. *Authenticated request*: CPU of the api process (all its threads, user and system, from ``schedstat``) for a request
   on a kept connection with a remembered token, less that of the same handler without a gate; rounds alternate, the
   figure is the median of the pairs. Users stay below the published limit of 600 requests a minute.
2. *Role and tenant checks*: in the process, thread CPU, without HTTP.
3. *Login flood*: 200 attempts a second, open loop, from 1,000 addresses, in a process of its own; meanwhile another
   process's worth of ordinary requests (``GET /api/me`` and a listing), 50 a second, open loop, each timed from the
   moment it was due. The api process, PostgreSQL, the flood and the requests share the machine's cores.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.machine import Rounds, describe, percentile, rounds, row
from sivo.base.settings import Settings
from sivo.db.bootstrap import open_server

#: People whose requests are costed, and people whose requests a flood may disturb: none may reach the published limit.
USERS, OTHERS, PER_USER, ROUNDS = 20, 10, 25, 7
FLOOD_S, FLOOD_RATE, FLOOD_ADDRESSES, OTHERS_RATE = 20.0, 200.0, 1_000, 50.0
FLOOD_ROUNDS = 3
#: What a refused request of the others counts as.
REFUSED_MS = 10_000.0
PASSWORD = "a bench's own pass phrase"
GOALS = {"request": 250.0, "checks": 30.0, "flood": 50.0}


@dataclass
class Api:
    """A running api process and people who are signed in to it."""

    port: int
    pid: int
    tokens: list[str] = field(default_factory=list)

    def cpu_us(self) -> float:
        """CPU microseconds of all threads so far (proc(5): the first figure of schedstat, nanoseconds)."""
        tasks = Path(f"/proc/{self.pid}/task")
        return sum(int((one / "schedstat").read_text().split()[0]) for one in tasks.iterdir()) / 1000


@asynccontextmanager
async def running(port: int) -> AsyncIterator[Api]:
    """PostgreSQL, an api process, a tenant with users; everything ends with the block."""
    with tempfile.TemporaryDirectory(prefix="sivo-bench-") as folder:
        home = Path(folder) / "n"
        home.mkdir(mode=0o700)
        settings = Settings(home=home, http_port=port)
        server = await open_server(settings)
        environment = {**os.environ, "SIVO_HOME": str(home), "SIVO_HTTP_PORT": str(port)}
        command = [sys.executable, "-m", "bench.api_child"]
        child = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
        try:
            assert child.stdout is not None
            said = (await asyncio.wait_for(child.stdout.readline(), 60)).split()
            api = Api(port, int(said[1]))
            await _people(api, settings)
            yield api
        finally:
            child.terminate()
            await child.wait()
            await server.stop()


async def _people(api: Api, settings: Settings) -> None:
    transport = httpx.AsyncHTTPTransport(uds=str(settings.api_socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://local", timeout=30) as local:
        made = await local.post("/api/tenants", json={"slug": "bench", "name": "Bench", "plan": "pro"})
        headers = {"X-Tenant-Id": made.json()["id"]}
        for number in range(USERS + OTHERS):
            body = {"email": f"user{number}@bench.example", "name": "b", "role": "viewer"}
            user = (await local.post("/api/users", json=body, headers=headers)).json()
            path = f"/api/users/{user['id']}/password"
            (await local.post(path, json={"password": PASSWORD}, headers=headers)).raise_for_status()
    for number in range(USERS + OTHERS):
        source = httpx.AsyncHTTPTransport(local_address=f"127.10.0.{number + 1}")
        async with httpx.AsyncClient(transport=source, base_url=f"http://127.0.0.1:{api.port}", timeout=30) as client:
            body = {"email": f"user{number}@bench.example", "password": PASSWORD}
            answer = await client.post("/api/auth/login", json=body)
            api.tokens.append(answer.raise_for_status().json()["access_token"])


class Line:
    """One kept connection; requests one after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
        self._reader = reader
        self._writer = writer
        self._token = token

    @classmethod
    async def open(cls, api: Api, token: str = "") -> Line:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", api.port), token)

    async def get(self, path: str) -> bytes | None:
        """The body of a 200, None for any other status."""
        authorization = f"Authorization: Bearer {self._token}\r\n" if self._token else ""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: api.local\r\n{authorization}\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        return body if b" 200 " in head.split(b"\r\n", 1)[0] else None

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def _cost(api: Api, path: str, tokens: list[str]) -> float:
    """CPU microseconds of the api process a request; connections are made before and ended after."""
    lines = [await Line.open(api, token) for token in tokens]
    for line in lines:
        await line.get(path)
    before = api.cpu_us()
    for _ in range(PER_USER):
        for line in lines:
            if await line.get(path) is None:
                raise RuntimeError(f"{path} was refused")
    cost = (api.cpu_us() - before) / (len(lines) * PER_USER)
    for line in lines:
        line.close()
    return cost


async def requests(api: Api) -> Rounds[tuple[float, float]]:
    """Cost of the open handler, and what the gate adds to it, by round."""
    nobody, people = [""] * USERS, api.tokens[:USERS]
    await _cost(api, "/bench/open", nobody)
    await _cost(api, "/bench/gated", people)  # tokens are verified and remembered, code is warm

    async def pair() -> tuple[float, float]:
        plain = await _cost(api, "/bench/open", nobody)
        return plain, await _cost(api, "/bench/gated", people) - plain

    # So many rounds that nobody can reach the published limit, however many are void.
    return await rounds(pair, ROUNDS, most=20)


async def checks(api: Api) -> dict[str, float]:
    """Microseconds of role and tenant checks."""
    line = await Line.open(api, api.tokens[0])
    found: dict[str, float] = json.loads(await line.get("/bench/checks") or b"{}")
    line.close()
    return found


async def others(api: Api, seconds: float) -> list[float]:
    """Milliseconds of ordinary requests from the moment each was due."""
    loop = asyncio.get_running_loop()
    free: asyncio.Queue[Line] = asyncio.Queue()
    for token in api.tokens[USERS:]:  # so few that none idles until the server hangs up (5 s)
        free.put_nowait(await Line.open(api, token))
    times: list[float] = []

    async def one(due: float, path: str) -> None:
        line = await free.get()
        served = await line.get(path)
        times.append((loop.time() - due) * 1000 if served is not None else REFUSED_MS)
        free.put_nowait(line)

    began, running_ = loop.time(), []
    for number in range(int(seconds * OTHERS_RATE)):
        due = began + number / OTHERS_RATE
        await asyncio.sleep(max(0.0, due - loop.time()))
        running_.append(asyncio.create_task(one(due, ("/api/me", "/api/webhooks")[number % 2])))
    await asyncio.gather(*running_)
    while not free.empty():
        free.get_nowait().close()
    return times


async def flood(api: Api) -> tuple[list[float], dict[str, object]]:
    """Ordinary requests while the flood runs, and what the flood got."""
    arguments = [str(api.port), str(FLOOD_S), str(FLOOD_RATE), str(FLOOD_ADDRESSES)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.api_flood", *arguments, stdout=asyncio.subprocess.PIPE
    )
    await asyncio.sleep(1.0)
    times = await others(api, FLOOD_S - 2)
    said, _ = await process.communicate()
    return times, json.loads(said)


def verdict(name: str, figure: float, unit: str) -> str:
    """The figure beside its goal."""
    return f"  goal {GOALS[name]:g} {unit}: {'met' if figure <= GOALS[name] else 'MISSED'} ({figure:.1f} {unit})"


async def main() -> int:
    """Print everything; 1 when a goal is missed."""
    print(describe())
    print("method: one api process on loopback with a private PostgreSQL; see bench/api_load.py\n")
    figures: dict[str, float] = {}
    async with running(int(os.environ.get("BENCH_API_PORT", "25080"))) as api:
        kept = await requests(api)
        plain, added = (list(column) for column in zip(*kept.found, strict=True))
        print("1. cached authenticated request, CPU of the api process")
        print(row("without a gate", plain, "us"))
        print(row("added by authentication", added, "us"))
        print(f"  {kept.told()}")
        figures["request"] = statistics.median(added)
        print(verdict("request", figures["request"], "us"))
        found = await checks(api)
        figures["checks"] = found["median_us"]
        print("2. role and tenant checks, thread CPU")
        print(f"  median {found['median_us']:.2f} us, worst round {found['worst_us']:.2f} us")
        print(verdict("checks", figures["checks"], "us"))
        print(f"3. login flood: {FLOOD_RATE:g}/s from {FLOOD_ADDRESSES} addresses, others {OTHERS_RATE:g}/s")
        print(row("others, no flood", await others(api, 5), "ms"))
        p99s = []
        floods = await rounds(lambda: flood(api), FLOOD_ROUNDS, most=8)
        for times, said in floods.found:
            p99s.append(percentile(times, 0.99))
            print(row("others, in the flood", times, "ms") + f"  p99 {p99s[-1]:.1f}  flood {json.dumps(said)}")
        print(f"  {floods.told()}")
        figures["flood"] = statistics.median(p99s)
        print(verdict("flood", figures["flood"], "ms"))
    return int(any(figures[name] > goal for name, goal in GOALS.items()))


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
