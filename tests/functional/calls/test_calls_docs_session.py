"""The pages of ``docs`` that are sessions, typed: commands in one shell, calls where the page says somebody calls."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from call_house import House
from test_calls_plan import call_agent, outcome, settle

from support.running_api import running_api

DOCS = Path(__file__).parents[3] / "docs"
_END = "=== that was it ==="


def steps(page: str) -> Iterator[tuple[str, str, str]]:
    """(``type``, command, expected output) and (``call``, variable, days) in the order of the page."""
    for block in re.finditer(r"```console\n(.*?)```|<!-- call (\w+) (\d+) -->", page, re.DOTALL):
        if block[2]:
            yield "call", block[2], block[3]
            continue
        for typed in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block[1], re.MULTILINE):
            yield "type", typed[1], typed[2]


def fits(printed: str, expected: str) -> bool:
    """Whether the output is the one on the page; ``…`` on a line of its own stands for any lines."""
    pattern = ""
    for line in expected.splitlines():
        loose = [re.escape(part) for part in re.split(r"(?:…|  +)", line)]
        marks = [r"\s\s+" if mark.startswith(" ") else ".*?" for mark in re.findall(r"(?:…|  +)", line)]
        joined = loose[0] + "".join(mark + part for mark, part in zip(marks, loose[1:], strict=True))
        pattern += r"(?:.*\n)*?" if line == "…" else joined.replace(r".*?\s\s+", r".*?\s+") + r"\s*\n"
    return re.fullmatch(pattern, printed) is not None


class Shell:
    """One shell for a whole page."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def open(cls, folder: Path, home: Path) -> Shell:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        kept = {"PATH": path, "HOME": str(folder), "SIVO_HOME": str(home), "SIVO_TENANT": "acme", "COLUMNS": "200"}
        process = await asyncio.create_subprocess_exec(
            "bash", "--norc", cwd=folder, env={**os.environ, **kept}, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        return cls(process)

    async def type(self, command: str) -> str:
        """What ``command`` prints, errors included."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{command}\necho '{_END}'\n".encode())
        printed = ""
        async with asyncio.timeout(60):
            while not printed.endswith(f"{_END}\n"):
                line = await self._process.stdout.readline()
                assert line, f"the shell is gone after {command}: {printed}"
                printed += line.decode()
        return printed.removesuffix(f"{_END}\n")

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


@pytest.mark.parametrize("name", ["configuration-session.md", "configuration-in-git.md"])
async def test_the_page_is_true(house: House, tmp_path: Path, name: str) -> None:
    found = list(steps((DOCS / name).read_text(encoding="utf-8")))
    assert len(found) > 8
    async with running_api(house.settings, house.database):
        shell = await Shell.open(tmp_path, house.settings.home)
        try:
            for kind, what, expected in found:
                if kind == "type":
                    printed = await shell.type(what)
                    assert fits(printed, expected), f"$ {what}\n{printed}\n--- the page says\n{expected}"
                    continue
                rows = await house.fetch("select config_version from tenant")
                await settle(house, rows[0]["config_version"])
                call = await call_agent(house, turns=1)
                assert (await outcome(house, call))["recording.retention_days"] == int(expected)
                await shell.type(f"{what}={call['id']}")
        finally:
            await shell.close()
