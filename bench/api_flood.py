"""A login flood in a process of its own: ``python -m bench.api_flood PORT SECONDS RATE ADDRESSES``.

Open loop: attempts start on a schedule whether or not earlier ones were answered, each on a connection of its own from
the next of many loopback addresses, for accounts that exist and that do not. Prints how many got which status.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

import uvloop


def source(number: int) -> str:
    """The n-th source address, in 127.20.0.0/14."""
    return f"127.{20 + number // 65025}.{number // 255 % 255}.{number % 255 + 1}"


async def attempt(port: int, number: int, addresses: int, statuses: Counter[str]) -> None:
    """One wrong password from one address."""
    body = json.dumps({"email": f"user{number % 40}@bench.example", "password": f"wrong {number}"}).encode()
    head = "\r\n".join(
        (
            "POST /api/auth/login HTTP/1.1",
            "Host: api.local",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
            "\r\n",
        )
    )
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, local_addr=(source(number % addresses), 0)
            )
            writer.write(head.encode() + body)
            line = await reader.readline()
            statuses[line.split()[1].decode()] += 1
    except (OSError, TimeoutError, IndexError) as error:
        statuses[type(error).__name__] += 1
    finally:
        if writer is not None:
            writer.close()


async def main(port: int, seconds: float, rate: float, addresses: int) -> None:
    """Run the schedule, wait for the answers, print the counts."""
    loop, statuses, tasks = asyncio.get_running_loop(), Counter[str](), set()
    began = loop.time()
    for number in range(int(seconds * rate)):
        await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
        tasks.add(asyncio.create_task(attempt(port, number, addresses, statuses)))
    sent = loop.time() - began
    await asyncio.gather(*tasks)
    print(json.dumps({"rate": int(seconds * rate) / sent, "statuses": dict(statuses)}))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
