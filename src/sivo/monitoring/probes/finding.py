"""What a probe found."""

from __future__ import annotations

from dataclasses import dataclass

from sivo.monitoring.book import Book
from sivo.monitoring.declared import PROBE_SECONDS, PROBE_STATE, PROBE_SUCCESS

UP, DOWN, NOT_INSTALLED, NOT_SET_UP = "up", "down", "not installed", "not set up"


@dataclass(frozen=True, slots=True)
class Finding:
    """``state``: up, down, not installed (this node has no such plane), not set up (``sivo probe setup``)."""

    plane: str
    state: str
    detail: str
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the plane did what was asked of it."""
        return self.state == UP

    def text(self) -> bytes:
        """As Prometheus text, in the manner of the blackbox exporter."""
        book, plane = Book("probe"), {"plane": self.plane}
        states = (UP, DOWN, NOT_INSTALLED, NOT_SET_UP)
        book.source(lambda: [(PROBE_SUCCESS, plane, float(self.ok)), (PROBE_SECONDS, plane, self.seconds)])
        book.source(lambda: [(PROBE_STATE, {**plane, "state": one}, float(one == self.state)) for one in states])
        return book.text()
