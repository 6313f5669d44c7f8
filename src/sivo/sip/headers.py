"""Header fields: an ordered multi-dict that knows compact forms and which headers are comma lists (RFC 3261 §7.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from sivo.sip.grammar import is_token, split_outside

#: Compact form -> name (RFC 3261 §20 and the registry of later RFCs).
COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
}
_COMPACT_LOWER = {short: name.lower() for short, name in COMPACT.items()}
_ODD = {
    "call-id": "Call-ID",
    "cseq": "CSeq",
    "www-authenticate": "WWW-Authenticate",
    "mime-version": "MIME-Version",
    "min-se": "Min-SE",
    "rack": "RAck",
    "rseq": "RSeq",
}
#: Headers whose values may be joined by commas; all others are taken whole.
LISTS = frozenset((
"accept", "accept-encoding", "accept-language", "alert-info", "allow", "allow-events",
"call-info", "contact", "content-encoding", "content-language", "diversion", "error-info",
"history-info", "in-reply-to", "p-asserted-identity", "path", "proxy-require", "record-route",
"require", "route", "service-route", "supported", "unsupported", "via",
"warning",
))  # fmt: skip
_BREAKS = re.compile(r"[\r\n\0]+[ \t]*")


@lru_cache(maxsize=1024)
def _key(name: str) -> str:
    lowered = name.lower()
    return _COMPACT_LOWER.get(lowered, lowered)


@lru_cache(maxsize=1024)
def canonical(name: str) -> str:
    """The name as it is written on the wire: ``call-id`` and ``i`` become ``Call-ID``."""
    key = _key(name)
    return _ODD.get(key) or "-".join(part.capitalize() for part in key.split("-"))


@lru_cache(maxsize=1024)
def named(name: str) -> tuple[str, str] | None:
    """What a header is known by, and its name as it is written; None for what is no name of a header."""
    return (_key(name), canonical(name)) if is_token(name) else None


class Headers:
    """Ordered header fields; names match without case and in compact form.

    Values never contain line breaks: a break in a value that is set becomes one space, so that nothing that came
    from outside can add a header.
    """

    __slots__ = ("_fields", "_first", "read")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields: list[tuple[str, str, str]] = []
        #: The first value of each header, by what it is known by; None: has to be made anew.
        self._first: dict[str, str] | None = None
        #: What was read of a field, by its name; forgotten as soon as that field changes.
        self.read: dict[str, Any] = {}
        for name, value in fields:
            self.add(name, value)

    @classmethod
    def of(cls, fields: list[tuple[str, str, str]]) -> Headers:
        """From fields as they were read: what each is known by, its name and its value without line breaks."""
        made = cls()
        made._fields = fields
        return made

    def get(self, name: str) -> str | None:
        """The first value of ``name`` (of a list header: its first element), or None."""
        key = _key(name)
        value = (self._first or self.look()).get(key)
        if value is not None and "," in value and key in LISTS:
            return (split_outside(value, ",") or [""])[0]
        return value

    def look(self) -> dict[str, str]:
        """The first value of each header, by what it is known by; not to be changed."""
        if self._first is not None:
            return self._first
        self._first = {key: value for key, _, value in reversed(self._fields)}
        return self._first

    def all(self, name: str) -> list[str]:
        """Every value of ``name`` in order; comma lists are split where the header is one."""
        key = _key(name)
        if key not in (self._first or self.look()):
            return []
        values = [value for known, _, value in self._fields if known == key]
        if key not in LISTS:
            return values
        return [part for value in values for part in (split_outside(value, ",") if "," in value else (value,)) if part]

    def set(self, name: str, *values: str) -> None:
        """Replace every ``name`` by ``values``, at the place of the first one."""
        key, shown = _key(name), canonical(name)
        index = next((i for i, field in enumerate(self._fields) if field[0] == key), len(self._fields))
        rest = [field for field in self._fields if field[0] != key]
        index = min(index, len(rest))
        rest[index:index] = [(key, shown, clean(value)) for value in values]
        self._fields = rest
        self._first = None
        self.read.pop(shown, None)

    def add(self, name: str, value: str) -> None:
        """Append one field. ValueError if ``name`` is no token."""
        known = named(name)
        if known is None:
            raise ValueError(f"not a header name: {name[:40]!r}")
        self._fields.append((*known, clean(value)))
        self._first = None
        if self.read:
            self.read.pop(known[1], None)

    def take(self, other: Headers, *names: str) -> None:
        """Append all ``names`` of ``other``, one after the other, each value as a field of its own."""
        self._first = None
        for name in names:
            key = _key(name)
            self.read.pop(canonical(name), None)
            for field in other._fields:
                if field[0] != key:
                    continue
                if "," in field[2] and key in LISTS:
                    self._fields += [(key, field[1], part) for part in split_outside(field[2], ",")]
                else:
                    self._fields.append(field)

    def prepend(self, name: str, value: str) -> None:
        """Put one field before all others (Via, Record-Route)."""
        shown = canonical(name)
        self._fields.insert(0, (_key(name), shown, clean(value)))
        self._first = None
        self.read.pop(shown, None)

    def pop_first(self, name: str) -> str | None:
        """Take away and return the first element of ``name`` (of a list header: only that element)."""
        values = self.all(name)
        if not values:
            return None
        self.set(name, *values[1:])
        return values[0]

    def remove(self, name: str) -> None:
        """Take away every ``name``."""
        key = _key(name)
        self._fields = [field for field in self._fields if field[0] != key]
        self._first = None
        self.read.pop(canonical(name), None)

    def repeated(self) -> bool:
        """Whether any name stands in more than one field."""
        return len(self._first or self.look()) != len(self._fields)

    def keys(self) -> list[str]:
        """What each field is known by, in order."""
        return [field[0] for field in self._fields]

    def fields(self) -> list[tuple[str, str, str]]:
        """What each field is known by, its name and its value, in order; not to be changed."""
        return self._fields

    def items(self) -> Iterator[tuple[str, str]]:
        """Name in canonical form and value of each field, in order."""
        for _, name, value in self._fields:
            yield name, value

    def lines(self, without: str) -> list[str]:
        """Each field as a line, but for those that are known by the name ``without``."""
        return [f"{name}: {value}" for key, name, value in self._fields if key != without]

    def copy(self) -> Headers:
        """An independent copy."""
        other = Headers()
        other._fields = list(self._fields)
        other.read = dict(self.read)
        return other

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _key(name) in (self._first or self.look())

    def __len__(self) -> int:
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({[name for name, _ in self.items()]})"


def clean(value: str) -> str:
    """A value as it may stand in a message: line breaks are spaces."""
    value = value.strip()
    return _BREAKS.sub(" ", value) if "\n" in value or "\r" in value or "\0" in value else value
