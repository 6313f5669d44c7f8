"""Password hashing: argon2id off the event loop, behind a bounded queue.

A login flood is an attack on memory, processor and database: a few attempts are under way, two threads hash, a
short queue waits, the rest is told to come back before it has cost a query, so that signed-in people find connections
free. The threads keep their priority: one that were slowed while it holds the interpreter would slow everybody.
Parameters are the OWASP floor (19 MiB, t=2, p=1; about 40 ms a hash on one core).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from sivo.base.errors import SivoError, register

PASSWORD_TOO_SHORT = register("PASSWORD_TOO_SHORT", 422)

THREADS = 2
#: Hashes running or waiting before a caller gets 503; at 40 ms each the last one waits about 0.6 s.
QUEUE_LIMIT = 32
#: Attempts that may be at the database or at a hash at once; less than half of a process's connections.
UNDER_WAY = 4
#: Longer ones are refused before hashing; far above the 64 characters that must be accepted.
MAX_LENGTH = 1024

T = TypeVar("T")


class Passwords:
    """Hashes and verifies passwords for one process."""

    def __init__(self, queue_limit: int = QUEUE_LIMIT) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="argon2")
        self._limit = queue_limit
        self._pending = 0
        self._attempts = 0
        self._under_way = asyncio.Semaphore(UNDER_WAY)
        self._dummy = self._hasher.hash(secrets.token_urlsafe(16))

    def close(self) -> None:
        """Stop the threads; running hashes finish."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """A turn at signing in, its queries included. Raises UNAVAILABLE when too many wait for theirs."""
        if self._attempts >= self._limit + UNDER_WAY:
            raise _full()
        self._attempts += 1
        try:
            async with self._under_way:
                yield
        finally:
            self._attempts -= 1

    async def hash(self, password: str) -> str:
        """PHC string of ``password``. Raises UNAVAILABLE when the queue is full."""
        return await self._off_loop(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether ``password`` belongs to ``stored``; None (unknown user) costs the same time and is False.

        Raises UNAVAILABLE when the queue is full.
        """
        return await self._off_loop(lambda: self._matches(stored or self._dummy, password) and stored is not None)

    def outdated(self, stored: str) -> bool:
        """Whether ``stored`` was made with other parameters and should be replaced after a good login."""
        return self._hasher.check_needs_rehash(stored)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _off_loop(self, work: Callable[[], T]) -> T:
        if self._pending >= self._limit:
            raise _full()
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._pending -= 1


def _full() -> SivoError:
    return SivoError(
        "UNAVAILABLE",
        "too many password checks are waiting",
        remedy="try again in a few seconds",
        details={"retry_after": 2},
    )


def check_length(password: str, minimum: int) -> None:
    """Enforce ``auth.password_min_length`` (characters, not bytes).

    Raises PASSWORD_TOO_SHORT naming the minimum, VALIDATION_FAILED above :data:`MAX_LENGTH`.
    """
    if len(password) < minimum:
        raise SivoError(
            PASSWORD_TOO_SHORT,
            f"the password is shorter than {minimum} characters",
            where="password",
            remedy=f"choose one with at least {minimum} characters",
            details={"minimum": minimum, "key": "auth.password_min_length"},
        )
    if len(password) > MAX_LENGTH:
        raise SivoError("VALIDATION_FAILED", f"the password is longer than {MAX_LENGTH} characters", where="password")
