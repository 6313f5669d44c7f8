"""``sivo change``: what waits for its time or for approval, and deciding on it."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from sivo.cli.config import Place, ScopeName
from sivo.cli.config_files import print_changes
from sivo.cli.output import cell, show, table
from sivo.cli.resource import items_of
from sivo.cli.session import AsJson, Reason, Tenant

group = typer.Typer(help="Changes that are scheduled, wait for approval, or are held.", no_args_is_help=True)
STATES = ("pending", "scheduled", "held", "applied", "rejected", "cancelled")
Id = Annotated[str, typer.Argument(help="Id of the change.")]
State = Annotated[
    list[str] | None,
    typer.Option("--state", help="Only these; the open ones if absent.", autocompletion=lambda: list(STATES)),
]


@group.command("list")
def list_(tenant: Tenant, state: State = None, scope: ScopeName = "tenant", as_json: AsJson = False) -> None:
    """List what waits or is held, newest first."""
    query = {"state": state} if state else {}
    items = items_of(Place(tenant, scope).call("GET", "/api/changes", limit=200, **query).body)
    if as_json:
        show(items)
        return
    rows = [{**one, "changes": ", ".join(each["target"] for each in one["changes"])} for one in items]
    table(rows, ("id", "state", "apply_at", "author", "reason", "changes"))


@group.command("show")
def show_(change: Id, tenant: Tenant, scope: ScopeName = "tenant", as_json: AsJson = False) -> None:
    """Show one: what it would change, and why it is held if it is."""
    found = Place(tenant, scope).call("GET", _path(change)).body
    if as_json:
        show(found)
        return
    _print(found)


@group.command("approve")
def approve(
    change: Id,
    tenant: Tenant,
    digest: Annotated[str, typer.Option("--digest", help="Only if this plan is the one that waits.")] = "",
    reason: Reason = "",
    scope: ScopeName = "tenant",
    as_json: AsJson = False,
) -> None:
    """Let one through: done now, or at its time."""
    _decide(Place(tenant, scope), change, "approve", reason, as_json, **({"digest": digest} if digest else {}))


@group.command("reject")
def reject(
    change: Id, tenant: Tenant, reason: Reason = "", scope: ScopeName = "tenant", as_json: AsJson = False
) -> None:
    """Turn one down."""
    _decide(Place(tenant, scope), change, "reject", reason, as_json)


@group.command("cancel")
def cancel(
    change: Id, tenant: Tenant, reason: Reason = "", scope: ScopeName = "tenant", as_json: AsJson = False
) -> None:
    """Take one back."""
    _decide(Place(tenant, scope), change, "cancel", reason, as_json)


def _decide(place: Place, change: str, verb: str, reason: str, as_json: bool, **more: Any) -> None:
    found = place.call("POST", f"{_path(change)}/{verb}", {"reason": reason, **more}).body
    if as_json:
        show(found)
    else:
        print(said(found["change"]))


def said(one: dict[str, Any]) -> str:
    """One line: what became of a change, or what it waits for."""
    match one["state"]:
        case "pending":
            return f"change {one['id']} waits for approval; `sivo change show {one['id']}`"
        case "scheduled":
            return f"change {one['id']} is scheduled for {one['apply_at']}"
        case "applied":
            return f"change {one['id']} is applied as version {one['version']}"
    return f"change {one['id']} is {one['state']}"


def _print(found: dict[str, Any]) -> None:
    print(said(found))
    print(f"by {found['author']} at {found['created_at']}" + (f': "{found["reason"]}"' if found["reason"] else ""))
    if found["break_glass"]:
        print("the glass was broken for it")
    if found["decided_by"]:
        print(f"decided by {found['decided_by']} at {found['decided_at']}: {found['decision'] or '-'}")
    held = found["held"]
    if held:
        for one in held["moved"]:
            print(
                f"moved: {one['target']} {one['field']}: planned on {cell(one['planned_on'])}, is {cell(one['now'])}"
                + (f" ({one['note']})" if one["note"] else "")
            )
        if held["problem"]:
            print(f"breaks a rule: {held['problem']['code']}: {held['problem']['detail']}")
    print_changes(found["changes"])
    print(f"digest {found['digest']}")


def _path(change: str) -> str:
    return f"/api/changes/{quote(change, safe='')}"
