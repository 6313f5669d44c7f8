"""Structured logs: one JSON object a line on stderr, with tenant and call id where they are known.

Never log a secret, a token, audio or transcript text. Values of the types in :data:`SECRET_TYPES` and of
fields named like a secret are replaced before anything is written.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

import structlog
from pydantic import SecretBytes, SecretStr

REDACTED = "***"
#: Tenant and call that lines are about at present.
_about: ContextVar[tuple[object, object] | None] = ContextVar("about", default=None)
SECRET_TYPES = (SecretStr, SecretBytes, bytes, bytearray, memoryview)
_SECRET_NAMES = ("password", "secret", "token", "authorization", "api_key", "apikey", "credential", "private_key")
_TEXT_NAMES = ("text", "transcript", "utterance", "prompt", "body", "audio")


def _redact(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for field, value in event.items():
        if field == "event":
            continue
        if isinstance(value, SECRET_TYPES) or _is_secret(field):
            event[field] = REDACTED
    return event


@lru_cache(maxsize=1024)
def _is_secret(field: str) -> bool:
    lowered = field.lower()
    return any(name in lowered for name in _SECRET_NAMES) or lowered in _TEXT_NAMES


class Libraries(logging.Handler):
    """What libraries say through :mod:`logging`, from warnings on, as lines like ours.

    What servers say of a request that they could not read repeats a stranger's bytes: only the kind of error is kept.
    """

    _OF_STRANGERS = ("aiohttp.server", "uvicorn.error")

    def emit(self, record: logging.LogRecord) -> None:
        """Write ``record``."""
        fields: dict[str, Any] = {"library": record.name}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields["error"] = type(error).__name__
            if record.name not in self._OF_STRANGERS:
                fields["exc_info"] = error
        said = record.getMessage().partition("\n")[0]
        get("library").log(record.levelno, said, **fields)


def configure(role: str, level: str = "info") -> None:
    """Set up logging for one process; ``role`` stands on every line."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _with_ids,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _redact,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    root = logging.getLogger()
    if not any(isinstance(handler, Libraries) for handler in root.handlers):
        root.addHandler(Libraries(logging.WARNING))


class about:  # noqa: N801 - used like a function
    """Lines that are written within the block, and in tasks that begin there, are about this call.

    Every answer to an INVITE goes through one, and hardly any writes a line: nothing is made into text before that.
    """

    __slots__ = ("_token", "_who")

    def __init__(self, tenant: object, call: object) -> None:
        self._who = (tenant, call)

    def __enter__(self) -> None:
        self._token = _about.set(self._who)

    def __exit__(self, *_: object) -> None:
        _about.reset(self._token)


def _ids() -> dict[str, str]:
    who = _about.get()
    return {} if who is None else {"tenant": str(who[0]), "call": str(who[1])}


def _with_ids(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return _ids() | dict(event)


def here(room: str) -> Any:
    """A logger for one room that keeps what lines are :class:`about` here, wherever it is used later."""
    return structlog.get_logger(room=room).bind(**structlog.contextvars.get_contextvars(), **_ids())


def get(room: str) -> Any:
    """A logger for one room; bind ``tenant`` and ``call`` as soon as they are known."""
    return structlog.get_logger(room=room)
