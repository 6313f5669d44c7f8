"""Reading again what another process changed: signing keys and limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.identity.overrides import Overrides
from sivo.identity.signing_keys import SigningKeys
from sivo.identity.token_cache import TokenCache

_RETRY_S = 0.5
_log = logs.get("identity")


class Following:
    """Callbacks for notifications; each starts a read that goes on until it succeeds."""

    def __init__(self, keys: SigningKeys, overrides: Overrides, cache: TokenCache) -> None:
        self._keys = keys
        self._overrides = overrides
        self._cache = cache
        self._reading: set[asyncio.Task[None]] = set()

    def keys_changed(self, _payload: str) -> None:
        """A signing key was published or revoked; tokens of a revoked one are no longer remembered."""
        self._start(self._read_keys)

    def limits_changed(self, _payload: str) -> None:
        """An override of a limit was set."""
        self._start(self._overrides.load)

    async def _read_keys(self) -> None:
        await self._keys.load()
        self._cache.clear()

    def _start(self, read: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._until_read(read))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _until_read(self, read: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await read()
                return
            except SivoError as error:
                _log.warning("identity is not read again yet", code=error.code)
                await asyncio.sleep(_RETRY_S)
