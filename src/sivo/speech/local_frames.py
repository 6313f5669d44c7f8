"""How the speech role talks to its child processes: length-framed msgpack over standard input and output."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any, BinaryIO

import msgspec

#: One message holds at most a minute of 16 kHz audio and a grammar.
MAX_FRAME = 8 * 1024 * 1024
_PR_SET_PDEATHSIG = 1


def pack(message: dict[str, Any]) -> bytes:
    """One framed message: 4 bytes of length, big-endian, then msgpack."""
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(4, "big") + body


def unpack(body: bytes) -> dict[str, Any]:
    """The message in ``body``; ``ValueError`` when it is none."""
    return msgspec.msgpack.decode(body, type=dict[str, Any])


def frame_length(head: bytes) -> int:
    """Length of the body that follows the 4-byte ``head``; ``ValueError`` over :data:`MAX_FRAME`."""
    length = int.from_bytes(head, "big")
    if length > MAX_FRAME:
        raise ValueError(f"a frame of {length} bytes is over the limit of {MAX_FRAME}")
    return length


class ChildChannel:
    """The child's side: reads requests, writes answers. Anything that a library prints goes to standard error."""

    def __init__(self) -> None:
        end_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor; end of input ends this process
        self._input: BinaryIO = sys.stdin.buffer
        self._output: BinaryIO = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def read(self) -> dict[str, Any] | None:
        """The next request; ``None`` when the parent has closed the pipe."""
        head = self._input.read(4)
        if len(head) < 4:
            return None
        length = frame_length(head)
        body = self._input.read(length)
        return unpack(body) if len(body) == length else None

    def write(self, message: dict[str, Any]) -> None:
        """Send one answer; ends the process when nobody reads any more."""
        data = memoryview(pack(message))
        try:
            while data:
                data = data[self._output.write(data) :]
        except BrokenPipeError:
            os._exit(0)


def end_with_parent() -> None:
    """Ask the kernel to end this process when its parent dies (Linux; elsewhere the end of input does it)."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(0)
