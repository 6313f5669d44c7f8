"""What the cores of streaming speech-to-text share: what they want done, and when a broken line is tried again.

A core is pure: audio, messages and time in (milliseconds of any steady clock), effects out. ``live_session`` carries
the effects out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sivo.speech.faults import ProviderError
from sivo.speech.stt import SttFailed, SttReady, SttText, SttTrouble

#: Audio that is kept for a line that broke; what is older than that is lost.
REPLAY_MS = 30_000
#: Waits before the next try to connect; the last one repeats.
BACKOFF_MS = (0, 250, 500, 1_000, 2_000, 4_000)
#: So many tries in a row may fail before segments that wait for their text are told.
PATIENCE = 2
#: An answer that has not come after this on an open line means that nobody is there any more. Each time it happens in a
#: row the next one gets more time, so that an engine that is only slow is not asked for ever.
STALL_MS = 1_200
_STALL_CEILING_MS = 6_000


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the socket; :meth:`LiveCore.opened` or :meth:`LiveCore.closed` follows."""


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send a message."""

    message: str | bytes


@dataclass(frozen=True, slots=True)
class Hang:
    """Throw the socket away; nothing follows."""


Effect = Connect | Transmit | Hang | SttText | SttFailed | SttTrouble | SttReady


class LiveCore(Protocol):
    """One session of a streaming engine over any number of connections."""

    def start(self, now: float) -> list[Effect]:
        """Begin (while the phone rings)."""
        ...

    def audio(self, now: float, end_ms: int, ulaw: bytes) -> list[Effect]:
        """20 ms that ended at ``end_ms`` on the call's clock."""
        ...

    def begin(self, now: float, segment: int, start_ms: float) -> list[Effect]:
        """A voice has begun."""
        ...

    def finish(self, now: float, segment: int, end_ms: float) -> list[Effect]:
        """It has ended; its text is wanted."""
        ...

    def drop(self, segment: int) -> None:
        """Nobody wants its text."""
        ...

    def opened(self, now: float) -> list[Effect]:
        """The socket is open."""
        ...

    def message(self, now: float, raw: str | bytes) -> list[Effect]:
        """The server said something."""
        ...

    def closed(self, now: float, error: ProviderError, *, fatal: bool = False) -> list[Effect]:
        """The socket broke or was refused. ``fatal``: trying again cannot help."""
        ...

    def tick(self, now: float) -> list[Effect]:
        """Time has passed."""
        ...

    def end(self, now: float) -> list[Effect]:
        """No more audio comes; ask for the rest."""
        ...

    @property
    def done(self) -> bool:
        """After :meth:`end`: nothing more will come."""
        ...


@dataclass(slots=True)
class Line:
    """Whether there is a connection, and when the next try is due."""

    state: str = "down"  # down | connecting | open | dead
    failures: int = 0
    retry_at: float = 0.0
    error: ProviderError | None = None
    patient: bool = False
    stalls: int = 0

    @property
    def stall_ms(self) -> int:
        """How long an answer may take now."""
        return min(STALL_MS * (1 + 2 * self.stalls), _STALL_CEILING_MS)

    def stalled(self) -> ProviderError:
        """It took longer."""
        fault = ProviderError("slow", f"no answer within {self.stall_ms} ms")
        self.stalls += 1
        return fault

    def connect(self) -> list[Effect]:
        """Try now."""
        self.state = "connecting"
        return [Connect()]

    def up(self) -> None:
        """It is open."""
        self.state, self.error = "open", None

    def lost(self, now: float, error: ProviderError, fatal: bool) -> None:
        """It is not; the next try is due after a growing wait, or never."""
        self.error = error
        self.state = "dead" if fatal else "down"
        self.retry_at = now + BACKOFF_MS[min(self.failures, len(BACKOFF_MS) - 1)]
        self.failures += 1

    @property
    def hopeless(self) -> bool:
        """Whether who waits should be told."""
        return self.state == "dead" or (self.state != "open" and self.failures > PATIENCE and not self.patient)

    def due(self, now: float) -> bool:
        """Whether to try again."""
        return self.state == "down" and now >= self.retry_at
