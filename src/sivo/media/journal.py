"""The session journal: one encrypted, append-only file per call with frames and facts interleaved.

Layout: magic, length and msgpack of :class:`Header`, then chunks. A chunk is a 4-byte big-endian length and
AES-256-GCM ciphertext with tag; its nonce is the header's 4-byte prefix and the chunk's number (8 bytes), its
additional data the SHA-256 of all bytes before the first chunk. So a chunk that was changed, moved, left out or put
into another file does not open, while a file that simply stops (the process was killed) is good up to its last whole
chunk.

Inside a chunk stand records: frames, facts, acknowledgements, clock marks and at last the end. This file is the format
and the reader; writing to disk is in :mod:`sivo.media.journal_writer`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sivo.base.errors import SivoError, register
from sivo.media import codec
from sivo.media.protocol import CaptureChanged, Fact

JOURNAL_DAMAGED = register("JOURNAL_DAMAGED", 500)
SUFFIX = ".sivoj"
#: Purpose under which the vault wraps a journal's key.
KEY_PURPOSE = "journal"
MAGIC = b"SIVOJNL1"
_LENGTH = struct.Struct("!I")
_FRAME = struct.Struct("!BIB")
_NUMBER = struct.Struct("!BI")
_MAX_HEADER = 64 * 1024
_MAX_CHUNK = 8 * 1024 * 1024
_R_FRAME, _R_FACT, _R_ACK, _R_CLOCK, _R_END = 1, 2, 3, 4, 5
_SIZE = codec.FRAME_SAMPLES


class Header(msgspec.Struct, kw_only=True):
    """What stands readable in front: whose call this is and the wrapped key that opens the rest."""

    session: str
    tenant: str
    call: str
    #: Vault envelope of the 32-byte key.
    key_sealed: bytes
    nonce_prefix: bytes
    #: Unix milliseconds.
    created_at: int
    #: Sealed by ``call``: what call this is.
    about: bytes = b""
    version: int = 1
    #: Both channels: G.711 mu-law, 8 kHz.
    codec: str = "PCMU"


class End(msgspec.Struct, kw_only=True):
    """Last record of a session that was closed properly."""

    reason: str
    duration_ms: int
    recorded_ms: int
    frames: int


class StereoFrame(NamedTuple):
    """20 ms of both channels, 160 bytes PCMU each; silence where nothing was said or kept."""

    #: Number of the 20 ms since the capture clock started; missing numbers were not recorded.
    number: int
    caller: bytes
    agent: bytes


_encoder = msgspec.msgpack.Encoder()
_header_decoder = msgspec.msgpack.Decoder(Header)
_fact_decoder = msgspec.msgpack.Decoder(Fact)
_end_decoder = msgspec.msgpack.Decoder(End)


# --- writing (pure) -------------------------------------------------------------------------------------------------


def preamble(header: Header) -> bytes:
    """The readable front of the file."""
    body = _encoder.encode(header)
    return MAGIC + _LENGTH.pack(len(body)) + body


def frame_record(index: int, caller: bytes | None, agent: bytes | None) -> bytes:
    """One frame; None = silence on that channel (takes no room)."""
    flags = (1 if caller is not None else 0) | (2 if agent is not None else 0)
    return _FRAME.pack(_R_FRAME, index, flags) + (caller or b"") + (agent or b"")


def fact_record(fact: Fact) -> bytes:
    """One fact in its envelope."""
    body = _encoder.encode(fact)
    return _NUMBER.pack(_R_FACT, len(body)) + body


def ack_record(seq: int) -> bytes:
    """``call`` has committed all facts up to ``seq``."""
    return _NUMBER.pack(_R_ACK, seq)


def clock_record(index: int) -> bytes:
    """The session was alive in the 20 ms with this number."""
    return _NUMBER.pack(_R_CLOCK, index)


def end_record(end: End) -> bytes:
    """The session was closed."""
    body = _encoder.encode(end)
    return _NUMBER.pack(_R_END, len(body)) + body


class Sealer:
    """Encrypts chunks in order; one per file and key."""

    def __init__(self, key: bytes, header: Header) -> None:
        self._cipher = AESGCM(key)
        self._prefix = header.nonce_prefix
        self._aad = hashlib.sha256(preamble(header)).digest()
        self._counter = 0

    def seal(self, records: bytes) -> bytes:
        """The next chunk, with its length in front."""
        nonce = self._prefix + self._counter.to_bytes(8, "big")
        self._counter += 1
        sealed = self._cipher.encrypt(nonce, records, self._aad)
        return _LENGTH.pack(len(sealed)) + sealed


# --- reading --------------------------------------------------------------------------------------------------------


class Journal:
    """A journal as found on disk. ``closed`` is False when the process died before the session was ended."""

    def __init__(self, path: Path, key: bytes, header: Header, salvage: bool) -> None:
        self._path = path
        self._key = key
        self._salvage = salvage
        self.header = header
        self.facts: list[Fact] = []
        self.acked = 0
        self.end: End | None = None
        self.torn_bytes = 0
        self.damaged = False
        self.frame_count = 0
        #: Number of the last 20 ms in which the session is known to have lived, -1 = the capture clock never ran.
        self.last_index = -1
        for kind, body in self._records():
            self._note(kind, body)

    @property
    def closed(self) -> bool:
        """Whether the session was ended properly."""
        return self.end is not None

    @property
    def last_ms(self) -> int:
        """Milliseconds on the capture clock up to which the session is known to have lived."""
        return self.end.duration_ms if self.end else (self.last_index + 1) * codec.FRAME_MS

    @property
    def unacknowledged(self) -> list[Fact]:
        """Facts that ``call`` has not confirmed; commits are idempotent, so all may be given to it again."""
        return [fact for fact in self.facts if fact.seq > self.acked]

    @property
    def recorded(self) -> list[tuple[int, int | None]]:
        """Spans (start_ms, end_ms) in which frames were kept; None = until the end."""
        spans: list[tuple[int, int | None]] = []
        for fact in self.facts:
            if not isinstance(fact.body, CaptureChanged):
                continue
            running = bool(spans) and spans[-1][1] is None
            if fact.body.recording and not running:
                spans.append((fact.body.at_ms, None))
            elif not fact.body.recording and running:
                spans[-1] = (spans[-1][0], fact.body.at_ms)
        return spans

    def frames(self) -> Iterator[StereoFrame]:
        """Kept frames in order, read from the file as they are asked for."""
        for kind, body in self._records():
            if kind == _R_FRAME:
                yield _stereo(body)

    def _note(self, kind: int, body: bytes) -> None:
        if kind == _R_FRAME:
            self.frame_count += 1
            self.last_index = max(self.last_index, _FRAME.unpack_from(body)[1])
        elif kind == _R_FACT:
            self.facts.append(_fact_decoder.decode(body))
        elif kind == _R_ACK:
            self.acked = max(self.acked, int.from_bytes(body, "big"))
        elif kind == _R_CLOCK:
            self.last_index = max(self.last_index, int.from_bytes(body, "big"))
        else:
            self.end = _end_decoder.decode(body)

    def _records(self) -> Iterator[tuple[int, bytes]]:
        front = preamble(self.header)
        cipher = AESGCM(self._key)
        aad = hashlib.sha256(front).digest()
        with self._path.open("rb") as file:
            file.seek(len(front))
            number = 0
            while (sealed := self._chunk(file)) is not None:
                nonce = self.header.nonce_prefix + number.to_bytes(8, "big")
                try:
                    records = cipher.decrypt(nonce, sealed, aad)
                except InvalidTag as error:
                    self.damaged = True
                    if self._salvage:
                        return
                    raise _damaged(self._path, f"chunk {number} does not authenticate") from error
                number += 1
                yield from _split(records)

    def _chunk(self, file: BinaryIO) -> bytes | None:
        """The next whole chunk; None at the end, and what is torn there is counted."""
        raw = file.read(_LENGTH.size)
        size = _LENGTH.unpack(raw)[0] if len(raw) == _LENGTH.size else 0
        if 16 <= size <= _MAX_CHUNK:
            sealed = file.read(size)
            if len(sealed) == size:
                return sealed
            raw += sealed
        rest = raw + file.read()
        self.torn_bytes = len(rest)
        return None


def read_header(path: Path) -> Header:
    """The readable front: says which tenant's vault opens ``key_sealed``. ``SivoError`` ``JOURNAL_DAMAGED`` if it is
    no journal or stops inside its front."""
    with path.open("rb") as file:
        start = file.read(len(MAGIC) + _LENGTH.size)
        if len(start) < len(MAGIC) + _LENGTH.size or not start.startswith(MAGIC):
            raise _damaged(path, "it does not begin as a journal")
        size = _LENGTH.unpack_from(start, len(MAGIC))[0]
        if size > _MAX_HEADER:
            raise _damaged(path, f"its header claims {size} bytes")
        body = file.read(size)
    try:
        header = _header_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise _damaged(path, "its header cannot be read") from error
    if preamble(header) != start + body:
        raise _damaged(path, "its header is not in canonical form")
    return header


def read(path: Path, key: bytes, *, salvage: bool = False) -> Journal:
    """Read a journal, finished or torn.

    ``SivoError`` ``JOURNAL_DAMAGED`` when a chunk does not authenticate (changed, or the wrong key); with ``salvage``
    what stands before it is given and ``damaged`` is set.
    """
    return Journal(path, key, read_header(path), salvage)


def _split(records: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(records):
        kind = records[position]
        if kind == _R_FRAME:
            size = _FRAME.size + _SIZE * (records[position + 5] & 1) + _SIZE * (records[position + 5] >> 1 & 1)
            yield kind, records[position : position + size]
        elif kind in (_R_ACK, _R_CLOCK):
            size = _NUMBER.size
            yield kind, records[position + 1 : position + size]
        elif kind in (_R_FACT, _R_END):
            size = _NUMBER.size + _NUMBER.unpack_from(records, position)[1]
            yield kind, records[position + _NUMBER.size : position + size]
        else:
            raise SivoError(JOURNAL_DAMAGED, f"unknown record type {kind}", remedy="read it with a newer release")
        position += size


def _stereo(body: bytes) -> StereoFrame:
    _, index, flags = _FRAME.unpack_from(body)
    rest = body[_FRAME.size :]
    caller = rest[:_SIZE] if flags & 1 else codec.SILENCE_ULAW
    agent = rest[-_SIZE:] if flags & 2 else codec.SILENCE_ULAW
    return StereoFrame(index, caller, agent)


def _damaged(path: Path, what: str) -> SivoError:
    details: dict[str, Any] = {"file": path.name}
    return SivoError(
        JOURNAL_DAMAGED,
        f"journal {path.name}: {what}",
        where=path.name,
        remedy="read it with salvage to keep what stands before the damage",
        details=details,
    )
