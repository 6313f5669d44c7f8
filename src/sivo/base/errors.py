"""The one error shape: what was wrong, where, what to do, and a stable code from one register.

A room raises :class:`SivoError` with a code that stands in :data:`CODES`; the API renders it as an RFC 9457
problem, the CLI as one line. Codes are part of the contract: they are added, never renamed. A new code also gets its
words in six languages in ``codes.toml`` beside this file, and ``docs/reference/errors.md`` is made again.
"""

from __future__ import annotations

from typing import Any

#: code -> HTTP status that it is answered with. Rooms add theirs with :func:`register`.
CODES: dict[str, int] = {
    "VALIDATION_FAILED": 422,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "VERSION_CONFLICT": 412,
    "UNAUTHENTICATED": 401,
    "INSUFFICIENT_ROLE": 403,
    "RATE_LIMITED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}


def register(code: str, status: int) -> str:
    """Add ``code`` to the register (once, with one status) and return it."""
    known = CODES.setdefault(code, status)
    if known != status:
        raise ValueError(f"error code {code} is already registered with status {known}")
    return code


class SivoError(Exception):
    """An error that is meant to be read by a person and matched by a program.

    ``message`` names what was wrong, ``where`` the field, key or resource, ``remedy`` what to do.
    ``details`` is extra JSON for machines; it never holds a secret.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        where: str | None = None,
        remedy: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        if code not in CODES:
            raise ValueError(f"error code {code} is not in the register")
        super().__init__(message)
        self.code = code
        self.message = message
        self.where = where
        self.remedy = remedy
        self.details = details or {}

    @property
    def status(self) -> int:
        """The HTTP status of this code."""
        return CODES[self.code]

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{self.code}: {self.message}{place}{remedy}"
