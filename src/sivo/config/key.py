"""What a configuration key is: one declaration from which everything else about it follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sivo.config.types import ValueType


class Level(StrEnum):
    """Where an effective value came from, least specific first."""

    DEFAULT = "default"
    PLATFORM = "platform"
    PLAN = "plan"
    TENANT = "tenant"
    #: One value per Salesforce org or webhook endpoint, under the tenant's.
    ORG = "org"
    ENDPOINT = "endpoint"
    #: Fields of a DID or an AI agent that stand in for a key on calls through it.
    DID = "did"
    AGENT = "agent"


class When(StrEnum):
    """When a change takes effect (reference, "When a change takes effect")."""

    NOW = "now"
    CALLS = "calls"
    SEALED = "sealed"
    NEXT_TOKEN = "next token"  # noqa: S105 - a moment, not a secret
    NEXT_LOGIN = "next login"
    NEXT_EVENT = "next event"
    NOW_AND_CALLS = "now / calls"
    #: New calls, but turning it off acts at once, running calls included.
    CALLS_OFF_NOW = "calls; off: now"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Facts from which computed defaults follow; none of them is a secret."""

    slug: str = ""
    name: str = ""
    plan: str = "starter"
    sip_suffix: str = "sip.sivocenter.com"
    app_suffix: str = "app.sivocenter.com"


#: Gives another key's effective value to a computed default.
Lookup = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Static:
    """The same default for everybody."""

    value: Any

    def compute(self, inputs: Inputs, lookup: Lookup) -> Any:
        return self.value

    def describe(self) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class ByPlan:
    """A default that the tenant's plan decides."""

    values: Mapping[str, Any]

    def compute(self, inputs: Inputs, lookup: Lookup) -> Any:
        return self.values[inputs.plan]

    def describe(self) -> Any:
        return "by plan: " + ", ".join(f"{value} {plan}" for plan, value in self.values.items())


@dataclass(frozen=True, slots=True)
class Computed:
    """A default that follows from facts and other keys; ``how`` says so to people."""

    how: str
    function: Callable[[Inputs, Lookup], Any]

    def compute(self, inputs: Inputs, lookup: Lookup) -> Any:
        return self.function(inputs, lookup)

    def describe(self) -> Any:
        return self.how


Default = Static | ByPlan | Computed

EVERYWHERE = (Level.PLATFORM, Level.PLAN, Level.TENANT)
TENANT_ONLY = (Level.TENANT,)
WITH_ORG = (*EVERYWHERE, Level.ORG)
WITH_ENDPOINT = (*EVERYWHERE, Level.ENDPOINT)

#: Who reads and writes a key unless it says otherwise (reference, "Reading it").
ALL_ROLES = ("agent", "viewer", "supervisor", "admin", "superadmin")
STAFF_ROLES = ("viewer", "supervisor", "admin", "superadmin")
ADMIN_ROLES = ("admin", "superadmin")
NO_ROLES: tuple[str, ...] = ()


#: Release in which the keys of the reference appeared.
FIRST_RELEASE = "0.1.0"


@dataclass(frozen=True, slots=True)
class Key:
    """One configuration key.

    ``scopes`` lists the levels at which it may be set (empty: a view), ``unit`` the unit of a number,
    ``overridden_by`` resource fields that stand in for it on single calls. ``confirm`` is the sentence that
    somebody who changes it has to confirm. ``since`` is the release that brought it; ``deprecated`` the release that
    turned away from it (empty: in use), ``replaced_by`` the key in its place (see :mod:`sivo.config.renamed`).
    """

    name: str
    type: ValueType
    default: Default
    when: When
    help: str
    scopes: tuple[Level, ...] = EVERYWHERE
    read_roles: tuple[str, ...] = STAFF_ROLES
    write_roles: tuple[str, ...] = ADMIN_ROLES
    secret: bool = False
    unit: str = ""
    overridden_by: tuple[str, ...] = ()
    confirm: str = ""
    since: str = FIRST_RELEASE
    deprecated: str = ""
    replaced_by: str = ""

    @property
    def group(self) -> str:
        """First part of the name: the group of the reference."""
        return self.name.split(".", 1)[0]

    @property
    def read_only(self) -> bool:
        """True for views that other actions fill."""
        return not self.scopes

    def describe(self) -> dict[str, Any]:
        """The declaration as JSON: what ``GET /api/config/schema`` and ``sivo config schema`` show."""
        return {
            "key": self.name,
            "group": self.group,
            "schema": self.type.schema(),
            "default": self.default.describe(),
            "scopes": [str(scope) for scope in self.scopes],
            "when": str(self.when),
            "read_roles": list(self.read_roles),
            "write_roles": list(self.write_roles),
            "secret": self.secret,
            "unit": self.unit,
            "overridden_by": list(self.overridden_by),
            "since": self.since,
            "deprecated": self.deprecated or None,
            "replaced_by": self.replaced_by or None,
            "help": self.help,
        }
