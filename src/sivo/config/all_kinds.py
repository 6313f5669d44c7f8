"""Imports every room's ``resources.py``, so that :data:`sivo.config.kinds.KINDS` is complete."""

from __future__ import annotations

from importlib import import_module

from sivo.config.kinds import KINDS, ResourceKind

#: Rooms that declare kinds of resources, in the order in which they are listed and exported.
ROOMS = (
    "tenants",
    "identity",
    "vault",
    "schedules",
    "routing",
    "ai",
    "recording",
    "transcription",
    "webhooks",
    "leads",
)


def load() -> dict[str, ResourceKind]:
    """Every kind by name."""
    import_module("sivo.config.control")
    for room in ROOMS:
        import_module(f"sivo.{room}.resources")
    return KINDS
