"""Object stores: bytes under a key, nothing else.

What an object means, its key to decryption and its expiry stand in PostgreSQL, on every backend alike: the local store
of obstore takes no attributes, so none are used anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import obstore
from obstore.store import LocalStore, ObjectStore

#: Bytes that a reader gets at a time.
READ_CHUNK = 256 * 1024


class Store(Protocol):
    """Where encrypted objects lie."""

    async def put(self, key: str, chunks: Iterable[bytes]) -> None:
        """Write an object whole; an object of that key is replaced. ``chunks`` may block: it is read in a thread."""
        ...

    def read(self, key: str) -> Iterator[bytes]:
        """The object's bytes. ``FileNotFoundError`` when there is none. Blocks: for threads, not for the loop."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...


class Objects:
    """A :class:`Store` over any obstore backend."""

    def __init__(self, backend: ObjectStore) -> None:
        self._backend = backend

    @classmethod
    def local(cls, root: Path) -> Objects:
        """Objects as files below ``root``, which is made with mode 0700."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(LocalStore(root, mkdir=True))

    async def put(self, key: str, chunks: Iterable[bytes]) -> None:
        # obstore pulls a synchronous iterator from its own threads, so that the loop does not wait for encryption.
        await obstore.put_async(self._backend, key, iter(chunks))

    def read(self, key: str) -> Iterator[bytes]:
        for chunk in obstore.get(self._backend, key).stream(min_chunk_size=READ_CHUNK):
            yield bytes(chunk)

    async def delete(self, key: str) -> None:
        try:
            await obstore.delete_async(self._backend, key)
        except FileNotFoundError:
            return

    async def delete_below(self, prefix: str) -> int:
        """Remove every object whose key begins with ``prefix`` (ending in a slash); how many there were."""
        gone = 0
        async for batch in obstore.list(self._backend, prefix):
            for one in batch:
                await self.delete(one["path"])
                gone += 1
        return gone
