"""Fixtures of this room's tests."""

from __future__ import annotations

from support.webhook_world import receiver, world

__all__ = ["receiver", "world"]
