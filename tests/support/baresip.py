"""A real SIP phone for tests: baresip without a sound card, driven by its own commands at start.

What it hears is written by its ``sndfile`` module, what it says comes from a WAV file (8 kHz, mono; silence
without one).
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import tempfile
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

_CONFIG = """\
poll_method epoll
sip_listen {host}:{port}
audio_player aubridge,void
audio_source {source}
audio_alert aubridge,void
audio_srate 8000
audio_channels 1
rtp_ports {rtp}-{rtp_end}
jitter_buffer_delay 1-5
snd_path {dump}
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
"""


@dataclass(frozen=True)
class Account:
    """A SIP account as a person types it into a phone."""

    user: str
    domain: str
    password: str
    proxy: str
    auth_user: str | None = None
    answer: str = "manual"
    transport: str = "udp"
    #: ``srtp-mand``: RTP/SAVP; ``srtp``: keys under RTP/AVP.
    mediaenc: str = ""

    def line(self) -> str:
        """A line of baresip's ``accounts`` file."""
        auth = f";auth_user={self.auth_user}" if self.auth_user else ""
        protected = f";mediaenc={self.mediaenc}" if self.mediaenc else ""
        return (
            f"<sip:{self.user}@{self.domain};transport={self.transport}>;auth_pass={self.password}{auth}"
            f";answermode={self.answer}{protected}"
            f';outbound="sip:{self.proxy};transport={self.transport}";regint=60;ptime=20\n'
        )


def spoken(path: Path, pcm16: bytes) -> Path:
    """A file that a phone can speak: ``pcm16`` (8 kHz, mono) as WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(pcm16)
    return path


class Baresip:
    """One baresip process; use as a context manager."""

    def __init__(
        self,
        account: Account,
        *,
        port: int,
        rtp: int,
        host: str = "127.0.0.1",
        voice: Path | None = None,
        commands: tuple[str, ...] = (),
        seconds: int = 30,
        authority: Path | None = None,
        control: int = 0,
    ) -> None:
        """``authority``: the CA (PEM) that it trusts, for TLS. ``control``: port of :meth:`command`."""
        self._control = control
        self._directory = tempfile.TemporaryDirectory(prefix="baresip-")
        self.path = Path(self._directory.name)
        self.dump = self.path / "heard"
        self.dump.mkdir()
        self.log = self.path / "log"
        said = voice or spoken(self.path / "silence.wav", bytes(2 * 8000 * seconds))
        config = _CONFIG.format(
            host=host, port=port, source=f"aufile,{said}", rtp=rtp, rtp_end=rtp + 19, dump=self.dump
        )
        if authority is not None:
            config += f"sip_cafile {authority}\nmodule srtp.so\n"
        if control:
            config += f"module_app ctrl_tcp.so\nctrl_tcp_listen 127.0.0.1:{control}\n"
        (self.path / "config").write_text(config)
        (self.path / "accounts").write_text(account.line())
        (self.path / "contacts").write_text("")
        self._arguments = ["baresip", "-f", str(self.path), "-t", str(seconds)]
        for command in commands:
            self._arguments += ["-e", command]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._directory.cleanup()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def command(self, name: str, params: str = "") -> str:
        """Give one of its commands (``/help`` of its prompt lists them); its answer."""
        body = json.dumps({"command": name, "params": params, "token": "test"}).encode()
        with socket.create_connection(("127.0.0.1", self._control), 5) as line:
            line.sendall(b"%d:%s," % (len(body), body))
            data, deadline = b"", time.monotonic() + 5
            while time.monotonic() < deadline:
                data += line.recv(65536)
                size, colon, rest = data.partition(b":")
                while colon and len(rest) > int(size):
                    message, data = json.loads(rest[: int(size)]), rest[int(size) + 1 :]
                    if message.get("response"):
                        assert message["ok"], message
                        return str(message["data"])
                    size, colon, rest = data.partition(b":")
        raise TimeoutError(name)

    def output(self) -> str:
        """Everything that it printed so far."""
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """SIGINT, as Ctrl-C in its terminal: it says BYE and unregisters."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def heard(self) -> np.ndarray:
        """Samples (float, 8 kHz) that it decoded from the network, from its own dump; empty when there is none."""
        for path in sorted(self.dump.glob("*-dec.wav")):
            with wave.open(str(path)) as file:
                return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(float)
        return np.zeros(0)
