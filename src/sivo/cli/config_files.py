"""``sivo config`` on documents and versions: export, import, plan, apply, diff, rollback."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sivo.cli.client import CliError
from sivo.cli.config import Confirm, Place, ScopeName, Yes, agree, group
from sivo.cli.output import cell, show
from sivo.cli.resource import reason_header
from sivo.cli.session import AsJson, Reason, Tenant, connect

DIFFERS = 4
File = Annotated[str, typer.Argument(help="YAML document; - is standard input.")]
Calls = Annotated[int, typer.Option("--calls", min=0, max=500, help="Replay against so many of the last calls.")]


@group.command("export")
def export(
    tenant: Tenant,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write, not standard output.")] = None,
    every: Annotated[Path | None, typer.Option("--all", help="Write <slug>.yaml of every tenant into here.")] = None,
) -> None:
    """Print the tenant's own values and resources as YAML; secrets are references."""
    if every is not None:
        _export_all(every)
        return
    text = str(Place(tenant).call("GET", "/api/config/export").body)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def _export_all(folder: Path) -> None:
    client, cursor, count = connect(), None, 0
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        page = client.call("GET", "/api/config/exports", cursor=cursor).body
        for one in page["items"]:
            (folder / f"{one['slug']}.yaml").write_text(one["document"], encoding="utf-8")
            count += 1
        cursor = page["next"]
        if cursor is None:
            break
    print(f"{count} tenants exported to {folder}")


@group.command("import")
def import_(file: File, tenant: Tenant, reason: Reason = "", confirm: Confirm = None, as_json: AsJson = False) -> None:
    """Make the tenant as the document says; sections that it does not have are left alone."""
    _write(Place(tenant), "/api/config/import", {"document": _read(file)}, reason, confirm, as_json)


@group.command("plan")
def plan(
    file: File,
    tenant: Tenant,
    calls: Calls = 100,
    out: Annotated[Path | None, typer.Option("--out", help="Keep the plan here, for `apply`.")] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit status 4 when there is something to do.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what the document would change, and what that would have done to the last calls. Nothing is written."""
    document = _read(file)
    found = Place(tenant).call("POST", "/api/config/plan", {"document": document, "calls": calls}).body
    if as_json:
        show(found)
    else:
        print_plan(found)
    if found["problem"]:
        raise CliError(f"{found['problem']['code']}: {found['problem']['detail']}")
    if out is not None:
        kept = {"plan": found["plan"], "version": found["version"], "document": document}
        out.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    if exit_code and found["changes"]:
        raise typer.Exit(DIFFERS)


@group.command("apply")
def apply(
    file: Annotated[str, typer.Argument(help="A plan kept with `plan --out`, or a YAML document.")],
    tenant: Tenant,
    reason: Reason = "",
    confirm: Confirm = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Do exactly what was planned, or refuse when something moved since. A document is planned and shown first."""
    place = Place(tenant)
    text = _read(file)
    body = _kept_plan(text)
    if body is None:
        body = {"document": text}
        found = place.call("POST", "/api/config/plan", {**body, "calls": 0}).body
        print_plan(found, sys.stderr)
        if not found["changes"]:
            return
        agree(yes)
        body["plan"] = found["plan"]
    _write(place, "/api/config/apply", body, reason, confirm, as_json)


@group.command("diff")
def diff(
    tenant: Tenant,
    from_: Annotated[str, typer.Argument(metavar="[FROM]", help="A version or a time.")] = "",
    to: Annotated[str, typer.Argument(metavar="[TO]", help="The same; now if absent.")] = "",
    file: Annotated[str, typer.Option("--file", "-f", help="Compare with this document instead (drift).")] = "",
    scope: ScopeName = "tenant",
    as_json: AsJson = False,
) -> None:
    """Say what differs between two versions, or from a document to what is there; exit status 4 when something does."""
    if bool(from_) == bool(file):
        raise CliError("name a version to compare with, or a document with --file", 2)
    place = Place(tenant, scope)
    if file:
        found = place.call("POST", "/api/config/plan", {"document": _read(file), "calls": 0}).body
    else:
        found = place.call("GET", "/api/config/diff", **{"from": from_, "to": to or None}).body
    if as_json:
        show({"changes": found["changes"], "effective": found["effective"]})
    else:
        print_changes(found["changes"])
    if found["changes"]:
        raise typer.Exit(DIFFERS)


@group.command("rollback")
def rollback(
    to: Annotated[str, typer.Argument(help="A version or a time.")],
    tenant: Tenant,
    scope: ScopeName = "tenant",
    reason: Reason = "",
    confirm: Confirm = None,
    as_json: AsJson = False,
) -> None:
    """Make everything as it was then, as a new version. Secrets stay as they are today."""
    found = _write(Place(tenant, scope), "/api/config/rollback", {"to": to}, reason, confirm, as_json)
    for name in found["kept_secrets"]:
        print(f"kept as it is today: {name}", file=sys.stderr)


def _write(
    place: Place, path: str, body: dict[str, Any], reason: str, confirm: list[str] | None, as_json: bool
) -> dict[str, Any]:
    query = {"confirm": confirm} if confirm else {}
    found: dict[str, Any] = place.call("POST", path, body, headers=reason_header(reason), **query).body
    if as_json:
        show(found)
        return found
    print_changes(found["changes"])
    for target, secrets in found["generated"].items():
        for name, value in secrets.items():
            print(f"generated, shown this once: {target} {name} {value}")
    print(f"version {found['version']}" + ("" if found["changed"] else ", nothing to do"))
    return found


def print_plan(found: dict[str, Any], out: Any = None) -> None:
    """A plan for people."""
    print_changes(found["changes"], out)
    for one in found["effective"]:
        line = f"  {one['key']}: {cell(one['before'])} ({one['from']}) -> {cell(one['after'])} ({one['to']})"
        print(line, file=out)
    replay = found["replay"]
    if replay["calls"]:
        print(f"replay of {replay['calls']} calls: {len(replay['changed'])} would have gone otherwise", file=out)
    for call in replay["changed"]:
        print(f"  {call['call_id']}  {call['at']}  {call['from']} -> {call['to']}", file=out)
        for one in call["changes"]:
            rule = f"  ({one['rule']})" if one.get("rule") else ""
            print(f"      {one['what']}: {cell(one['now'])} -> {cell(one['after'])}{rule}", file=out)
    for one in found["not_replayable"]:
        print(f"not replayable: {one['what']}: {one['reason']}", file=out)
    for key, sentence in found["confirmations"].items():
        print(f"needs --confirm {key}: {sentence}", file=out)


def print_changes(changes: list[dict[str, Any]], out: Any = None) -> None:
    """Changes for people: one line a key, one a field of a resource."""
    signs = {"add": "+", "remove": "-", "change": "~"}
    for one in changes:
        sign = signs[one["action"]]
        if "key" in one:
            place = "" if one["scope"] == "tenant" else f" at {one['scope']}"
            print(f"{sign} {one['key']}{place}: {cell(one['before'])} -> {cell(one['after'])}", file=out)
            continue
        print(f"{sign} {one['kind']} {one['name'] or ''} {one['id']}", file=out)
        for field in one["fields"] if one["action"] == "change" else ():
            print(f"    {field['field']}: {cell(field['before'])} -> {cell(field['after'])}", file=out)
    if not changes:
        print("nothing differs", file=out)


def _kept_plan(text: str) -> dict[str, Any] | None:
    """The plan that ``plan --out`` kept; None when it is something else."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or not {"plan", "document"} <= found.keys():
        return None
    return {"plan": found["plan"], "document": found["document"]}


def _read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{file} cannot be read: {error}", 2) from None
