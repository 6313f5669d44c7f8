"""What every message between ``call`` and ``media`` is made of."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, tag_field="t", kw_only=True):
    """Base: the tag is the class name."""
