"""``sivo <resource> create|list|get|set|delete``: the same five verbs for every kind of resource."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from sivo.cli.assignments import body_from
from sivo.cli.output import show, table
from sivo.cli.session import AsJson, Reason, Tenant, connect_to

Sets = Annotated[list[str] | None, typer.Option("--set", "-s", help="field=value; dots reach into objects.")]
File = Annotated[Path | None, typer.Option("--file", "-f", help="JSON body; - is standard input.")]
Id = Annotated[str, typer.Argument(help="Id of the resource.")]


@dataclass(frozen=True, slots=True)
class Noun:
    """One kind on the command line: its name, its path, what ``list`` shows."""

    name: str
    plural: str
    help: str
    columns: tuple[str, ...]


NOUNS = (
    Noun("user", "users", "People who sign in.", ("id", "email", "name", "role", "language")),
    Noun("extension", "extensions", "Extensions (SIP accounts).", ("id", "number", "name", "user", "active")),
    Noun("trunk", "trunks", "Carriers and their address lists.", ("id", "name", "cidrs", "host", "port")),
    Noun("did", "dids", "Numbers and who answers them.", ("id", "number", "trunk", "target")),
    Noun("schedule", "schedules", "Opening hours.", ("id", "name", "timezone", "hours")),
    Noun("ring-group", "ring-groups", "Extensions that ring together.", ("id", "name", "strategy", "extensions")),
    Noun(
        "carrier-limits",
        "carrier-limits",
        "Fuse against toll fraud (operators).",
        ("id", "calls_per_minute", "calls_at_a_time"),
    ),
    Noun("ai-agent", "ai-agents", "AI voice agents.", ("id", "name", "language", "greeting")),
    Noun("recording-policy", "recording-policies", "What is recorded.", ("id", "scope", "active", "format")),
    Noun("transcription-policy", "transcription-policies", "What is transcribed.", ("id", "scope", "active", "engine")),
    Noun("lead-inbox", "lead-inboxes", "Where leads are mailed.", ("id", "source", "email", "active")),
    Noun("change-control", "change-control", "How this tenant's changes are made.", ("id", "approval_required")),
    Noun("endpoint", "webhooks", "Webhook endpoints.", ("id", "url", "events", "active")),
)


def commands(noun: Noun) -> typer.Typer:
    """The command group of one kind."""
    group = typer.Typer(help=noun.help, no_args_is_help=True)
    root = f"/api/{noun.plural}"

    def one(identifier: str) -> str:
        return f"{root}/{quote(identifier, safe='')}"

    @group.command("create")
    def create(tenant: Tenant, set_: Sets = None, file: File = None, reason: Reason = "") -> None:
        """Create one; prints it with its id, and generated secrets this one time."""
        body = body_from(file, set_ or [])
        client, tenant_id = connect_to(tenant)
        show(client.call("POST", root, body, tenant=tenant_id, headers=reason_header(reason)).body)

    @group.command("list")
    def list_(tenant: Tenant, as_json: AsJson = False) -> None:
        """List all."""
        client, tenant_id = connect_to(tenant)
        items = items_of(client.call("GET", root, tenant=tenant_id).body)
        if as_json:
            show(items)
        else:
            table(items, noun.columns)

    @group.command("get")
    def get(identifier: Id, tenant: Tenant) -> None:
        """Show one."""
        client, tenant_id = connect_to(tenant)
        show(client.call("GET", one(identifier), tenant=tenant_id).body)

    @group.command("set")
    def set_fields(identifier: Id, tenant: Tenant, set_: Sets = None, file: File = None, reason: Reason = "") -> None:
        """Change fields of one (JSON merge patch: null removes)."""
        body = body_from(file, set_ or [])
        client, tenant_id = connect_to(tenant)
        answer = client.call(
            "PATCH",
            one(identifier),
            body,
            tenant=tenant_id,
            headers=reason_header(reason),
            content_type="application/merge-patch+json",
        )
        show(answer.body)

    @group.command("delete")
    def delete(identifier: Id, tenant: Tenant, reason: Reason = "") -> None:
        """Delete one."""
        client, tenant_id = connect_to(tenant)
        client.call("DELETE", one(identifier), tenant=tenant_id, headers=reason_header(reason))
        print(f"{noun.name} {identifier} deleted")

    return group


def reason_header(reason: str) -> dict[str, str]:
    """The reason of a change, as the API takes it (percent-encoded, since headers are not UTF-8)."""
    return {"X-Change-Reason": quote(reason)} if reason else {}


def items_of(body: Any) -> list[dict[str, Any]]:
    """The rows of a listing, bare or under ``items``."""
    if isinstance(body, dict):
        body = body.get("items", [])
    return list(body)
