"""Starts a node for the demo as anybody would: ``sivo run`` in a process of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


def free_port(preferred: int, kind: socket.SocketKind) -> int:
    """``preferred`` when nobody has it, else any free port of the loopback address."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            number: int = probe.getsockname()[1]
            return number
    raise OSError("no free port on 127.0.0.1")


@dataclass(frozen=True)
class Ports:
    """Where the demo listens; all on 127.0.0.1."""

    http: int
    sip: int
    speech: int
    receiver: int

    @classmethod
    def choose(cls) -> Ports:
        """The documented ports where they are free."""
        return cls(
            http=free_port(8080, socket.SOCK_STREAM),
            sip=free_port(5060, socket.SOCK_DGRAM),
            speech=free_port(8090, socket.SOCK_STREAM),
            receiver=free_port(8099, socket.SOCK_STREAM),
        )


class Platform:
    """A running node below its own data directory.

    ``allow``: entries of the operator's outbound allow-list beside the demo's own receiver. ``settings``: further
    ``SIVO_…`` variables.
    """

    def __init__(
        self, home: Path, ports: Ports, allow: Sequence[str] = (), settings: Mapping[str, str] | None = None
    ) -> None:
        self.home = home
        self.ports = ports
        self._allow = (f"127.0.0.1/32:{ports.receiver}", *allow)
        self._settings = dict(settings or {})
        self._process: asyncio.subprocess.Process | None = None

    @property
    def log_path(self) -> Path:
        """Where the node's structured log goes."""
        return self.home.parent / f"{self.home.name}.log"

    @property
    def operator_port(self) -> int:
        """Where its figures are served; 0: nowhere."""
        return int(self.environment().get("SIVO_OPERATOR_PORT", "9464"))

    @property
    def pid(self) -> int:
        """Process id of the supervisor. ``RuntimeError`` when it was never started."""
        if self._process is None:
            raise RuntimeError("the node was not started")
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """Of the supervisor; None while it runs."""
        return self._process.returncode if self._process else None

    def environment(self) -> Mapping[str, str]:
        """The operator's side: ports, host names, and leave for the demo's own webhook receiver on loopback."""
        return {
            **os.environ,
            "SIVO_HOME": str(self.home),
            "SIVO_HTTP_PORT": str(self.ports.http),
            "SIVO_SIP_PORT": str(self.ports.sip),
            "SIVO_SPEECH_PORT": str(self.ports.speech),
            "SIVO_SIP_DOMAIN_SUFFIX": "sip.localhost",
            "SIVO_APP_DOMAIN_SUFFIX": "app.localhost",
            "SIVO_DANGEROUS_OUTBOUND_ALLOW": ",".join(self._allow),
            "SIVO_DANGEROUS_OUTBOUND_HTTP": "true",
            **self._settings,
        }

    async def start(self, patience: float = 60.0, *, fresh: bool = True) -> None:
        """Start (on new data if ``fresh``) and return when every role serves.

        ``RuntimeError`` with the log's place otherwise.
        """
        if fresh:
            shutil.rmtree(self.home, ignore_errors=True)
        (self.home / "run" / "ready").unlink(missing_ok=True)
        self.home.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sivo.cli.main",
                "run",
                env=self.environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        marker = self.home / "run" / "ready"
        try:
            async with asyncio.timeout(patience):
                while not marker.exists():
                    if self._process.returncode is not None:
                        raise RuntimeError(f"the node ended with {self._process.returncode}; its log: {self.log_path}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            await self.stop()
            raise RuntimeError(f"the node is not ready after {patience:.0f} s; its log: {self.log_path}") from None

    async def stop(self) -> None:
        """Ctrl-C, and wait for the clean end."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGINT)
        await self._process.wait()
