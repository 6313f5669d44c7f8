"""Another real SIP phone for tests: linphone's console client without a sound card, driven by its own commands.

What it hears goes into a WAV file, what it says comes from one (8 kHz, mono).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import wave
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from support.baresip import Account

_CONFIG = """\
[sip]
sip_port=-1
sip_tcp_port=-1
sip_tls_port=-1
default_proxy=0
register_only_when_network_is_up=0
root_ca={authority}
verify_server_certs=1
verify_server_cn=1
media_encryption=srtp
media_encryption_mandatory=1
guess_hostname=1

[rtp]
audio_rtp_port={rtp}

[net]
mtu=1300

[proxy_0]
reg_proxy=<sip:{proxy};transport=tls>
reg_route=<sip:{proxy};transport=tls;lr>
reg_identity=sip:{user}@{domain}
reg_expires=60
reg_sendregister=1
publish=0

[auth_info_0]
username={user}
passwd={password}
domain={domain}
"""


class Linphone:
    """One linphonec on TLS with SRTP only; use with ``async with``: a node may run in the same event loop."""

    def __init__(self, account: Account, *, rtp: int, authority: Path, voice: Path) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="linphone-")
        self.path = Path(self._directory.name)
        self.log = self.path / "log"
        self._voice, self._recorded = voice, self.path / "heard.wav"
        (self.path / ".local" / "share" / "linphone").mkdir(parents=True)
        config = self.path / "linphonerc"
        config.write_text(
            _CONFIG.format(
                authority=authority,
                rtp=rtp,
                proxy=account.proxy,
                user=account.user,
                domain=account.domain,
                password=account.password,
            )
        )
        answer = ["-a"] if account.answer == "auto" else []
        self._arguments = ["linphonec", "-c", str(config), *answer]
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=os.environ | {"HOME": str(self.path)},
            )
        await self.type("soundcard use files", f"record {self._recorded}", f"play {self._voice}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if error is not None:
            print(self.output()[-4000:])
        self._directory.cleanup()

    async def type(self, *lines: str) -> None:
        """Type commands at its prompt, as fast as a person at best."""
        assert self._process is not None
        assert self._process.stdin is not None
        for line in lines:
            self._process.stdin.write(f"{line}\n".encode())
            await self._process.stdin.drain()
            await asyncio.sleep(0.1)

    def output(self) -> str:
        """Everything that it printed so far."""
        return self.log.read_text(errors="replace")

    async def stop(self) -> None:
        """``quit``: it says BYE and unregisters."""
        if self._process is not None and self._process.returncode is None:
            try:
                async with asyncio.timeout(8):
                    await self.type("quit")
                    await self._process.wait()
            except OSError:  # TimeoutError is one; the other is a pipe that it has closed
                self._process.kill()
                await self._process.wait()

    def heard(self) -> np.ndarray:
        """Samples (float, 8 kHz) that it has recorded; empty when there are none."""
        if not self._recorded.exists():
            return np.zeros(0)
        with wave.open(str(self._recorded)) as file:
            rate = file.getframerate()
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(float)
        return samples[:: rate // 8000]
