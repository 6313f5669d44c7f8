"""``sivo provider``: do the providers of AI agents do their part?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sivo.cli.client import CliError
from sivo.cli.output import show
from sivo.cli.session import AsJson, Tenant, connect_to

STAGES = ("stt", "llm", "tts")
group = typer.Typer(help="Providers of AI agents.", no_args_is_help=True)


@group.callback()
def _group() -> None:
    """Providers of AI agents."""


@group.command("test")
def test(
    tenant: Tenant,
    stages: Annotated[list[str] | None, typer.Argument(help="stt, llm, tts; all three if absent.")] = None,
    agent: Annotated[str | None, typer.Option("--agent", help="Id of an AI agent; else the tenant's keys.")] = None,
    second: Annotated[bool, typer.Option("--second", help="Who takes over for this agent.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask each provider for the smallest possible thing; one line each, status 1 when one of them failed."""
    wanted = stages or list(STAGES)
    for stage in wanted:
        if stage not in STAGES:
            raise CliError(f"there is no stage {stage!r}; the stages are {', '.join(STAGES)}", 2)
    client, tenant_id = connect_to(tenant)
    answers: list[dict[str, Any]] = []
    for stage in wanted:
        body = {"stage": stage, "agent": agent, "second": second}
        answers.append(client.call("POST", "/api/providers/test", body, tenant=tenant_id).body)
        if not as_json:
            print(answers[-1]["line"])
    if as_json:
        show(answers)
    if not all(answer["ok"] for answer in answers):
        raise typer.Exit(1)
