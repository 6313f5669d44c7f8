"""Whom the probes are: a user and an extension of their own, kept in ``SIVO_HOME/probe.json`` (mode 0600)."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from sivo.base.settings import Settings


@dataclass(frozen=True, slots=True)
class ProbeAccount:
    """Made by ``sivo probe setup``."""

    tenant: str
    app_domain: str
    email: str
    password: str
    sip_domain: str
    extension: str
    sip_password: str

    @classmethod
    def load(cls, settings: Settings) -> ProbeAccount | None:
        """The one of this node; None when nobody has made it, or the file cannot be used."""
        try:
            return cls(**json.loads(_path(settings).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, settings: Settings) -> Path:
        """Write it down, readable for the platform's user only."""
        path = _path(settings)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
        fresh.replace(path)
        return path


def _path(settings: Settings) -> Path:
    return settings.home / "probe.json"
