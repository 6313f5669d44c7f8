"""Trying out the providers of AI agents, exactly as a call would use them."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict

from sivo.ai.probe import probe
from sivo.api.context import Context
from sivo.base.errors import SivoError
from sivo.calls import answering_agent, key_use
from sivo.identity.access import Permission, Principal, require
from sivo.media.protocol import ConversationSpec, Stage
from sivo.outbound.client import GuardedClient
from sivo.routing.directory import Agent, TenantPicture
from sivo.routing.loader import Loader


class ProviderTest(BaseModel):
    """Body of POST /api/providers/test. Without ``agent`` the tenant's own configuration is tried; ``second``: who
    takes over for this agent."""

    model_config = ConfigDict(extra="forbid")

    stage: Literal["stt", "llm", "tts"]
    agent: UUID | None = None
    second: bool = False


def make_router(context: Context) -> APIRouter:
    """Routes below ``/api/providers``."""
    router = APIRouter(tags=["providers"])
    loader = Loader(context.database, context.vault, context.settings)

    @router.post("/api/providers/test")
    async def test(
        body: ProviderTest, who: Annotated[Principal, Depends(require(Permission.PROVIDERS_TEST))]
    ) -> dict[str, Any]:
        """Ask a provider for the smallest possible thing: one line says what is wrong, or how long it took."""
        picture = await loader.load(who.tenant_id)
        if picture is None:
            raise SivoError("NOT_FOUND", "there is no such tenant")
        agent = _agent(picture, body.agent)
        config = picture.snapshot(None, agent if body.agent else None).reader()
        spec = answering_agent.describe(agent, config, picture.keys, context.settings)
        if body.second:
            spec = _second(spec, body.stage)
        client = GuardedClient.from_settings(context.settings)
        key_use.note(context.vault.uses, who.tenant_id, picture.keys, [getattr(spec, body.stage)])
        try:
            verdict = await probe(spec, body.stage, client)
        finally:
            await client.close()
        stage: Stage = getattr(spec, body.stage)
        return {
            "stage": verdict.stage,
            "ok": verdict.ok,
            "kind": verdict.kind,
            "line": verdict.line,
            "latency_ms": verdict.latency_ms,
            "protocol": stage.protocol,
            "model": stage.model,
            "language": stage.language,
        }

    return router


def _agent(picture: TenantPicture, agent_id: UUID | None) -> Agent:
    if agent_id is None:
        return Agent(uuid4(), picture.tenant.id, "test", {})
    found = next((one for one in picture.agents if one.id == agent_id), None)
    if found is None:
        raise SivoError("NOT_FOUND", "there is no such AI agent", where="agent", remedy="GET /api/ai-agents")
    return found


def _second(spec: ConversationSpec, stage: Literal["stt", "llm", "tts"]) -> ConversationSpec:
    if stage not in spec.second:
        raise SivoError(
            "NOT_FOUND",
            f"the agent has no second provider of {stage}",
            where="second",
            remedy="set second on the agent",
        )
    setattr(spec, stage, spec.second[stage])
    return spec
