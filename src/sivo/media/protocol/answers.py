"""What ``media`` answers to a command, and notes that nobody has to keep."""

from __future__ import annotations

from typing import Any

import msgspec

from sivo.media.protocol.message import Message


class Hello(Message, kw_only=True):
    """First message on a connection: who this is and what it can take."""

    index: int
    pid: int
    call_cap: int
    sessions: list[str] = msgspec.field(default_factory=list)


class Done(Message, kw_only=True):
    """The command with this ``ref`` was carried out."""

    ref: int
    result: dict[str, Any] = msgspec.field(default_factory=dict)


class Refused(Message, kw_only=True):
    """The command with this ``ref`` was not carried out; ``code`` is from the error register."""

    ref: int
    code: str
    message: str


class Note(Message, kw_only=True):
    """Something of the moment that nobody has to keep: ``interim`` text, ``load``, ``level``."""

    session: str
    kind: str
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class LegStats(msgspec.Struct, kw_only=True):
    """What happened on a leg: the result of ``RemoveLeg``, and ``legs`` of ``CloseSession``'s result."""

    packets_received: int = 0
    packets_sent: int = 0
    lost: int = 0
    late: int = 0
    duplicates: int = 0
    reordered: int = 0
    #: RFC 3550 interarrival jitter at the end.
    jitter_ms: float = 0.0
    #: Frames that were made up, put in, left out and jumped over by the jitter buffer (20 ms each).
    concealed: int = 0
    inserted: int = 0
    dropped: int = 0
    skipped: int = 0
    #: Datagrams that were no RTP or of a payload type that was not agreed on, and packets from a third address.
    malformed: int = 0
    #: SRTP: datagrams that were not the peer's, changed on the way, or repeated.
    unauthentic: int = 0
    strangers: int = 0
    send_errors: int = 0
    #: Mean time that a frame waited in the jitter buffer.
    buffer_ms: float = 0.0
    #: From the peer's RTCP: reports received, newest round trip (None: never measured), and what it lost of ours.
    rtcp_received: int = 0
    rtt_ms: float | None = None
    remote_lost: int = 0
    remote_jitter_ms: float = 0.0
