"""``sivo audit isolation``: two canary tenants on the running platform, one of which tries everything on the other."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sivo.cli.client import Client, CliError
from sivo.cli.output import show, table
from sivo.cli.session import AsJson, connect, connect_to

PATH = "/api/audit/isolation"
#: Seconds to wait for a report; the platform itself gives up earlier.
WAIT_S = 420.0


def isolation(
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Whose audit it is; without one the platform's.")] = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the signed report to this file.")] = None,
    verify: Annotated[Path | None, typer.Option("--verify", help="Check the signature of a report instead.")] = None,
    as_json: AsJson = False,
) -> None:
    """Prove that tenants are kept apart; exit status 1 when they are not, or when something has no probe."""
    client = connect()
    if verify is not None:
        _verify(client, verify)
        return
    if tenant or client.remote:
        client, owner = connect_to(tenant)
    else:
        owner = None
    begun = client.call("POST", PATH, tenant=owner).body["id"]
    report = _wait(client, begun, owner)
    if out is not None:
        out.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        show(report)
    else:
        _print(report)
    if report["verdict"] != "isolated":
        raise CliError(f"the verdict is: {report['verdict']}")


def _wait(client: Client, audit_id: str, owner: Any) -> dict[str, Any]:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = client.call("GET", f"{PATH}/{audit_id}", tenant=owner).body
        if found["state"] == "done":
            if found["report"] is None:
                raise CliError("the audit died before it had a report; start it again")
            return dict(found["report"])
        time.sleep(0.5)
    raise CliError("the audit gave no report in time", 3)


def _print(report: dict[str, Any]) -> None:
    rows = [{"section": section, **counts} for section, counts in report["counts"].items()]
    table(rows, ("section", "held", "leaked", "uncovered"))
    bad = [one for one in report["findings"] if one["outcome"] != "held"]
    if bad:
        print()
        table(bad, ("outcome", "section", "name", "detail"))
    print(f"\n{report['verdict']}, signed with {report['signature']['key_id']}")


def _verify(client: Client, path: Path) -> None:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CliError(f"{path} is no report: {error}", 2) from error
    answer = client.call("POST", f"{PATH}/verify", report).body
    if not answer["genuine"]:
        raise CliError("this platform did not sign this report, or it was changed since")
    print(f"genuine; the verdict is: {answer['verdict']}")
