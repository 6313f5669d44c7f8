"""Value types of configuration keys: each checks one value and describes itself as JSON Schema.

``check`` returns the value in its normal form or raises :class:`ValueError` with the rule that was broken
("must be a whole number from 300 to 604800"); key and value are added by the caller.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import available_timezones

#: What ``GET /api/config`` shows instead of a secret.
REDACTED = "***"

LOCALES = ("es", "en", "de", "fr", "it", "pt")
ROLES = ("agent", "viewer", "supervisor", "admin", "superadmin")
PLANS = ("starter", "pro", "enterprise")

#: ISO 639-1:2002, all two-letter codes.
ISO_639_1 = frozenset(
    """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el
    en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu
    ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na
    nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so
    sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
    """.split()  # noqa: SIM905
)

_HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class ValueType(Protocol):
    """What a key's value must be."""

    #: What a form shows to edit it (see :mod:`sivo.config.form`).
    widget: ClassVar[str]

    def check(self, value: Any) -> Any:
        """The value in normal form; :class:`ValueError` names the broken rule."""
        ...

    def schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of the value."""
        ...


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number within bounds, both included."""

    widget: ClassVar[str] = "number"
    minimum: int
    maximum: int

    def check(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self.minimum <= value <= self.maximum:
            raise ValueError(f"must be a whole number from {self.minimum} to {self.maximum}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class Bool:
    """true or false."""

    widget: ClassVar[str] = "switch"

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Text:
    """A string of 1 to ``max_length`` characters, by default visible ASCII without spaces at the ends."""

    widget: ClassVar[str] = "text"
    max_length: int = 200
    pattern: str = r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?"
    rule: str = "visible ASCII"

    def check(self, value: Any) -> str:
        wrong = not isinstance(value, str) or not 1 <= len(value) <= self.max_length
        if wrong or not re.fullmatch(self.pattern, value):
            raise ValueError(f"must be a string of 1 to {self.max_length} characters, {self.rule}")
        return str(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": self.max_length, "pattern": f"^{self.pattern}$"}


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a closed list of words."""

    widget: ClassVar[str] = "select"
    choices: tuple[str, ...]

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.choices:
            raise ValueError(f"must be one of {', '.join(self.choices)}")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.choices)}


@dataclass(frozen=True, slots=True)
class Host:
    """A DNS host name (RFC 1123 §2.1), without port; stored in lower case."""

    widget: ClassVar[str] = "host"

    def check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a host name")
        host = value.lower().rstrip(".")
        labels = host.split(".")
        if not 1 <= len(host) <= 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels):
            raise ValueError("must be a host name such as acme.sip.example.com")
        if labels[-1].isdigit():
            raise ValueError("must be a host name, not an IP address")
        return host

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "hostname", "maxLength": 253}


@dataclass(frozen=True, slots=True)
class Url:
    """An absolute http(s) URL without credentials or fragment; ``words`` are accepted beside it.

    Whether the address may be reached is decided at connect by the outbound guard, not here.
    """

    widget: ClassVar[str] = "url"
    words: tuple[str, ...] = ()

    def check(self, value: Any) -> str:
        if isinstance(value, str) and value in self.words:
            return value
        rule = "must be an https:// URL without credentials or fragment"
        if self.words:
            rule += f", or {' or '.join(self.words)}"
        if not isinstance(value, str) or len(value) > 2048 or not value.isprintable() or " " in value:
            raise ValueError(rule)
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment or "@" in parts.netloc:
            raise ValueError(rule)
        _port_of(parts.netloc, rule)
        return value.rstrip("/")

    def schema(self) -> dict[str, Any]:
        url = {"type": "string", "format": "uri", "maxLength": 2048}
        return {"anyOf": [url, {"enum": list(self.words)}]} if self.words else url


def _port_of(netloc: str, rule: str) -> int | None:
    """The port of a URL, checked to be one (urlsplit looks at it only when asked)."""
    try:
        return urlsplit(f"//{netloc}").port
    except ValueError as error:
        raise ValueError(rule) from error


@dataclass(frozen=True, slots=True)
class Uuid:
    """A UUID in its 36-character form; ``words`` are accepted beside it."""

    widget: ClassVar[str] = "uuid"
    words: tuple[str, ...] = ()

    def check(self, value: Any) -> str:
        if isinstance(value, str) and value in self.words:
            return value
        rule = "must be a UUID" + (f" or {' or '.join(self.words)}" if self.words else "")
        if not isinstance(value, str):
            raise ValueError(rule)
        try:
            return str(UUID(value))
        except ValueError as error:
            raise ValueError(rule) from error

    def schema(self) -> dict[str, Any]:
        uuid = {"type": "string", "format": "uuid"}
        return {"anyOf": [uuid, {"enum": list(self.words)}]} if self.words else uuid


@dataclass(frozen=True, slots=True)
class Zone:
    """An IANA time zone name known to this installation (PEP 615)."""

    widget: ClassVar[str] = "timezone"

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or value not in available_timezones():
            raise ValueError("must be an IANA time zone such as Europe/Madrid")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "description": "IANA time zone", "maxLength": 64}


@dataclass(frozen=True, slots=True)
class Language:
    """An ISO 639-1 two-letter language code."""

    widget: ClassVar[str] = "language"

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or value not in ISO_639_1:
            raise ValueError("must be an ISO 639-1 language code such as es")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[a-z]{2}$"}


@dataclass(frozen=True, slots=True)
class Roles:
    """A set of roles, kept in the fixed order of :data:`ROLES`; replaced whole, never merged."""

    widget: ClassVar[str] = "roles"

    def check(self, value: Any) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(role, str) and role in ROLES for role in value):
            raise ValueError(f"must be an array of roles out of {', '.join(ROLES)}")
        return [role for role in ROLES if role in value]

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"enum": list(ROLES)}, "uniqueItems": True}


@dataclass(frozen=True, slots=True)
class Secret:
    """Secret text, kept in the vault; only its fingerprint is seen elsewhere."""

    widget: ClassVar[str] = "secret"
    min_length: int = 16
    max_length: int = 256

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or not self.min_length <= len(value) <= self.max_length:
            raise ValueError(f"must be a secret of {self.min_length} to {self.max_length} characters")
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": self.min_length, "maxLength": self.max_length, "writeOnly": True}


@dataclass(frozen=True, slots=True)
class View:
    """A read-only list that other actions fill (for example a completed OAuth connection)."""

    widget: ClassVar[str] = "view"

    def check(self, value: Any) -> list[Any]:
        raise ValueError("is a read-only view and cannot be set")

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "readOnly": True}
