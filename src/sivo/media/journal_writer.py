"""Writing journals to disk away from the media loop.

The loop only seals chunks (some microseconds); one thread writes them at once, so that a killed process loses at most
the chunk being filled, and a second one calls ``fdatasync`` twice a second, so that a slow disk delays no write.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path

from sivo.base import logs
from sivo.media import journal
from sivo.media.protocol import Fact

#: Ticks of frames in one chunk (200 ms), and of a call without frames between two clock marks (1 s).
CHUNK_TICKS = 10
CLOCK_TICKS = 50
SYNC_SECONDS = 0.5

Written = Callable[[bool], None]
log = logs.get("media")


class _File:
    """One open journal as the threads see it."""

    __slots__ = ("descriptor", "failed", "path", "size")

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        self.descriptor = os.open(path, flags, 0o600)
        self.size = 0
        self.failed = False

    def write(self, data: bytes) -> None:
        """Append all of it; after a failure the file ends with its last whole chunk and takes nothing more."""
        if self.failed:
            return
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.descriptor, view) :]
            self.size += len(data)
        except OSError as error:
            self.failed = True
            log.error("journal cannot be written", file=self.path.name, error=error.strerror)
            with contextlib.suppress(OSError):  # what cannot be cut off is a torn tail for the reader
                os.ftruncate(self.descriptor, self.size)


class JournalDisk:
    """The two threads of a process. :meth:`close` waits for everything that was handed over."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._writes: queue.SimpleQueue[tuple[_File, bytes, Written | None, bool] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._dirty: set[_File] = set()
        self._closing: list[tuple[_File, Written | None]] = []
        self._wake = threading.Event()
        self._stopping = False
        self._writer = threading.Thread(target=self._write_all, name="journal-write", daemon=True)
        self._syncer = threading.Thread(target=self._sync_all, name="journal-sync", daemon=True)
        self._writer.start()
        self._syncer.start()

    def submit(self, file: _File, data: bytes, written: Written | None = None, close: bool = False) -> None:
        """Write ``data``; ``written(ok)`` is called on the loop when it is in the file (``close``: and on the disk)."""
        self._writes.put((file, data, written, close))

    @property
    def waiting(self) -> int:
        """Chunks that were handed over and are not in their file yet."""
        return self._writes.qsize()

    def close(self) -> None:
        """Finish all writes and syncs, then end the threads. Blocks."""
        self._writes.put(None)
        self._writer.join()
        self._stopping = True
        self._wake.set()
        self._syncer.join()

    def _write_all(self) -> None:
        while (job := self._writes.get()) is not None:
            file, data, written, close = job
            if data:
                file.write(data)
            with self._lock:
                if close:
                    self._closing.append((file, written))
                else:
                    self._dirty.add(file)
            if close:
                self._wake.set()
            elif written is not None:
                self._tell(written, not file.failed)

    def _sync_all(self) -> None:
        while True:
            stopping = self._stopping
            self._wake.wait(0 if stopping else SYNC_SECONDS)
            self._wake.clear()
            with self._lock:
                closing, self._closing = self._closing, []
                dirty, self._dirty = self._dirty - {file for file, _ in closing}, set()
            for file, written in closing:
                self._sync(file)
                os.close(file.descriptor)
                if written is not None:
                    self._tell(written, not file.failed)
            for file in dirty:
                self._sync(file)
            if stopping:
                return

    @staticmethod
    def _sync(file: _File) -> None:
        try:
            os.fdatasync(file.descriptor)
        except OSError as error:
            file.failed = True
            log.error("journal cannot be synced", file=file.path.name, error=error.strerror)

    def _tell(self, written: Written, ok: bool) -> None:
        try:
            self._loop.call_soon_threadsafe(written, ok)
        except RuntimeError:
            log.debug("the loop is gone; nobody waits for this write any more")


class JournalWriter:
    """One session's journal, fed from the loop."""

    def __init__(self, path: Path, header: journal.Header, key: bytes, disk: JournalDisk) -> None:
        """Creates the file at once; ``FileExistsError`` when there is one."""
        self.path = path
        self._disk = disk
        self._file = _File(path)
        self._sealer = journal.Sealer(key, header)
        self._records = bytearray()
        self._frames = 0
        self._clock_at = -1
        self._closed = False
        disk.submit(self._file, journal.preamble(header))

    @property
    def failed(self) -> bool:
        """True after a write or sync went wrong: the file ends before the call did."""
        return self._file.failed

    def frame(self, index: int, caller: bytes | None, agent: bytes | None) -> None:
        """Keep 20 ms of both channels (160 bytes PCMU or None for silence)."""
        self._records += journal.frame_record(index, caller, agent)
        self._frames += 1
        if self._frames >= CHUNK_TICKS:
            self.flush()

    def clock(self, index: int) -> None:
        """Mark that the session lives, about once a second, when no frames are kept."""
        if index - self._clock_at >= CLOCK_TICKS or self._clock_at < 0:
            self._clock_at = index
            self._records += journal.clock_record(index)
            self.flush()

    def fact(self, fact: Fact, written: Written) -> None:
        """Write a fact at once; ``written`` is called on the loop when it is in the file."""
        self._records += journal.fact_record(fact)
        self.flush(written)

    def acknowledge(self, seq: int) -> None:
        """Remember an acknowledgement; it is written with the next chunk."""
        self._records += journal.ack_record(seq)

    def flush(self, written: Written | None = None) -> None:
        """Seal what is waiting and hand it to the writing thread."""
        chunk = self._sealer.seal(bytes(self._records)) if self._records else b""
        self._records.clear()
        self._frames = 0
        if chunk or written is not None:
            self._disk.submit(self._file, chunk, written)

    def close(self, end: journal.End, synced: Written) -> None:
        """Write the end; ``synced`` is called on the loop when all of it is on the disk."""
        if self._closed:
            raise ValueError("this journal is closed")
        self._closed = True
        self._records += journal.end_record(end)
        chunk = self._sealer.seal(bytes(self._records))
        self._records.clear()
        self._disk.submit(self._file, chunk, synced, close=True)
