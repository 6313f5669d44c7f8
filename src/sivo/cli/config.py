"""``sivo config``: read, change and explain the configuration of a tenant, of a plan or of the platform.

Exit status: 0 done (nothing differs), 1 refused, 2 used wrongly, 3 the platform does not answer, 4 something differs,
5 the change waits for somebody's approval.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import typer

from sivo.cli.client import Answer, Client, CliError
from sivo.cli.output import cell, show, table
from sivo.cli.resource import items_of, reason_header
from sivo.cli.session import AsJson, Reason, Tenant, connect, connect_to

group = typer.Typer(help="Configuration keys of a tenant, a plan or the platform.", no_args_is_help=True)
MERGE = "application/merge-patch+json"

At = Annotated[str, typer.Option("--at", help="A version, or a time (ISO 8601): as it was then.")]
ScopeName = Annotated[
    str, typer.Option("--scope", help="tenant, platform, plan:<name>, org:<id> or endpoint:<id>.", show_default=True)
]
Confirm = Annotated[list[str] | None, typer.Option("--confirm", help="A key whose warning you have read.")]
Later = Annotated[
    str, typer.Option("--at", help="When to do it (ISO 8601; without an offset in the tenant's time zone).")
]
BreakGlass = Annotated[
    bool, typer.Option("--break-glass", help="Do now what needs approval; with --reason, and everybody hears of it.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]


class Place:
    """Where a command works: a client, and the tenant unless the scope is above tenants."""

    def __init__(self, tenant: str, scope: str = "tenant") -> None:
        self.scope = scope
        self.above = scope == "platform" or scope.startswith("plan:")
        self.client: Client
        self.tenant: UUID | None
        if self.above:
            self.client, self.tenant = connect(), None
        else:
            self.client, self.tenant = connect_to(tenant)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """One request at this place."""
        if self.scope != "tenant":
            more["scope"] = self.scope
        return self.client.call(method, path, body, tenant=self.tenant, **more)


@group.command("get")
def get(
    tenant: Tenant,
    key: Annotated[str, typer.Argument(help="One key; all if absent.", autocompletion=lambda: _names())] = "",
    scope: ScopeName = "tenant",
    at: At = "",
    as_json: AsJson = False,
) -> None:
    """Print all effective values as flat JSON, or one value bare."""
    values = Place(tenant, scope).call("GET", "/api/config", at=at or None).body
    if not key:
        show(values)
    elif key in values:
        print(json.dumps(values[key], ensure_ascii=False) if as_json else cell(values[key]))
    else:
        raise CliError(f"there is no key {key}; `sivo config schema` lists all")


@group.command("set")
def set_(
    tenant: Tenant,
    key: Annotated[str, typer.Argument(help="Key, for example ai.max_turns.", autocompletion=lambda: _names())],
    value: Annotated[
        str, typer.Argument(help="New value; lists as JSON.", autocompletion=lambda ctx: _values(ctx.params.get("key")))
    ],
    scope: ScopeName = "tenant",
    at: Later = "",
    break_glass: BreakGlass = False,
    lock: Annotated[
        bool | None, typer.Option("--lock/--unlock", help="Whether levels below may override it; as it is if absent.")
    ] = None,
    reason: Reason = "",
    confirm: Confirm = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Set one key; above tenants it first says how many it changes."""
    place = Place(tenant, scope)
    sent: Any = typed(_schema(place.client, key), value)
    change = _Change(key, sent if lock is None else {"value": sent, "locked": lock}, reason, confirm or [])
    if at or break_glass:
        _change_apart(place, change, at, break_glass, yes, as_json)
    else:
        _change(place, change, yes, as_json)


@group.command("unset")
def unset(
    tenant: Tenant,
    key: Annotated[str, typer.Argument(help="Key to take back.", autocompletion=lambda: _names())],
    scope: ScopeName = "tenant",
    at: Later = "",
    break_glass: BreakGlass = False,
    reason: Reason = "",
    confirm: Confirm = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove a level's own value, so that the levels above it or the default apply."""
    place, change = Place(tenant, scope), _Change(key, None, reason, confirm or [])
    if at or break_glass:
        _change_apart(place, change, at, break_glass, yes, as_json)
    else:
        _change(place, change, yes, as_json)


@dataclass(frozen=True, slots=True)
class _Change:
    """One key as somebody wants it; ``sent`` None takes the override back."""

    key: str
    sent: Any
    reason: str
    confirm: list[str]


def _change(place: Place, change: _Change, yes: bool, as_json: bool) -> None:
    _say_reach(place, change, yes)
    query = {"confirm": change.confirm} if change.confirm else {}
    headers, body = reason_header(change.reason), {change.key: change.sent}
    answer = place.call("PATCH", "/api/config", body, headers=headers, content_type=MERGE, **query)
    value = answer.body.get(change.key)
    shown = {change.key: value}
    print(json.dumps(shown, ensure_ascii=False) if as_json else f"{change.key} = {cell(value)}")


def _change_apart(place: Place, change: _Change, at: str, break_glass: bool, yes: bool, as_json: bool) -> None:
    """At another time, or without the approval that it needs."""
    from sivo.cli.change import said  # that module adds to this one

    _say_reach(place, change, yes)
    body: dict[str, Any] = {"patch": {change.key: change.sent}, "reason": change.reason, "confirm": change.confirm}
    body |= {"apply_at": at or None, "break_glass": break_glass}
    answer = place.call("POST", "/api/changes", body).body
    if as_json:
        show(answer)
    elif "change" in answer:
        print(said(answer["change"]))
    else:
        print(f"{change.key} changed as version {answer['entry']['version']}; the glass is broken", file=sys.stderr)


def _say_reach(place: Place, change: _Change, yes: bool) -> None:
    if place.above:
        reach = place.call("POST", "/api/config/impact", {change.key: change.sent}).body
        print(f"{change.key} at {place.scope}: {reach['sentence']}", file=sys.stderr)
        agree(yes)


def agree(yes: bool) -> None:
    """Go on only with --yes or a yes at a terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CliError("nothing was changed; say --yes to do it", 2)
    if not typer.confirm("Do it?", err=True):
        raise CliError("nothing was changed")


@group.command("explain")
def explain(
    tenant: Tenant,
    key: Annotated[str, typer.Argument(help="Key; all if absent.", autocompletion=lambda: _names())] = "",
    scope: ScopeName = "tenant",
    at: At = "",
    call: Annotated[str, typer.Option("--call", help="Id of a past call: as that call knew it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Print where a value comes from: every level, the winner, who set it, when and why, and locks."""
    place = Place(tenant, scope)
    if call:
        found = place.call("GET", f"/api/calls/{quote(call, safe='')}/config", key=key or None).body
    elif key:
        found = place.call("GET", f"/api/config/{quote(key, safe='')}", at=at or None).body
    else:
        found = place.call("GET", "/api/config", explain=1, at=at or None).body
    if as_json:
        show(found)
        return
    for one in [found] if "levels" in found else found.values():
        _print_explained(one)


def _print_explained(one: dict[str, Any]) -> None:
    print(f"{one['key']} = {cell(one['value'])}   from {one['source']}" + _origin(one))
    for level in one["levels"]:
        mark = ("*" if level["source"] == one["source"] else " ") + ("L" if level["locked"] else " ")
        print(f"  {mark} {level['source']:<24} {cell(level['value'])}" + _origin(level))
    default = one.get("default")
    if default:
        changed = default.get("changed")
        print(
            f"     {'default':<24} {cell(default['value'])}  ({default['how']})" + (_origin(changed) if changed else "")
        )


def _origin(one: dict[str, Any]) -> str:
    said = [f"by {one['author']}"] if one.get("author") else []
    said += [f"at {one['at']}"] if one.get("at") else []
    said += [f'"{one["reason"]}"'] if one.get("reason") else []
    said += [str(one["how"])] if one.get("how") else []
    return f"  ({', '.join(said)})" if said else ""


@group.command("schema")
def schema(
    key: Annotated[str, typer.Argument(help="One key; all if absent.", autocompletion=lambda: _names())] = "",
    as_json: AsJson = False,
) -> None:
    """Print type, bounds, default, scopes and help of the keys."""
    found = _descriptions(connect())
    if key:
        found = [item for item in found if item["key"] == key]
        if not found:
            raise CliError(f"there is no key {key}; `sivo config schema` lists all")
    if as_json or key:
        show(found[0] if key else found)
        return
    for item in found:
        print(f"{item['key']}  (default {cell(item['default'])}; takes effect: {item['when']})")
        print(f"    {item['help']}")


@group.command("history")
def history(
    tenant: Tenant,
    key: Annotated[str, typer.Option("--key", help="Only changes of this key.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=200)] = 20,
    as_json: AsJson = False,
) -> None:
    """List the latest versions with author, reason and what they changed."""
    place = Place(tenant)
    items = items_of(place.call("GET", "/api/config/history", key=key or None, limit=limit).body)
    if as_json:
        show(items)
        return
    rows = [{**item, "changes": ", ".join(change["target"] for change in item["changes"])} for item in items]
    table(rows, ("seq", "at", "author", "reason", "changes"))


@group.command("verify")
def verify(tenant: Tenant) -> None:
    """Recompute the tenant's ledger, its signatures and its checkpoint; exit status 1 when it is not intact."""
    result = Place(tenant).call("GET", "/api/ledger/verify").body
    show(result)
    if not result.get("ok"):
        raise CliError("the ledger is not intact")


def typed(schema_of_key: dict[str, Any], text: str) -> Any:
    """``text`` as the JSON type that the key's schema wants; text stays text where a string is wanted."""
    if schema_of_key.get("type") == "string" or "enum" in schema_of_key:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text  # the platform refuses it, naming the rule


def _names() -> list[str]:
    """Names of all keys, for the shell's completion."""
    from sivo.config.registry import KEYS  # the other commands need none of it

    return list(KEYS)


def _values(key: str | None) -> list[str]:
    """Values that a key may have, for the shell's completion: those of an enumeration, true and false."""
    from sivo.config.registry import KEYS

    schema = KEYS[key].type.schema() if key in KEYS else {}
    if schema.get("type") == "boolean":
        return ["true", "false"]
    choices = [*schema.get("enum", ()), *(word for one in schema.get("anyOf", ()) for word in one.get("enum", ()))]
    return [str(one) for one in choices]


def _descriptions(client: Client) -> list[dict[str, Any]]:
    body = client.call("GET", "/api/config/schema").body
    return list(body["keys"] if isinstance(body, dict) else body)


def _schema(client: Client, key: str) -> dict[str, Any]:
    for item in _descriptions(client):
        if item["key"] == key:
            return dict(item["schema"])
    return {}


from sivo.cli import config_files  # noqa: E402, F401 - adds its commands to the group
