"""The demo tenant, made as any operator makes one: through the API and nothing else."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

#: (method, path, body, tenant id) -> JSON answer; raises on anything but 2xx.
Api = Callable[[str, str, Any, str | None], Awaitable[Any]]

SLUG = "demo"
DID = "+34910000100"
EXTENSION = "1001"

#: Everything spoken and understood on this machine; the shipped defaults stay those of the reference.
LOCAL_SPEECH = {
    "tenant.default_locale": "en",
    "transcription.language": "en",
    "ai.stt_provider": "local",
    "ai.stt_model": "pocketsphinx",
    "ai.llm_base_url": "local",
    "ai.llm_model": "rules",
    "ai.tts_provider": "local",
    "ai.tts_model": "espeak-ng",
}


@dataclass(frozen=True)
class DemoTenant:
    """What a phone or a reader of the demo has to know."""

    tenant_id: str
    sip_domain: str
    did: str
    extension: str
    sip_password: str


async def provision(api: Api, *, webhook_url: str, webhook_secret: str, caller_host: str) -> DemoTenant:
    """Create the tenant ``demo``: an AI agent on a DID, a trunk for the demo's caller, an extension for your phone."""
    tenant = await api("POST", "/api/tenants", {"slug": SLUG, "name": "Demo", "plan": "pro"}, None)
    tenant_id = str(tenant["id"])

    async def create(plural: str, body: dict[str, Any]) -> Any:
        return await api("POST", f"/api/{plural}", body, tenant_id)

    await api("PATCH", "/api/config", LOCAL_SPEECH, tenant_id)
    user = await create("users", {"email": "ana@demo.example.com", "name": "Ana", "role": "agent"})
    extension = await create("extensions", {"number": EXTENSION, "name": "Ana", "user": user["id"]})
    agent = json.loads(files("sivo.demo").joinpath("agent.json").read_text())
    agent["transfer_to"] = EXTENSION
    agent = await create("ai-agents", agent)
    # The prepared caller is the carrier of this demo: it rings from one loopback address.
    trunk = await create("trunks", {"name": "demo carrier", "cidrs": [f"{caller_host}/32"]})
    await create("dids", {"number": DID, "trunk": trunk["id"], "target": {"kind": "ai_agent", "id": agent["id"]}})
    await create("recording-policies", {"name": "record everything", "active": True})
    await create("transcription-policies", {"name": "transcribe everything", "active": True})
    await create("webhooks", {"name": "demo receiver", "url": webhook_url, "events": ["*"], "secret": webhook_secret})
    config = await api("GET", "/api/config", None, tenant_id)
    return DemoTenant(
        tenant_id=tenant_id,
        sip_domain=str(config["tenant.sip_domain"]),
        did=DID,
        extension=EXTENSION,
        sip_password=str(extension["sip_password"]),
    )
