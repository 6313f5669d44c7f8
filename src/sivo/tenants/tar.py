"""A tar archive that is sent while it is made: headers and padding (POSIX.1-2001), and a manifest at the end."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

_BLOCK = 512


class Tar:
    """Makes members one after the other and remembers name, size and SHA-256 of each."""

    def __init__(self, at: datetime) -> None:
        self._at = int(at.timestamp())
        self.members: list[dict[str, Any]] = []

    def member(self, name: str, data: bytes) -> bytes:
        """A whole member."""
        self._note(name, len(data), hashlib.sha256(data).hexdigest())
        return self._header(name, len(data)) + data + _padding(len(data))

    async def long_member(self, name: str, size: int, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A member of ``size`` bytes as its pieces arrive. ValueError when they are not that many."""
        yield self._header(name, size)
        digest, seen = hashlib.sha256(), 0
        async for piece in pieces:
            digest.update(piece)
            seen += len(piece)
            yield piece
        if seen != size:
            raise ValueError(f"{name} has {seen} bytes, not the {size} that were announced")
        self._note(name, size, digest.hexdigest())
        yield _padding(size)

    def end(self, about: dict[str, Any]) -> bytes:
        """The manifest, which says of every member what it should be, and the end of the archive."""
        manifest = {**about, "members": list(self.members)}
        return self.member("manifest.json", json.dumps(manifest, indent=2).encode()) + bytes(2 * _BLOCK)

    def _note(self, name: str, size: int, digest: str) -> None:
        self.members.append({"name": name, "size": size, "sha256": digest})

    def _header(self, name: str, size: int) -> bytes:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, self._at
        return info.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)
