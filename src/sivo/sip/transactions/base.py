"""What the four transaction machines share: states, timers with deadlines, and the sides of a transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import StrEnum

from sivo.sip.message import Request, Response, new_tag, response_to
from sivo.sip.peer import Peer
from sivo.sip.transactions.outputs import Output, Send
from sivo.sip.transactions.timers import Timers

Key = tuple[str, ...]


class State(StrEnum):
    """States of all four machines, named as in the RFC."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"


class Timed(ABC):
    """Something with named timers. ``scheduled`` belongs to the layer: the earliest wake-up it has asked for."""

    def __init__(self, timers: Timers) -> None:
        self.timers = timers
        self.deadlines: dict[str, float] = {}
        self.scheduled: float | None = None

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether nothing more will happen here."""

    @abstractmethod
    def on_timer(self, name: str, now: float) -> list[Output]:
        """Timer ``name`` has run out."""

    def next_deadline(self) -> float | None:
        """When the next timer runs out."""
        return min(self.deadlines.values(), default=None)

    def fire(self, now: float) -> list[Output]:
        """Run every timer that is due, the earliest first."""
        outputs: list[Output] = []
        due = sorted((at, name) for name, at in self.deadlines.items() if at <= now)
        for _, name in due:
            if self.deadlines.pop(name, None) is not None:  # an earlier one may have stopped it
                outputs += self.on_timer(name, now)
        return outputs


class Transaction(Timed):
    """One transaction. ``request`` is what was received or sent, with its top Via."""

    def __init__(self, key: Key, request: Request, timers: Timers) -> None:
        super().__init__(timers)
        self.key = key
        self.request = request
        self.state = State.TRYING

    @property
    def is_invite(self) -> bool:
        return self.request.method == "INVITE"

    @property
    def ended(self) -> bool:
        return self.state is State.TERMINATED

    def end(self) -> None:
        """Go to Terminated and stop all timers."""
        self.state = State.TERMINATED
        self.deadlines.clear()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.request.method} {self.state}>"


class ServerTransaction(Transaction):
    """The server side: made for a request that was received and accepted.

    ``source``: where it came from; ``local``: our address it came to; ``to_tag``: the tag of all our answers;
    ``final``: the final answer once one was given; ``cancelled``: a CANCEL came while there was none.
    """

    def __init__(self, key: Key, request: Request, source: Peer, local: Peer, timers: Timers) -> None:
        super().__init__(key, request, timers)
        self.source = source
        self.local = local
        self.to_tag = request.to.tag or new_tag()
        self.destination = request.via.answer_to(source)
        self.reliable = source.transport != "UDP"
        self.final: Response | None = None
        self.cancelled = False
        self._last: Send | None = None

    def response(
        self,
        status: int,
        reason: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
    ) -> Response:
        """An answer to this request (§8.2.6), with To tag; it is not sent before the layer's ``respond``."""
        response = response_to(self.request, status, reason, to_tag=self.to_tag)
        for name, value in headers:
            response.headers.add(name, value)
        if body:
            response.set_body(body, content_type)
        return response

    @abstractmethod
    def receive(self, request: Request, now: float) -> list[Output]:
        """The request came again, or (INVITE) its ACK."""

    @abstractmethod
    def respond(self, response: Response, now: float) -> list[Output]:
        """The transaction user answers. After a final answer, others have no effect (``final`` tells)."""

    def _send(self, response: Response) -> list[Output]:
        self._last = Send(bytes(response), self.destination, response)
        return [self._last]

    def again(self) -> list[Output]:
        """The last answer, to be sent again."""
        return [] if self._last is None else [Send(self._last.data, self.destination, self._last.message, True)]


class ClientTransaction(Transaction):
    """The client side: made for a request that we send. ``cancelled``: a CANCEL was asked for."""

    def __init__(self, key: Key, request: Request, destination: Peer, timers: Timers) -> None:
        super().__init__(key, request, timers)
        self.destination = destination
        self.reliable = destination.transport != "UDP"
        self.cancelled = False
        self._data = bytes(request)

    @property
    def unanswered(self) -> bool:
        """Whether not even a provisional answer has come."""
        return self.state in (State.CALLING, State.TRYING)

    @abstractmethod
    def start(self, now: float) -> list[Output]:
        """Send the request for the first time."""

    @abstractmethod
    def receive(self, response: Response, now: float) -> list[Output]:
        """A response with our branch and method came."""

    def _send(self, *, again: bool = False) -> list[Output]:
        return [Send(self._data, self.destination, self.request, again)]
