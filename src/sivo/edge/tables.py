"""Tables for Kamailio's ``db_text``: a line of column names with types, then a row a line, fields between colons.

Versions and columns as in Kamailio 5.6 and 6.0 (its ``share/kamailio/dbtext``).
"""

from __future__ import annotations

from collections.abc import Iterable

from sivo.edge.view import View

_VERSIONS = {"domain": 2, "domain_attrs": 1, "location": 9, "subscriber": 7, "version": 1}
#: Where phones are: kept by Kamailio itself, made empty once.
LOCATION = (
    "id(int,auto) ruid(string) username(string) domain(string,null) contact(string) received(string,null)"
    " path(string,null) expires(int) q(double) callid(string) cseq(int) last_modified(int) flags(int) cflags(int)"
    " user_agent(string) socket(string,null) methods(int,null) instance(string,null) reg_id(int) server_id(int)"
    " connection_id(int) keepalive(int) partition(int)\n"
)


def version() -> str:
    """Which version each table is of."""
    return _table("id(int,auto) table_name(string) table_version(int)", sorted(_VERSIONS.items()))


def domain(known: View) -> str:
    """Domains of tenants; ``did`` is the tenant's id."""
    rows = [(name, tenant, 0) for name, tenant in known.domains]
    return _table("id(int,auto) domain(string) did(string,null) last_modified(int)", rows)


def domain_attrs() -> str:
    """None; the module ``domain`` wants the table."""
    return _table("id(int,auto) did(string) name(string) type(int) value(string) last_modified(int)", [])


def subscriber(known: View) -> str:
    """Accounts: HA1 is as good as the password in its domain."""
    rows = [(one.username, one.domain, one.ha1, one.extension, one.home) for one in known.accounts]
    return _table("id(int,auto) username(string) domain(string) ha1(string) extension(string) home(string)", rows)


def _table(columns: str, rows: Iterable[tuple[object, ...]]) -> str:
    lines = [columns, *(":".join(_field(one) for one in (number, *row)) for number, row in enumerate(rows, 1))]
    return "\n".join(lines) + "\n"


def _field(value: object) -> str:
    text = str(value).replace("\\", "\\\\").replace(":", "\\:")
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
