"""Fixtures of this room's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.smtp_world import SmtpWorld, smtp_world


@pytest.fixture
async def smtp(tmp_path: Path) -> AsyncIterator[SmtpWorld]:
    """A server with STARTTLS."""
    async with smtp_world(tmp_path) as world:
        yield world
