"""What a resource kind's ``check`` gets to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sivo.config.key import Inputs


@dataclass(frozen=True, slots=True)
class CheckContext:
    """Facts for semantic checks inside a change-set: the tenant's inputs, effective key values, the author's role.

    ``allow_http`` is the operator's switch for plain http towards allow-listed addresses.
    """

    inputs: Inputs
    values: dict[str, Any]
    role: str
    allow_http: bool = False
