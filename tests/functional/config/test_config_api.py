"""The configuration plane over HTTP, as each role sees it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from sivo.config import registry
from support.ground import Server, shared_api
from support.running_api import RunningApi

pytestmark = pytest.mark.asyncio(loop_scope="module")
PASSWORD = "correct horse battery"
MERGE = {"Content-Type": "application/merge-patch+json"}
ROLES = ("agent", "viewer", "supervisor", "admin", "superadmin")
_numbers = itertools.count(1)


@dataclass
class World:
    """A tenant of the test's own. ``number`` tells it from the others, in its slug and in where its people sign in."""

    api: RunningApi
    number: int
    tenant: str
    tokens: dict[str, str]

    @property
    def slug(self) -> str:
        return f"acme{self.number}"

    async def token(self, role: str) -> str:
        """An access token of somebody with ``role``; they sign in at the first use, each from an own address."""
        if role not in self.tokens:
            email = f"{role}@{self.slug}.example"
            await self.api.user(self.tenant, email, PASSWORD, role=role)
            answer = await self.api.login(email, PASSWORD, f"127.2.{self.number}.{1 + ROLES.index(role)}")
            self.tokens[role] = answer.json()["access_token"]
        return self.tokens[role]

    async def call(self, role: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        sent = {k.replace("_", "-"): v for k, v in headers.items()}
        sent.setdefault("Authorization", f"Bearer {await self.token(role)}")
        if role == "superadmin":
            sent.setdefault("X-Tenant-Id", self.tenant)
        return await self.api.http.request(method, path, json=body, headers=sent)

    async def config(self, role: str = "admin") -> dict[str, Any]:
        answer = await self.call(role, "GET", "/api/config")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


async def tenant_of_its_own(api: RunningApi) -> World:
    number = next(_numbers)
    return World(api, number, await api.tenant(f"acme{number}"), {})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(pg: Server) -> AsyncIterator[RunningApi]:
    async with shared_api(pg) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def world(api: RunningApi) -> World:
    return await tenant_of_its_own(api)


@pytest_asyncio.fixture(loop_scope="module")
async def alone(pg: Server) -> AsyncIterator[World]:
    """The only tenant of a platform, for what concerns the whole platform."""
    async with shared_api(pg) as running:
        yield await tenant_of_its_own(running)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def test_the_document_is_flat_ordered_and_redacted_for_each_role(world: World) -> None:
    await world.api.ok(
        "PUT", "/api/secrets/stt_api_key", {"value": "a-canary", "host": "api.deepgram.com"}, world.tenant
    )
    kids = [key["kid"] for key in (await world.api.http.get("/.well-known/jwks.json")).json()["keys"]]
    for role in ROLES:
        answer = await world.call(role, "GET", "/api/config")
        pairs = json.loads(answer.content, object_pairs_hook=list)
        names = [name for name, _ in pairs]
        if role == "agent":
            assert names == [name for name in registry.KEYS if name.startswith("tenant.")]
            continue
        assert names == [*registry.KEYS, "secrets.stt_api_key", *(f"jwt_keys.{kid}" for kid in sorted(kids))]
        document = dict(pairs)
        assert document["secrets.stt_api_key"] == "***"
        assert all(document[f"jwt_keys.{kid}"] == "***" for kid in kids)
        assert document["webhooks.signing_secret"] == "***"
        assert document["tenant.sip_domain"] == f"{world.slug}.sip.sivocenter.com"
        assert "a-canary" not in answer.text


async def test_only_admins_write(world: World) -> None:
    for role in ROLES:
        answer = await world.call(role, "PATCH", "/api/config", {"ai.max_turns": 7})
        if role in ("admin", "superadmin"):
            assert answer.status_code == 200 and answer.json()["ai.max_turns"] == 7
        else:
            assert code(answer) == (403, "INSUFFICIENT_ROLE")


async def test_a_merge_patch_sets_and_null_removes(world: World) -> None:
    answer = await world.call(
        "admin", "PATCH", "/api/config", {"ai.max_turns": 7, "tenant.timezone": "Europe/Paris"}, **MERGE
    )
    assert answer.json() == await world.config()
    answer = await world.call("admin", "PATCH", "/api/config", {"ai.max_turns": None}, **MERGE)
    assert (answer.json()["ai.max_turns"], answer.json()["tenant.timezone"]) == (20, "Europe/Paris")


async def test_if_match_keeps_writers_from_overwriting_unseen(world: World) -> None:
    first = (await world.call("admin", "GET", "/api/config")).headers["ETag"]
    assert first.startswith('"') and not first.startswith("W/")
    done = await world.call("admin", "PATCH", "/api/config", {"ai.max_turns": 7}, If_Match=first)
    assert done.status_code == 200
    late = await world.call("admin", "PATCH", "/api/config", {"ai.max_turns": 9}, If_Match=first)
    assert code(late) == (412, "VERSION_CONFLICT")
    details = late.json()["details"]
    assert details["etag"] == done.headers["ETag"]
    assert [one["targets"] for one in details["meanwhile"]] == [["key/tenant//ai.max_turns"]]
    assert (await world.config())["ai.max_turns"] == 7
    again = await world.call("admin", "PATCH", "/api/config", {"ai.max_turns": 9}, If_Match=done.headers["ETag"])
    assert again.status_code == 200
    for header in ("*", f'"x", {again.headers["ETag"]}'):
        assert (await world.call("admin", "PATCH", "/api/config", {"ai.max_turns": 9}, If_Match=header)).is_success
    assert code(await world.call("admin", "PATCH", "/api/config", {"ai.max_turns": 3}, If_Match='"0"')) == (
        412,
        "VERSION_CONFLICT",
    )


async def test_of_two_writers_at_once_exactly_one_wins(world: World) -> None:
    tag = (await world.call("admin", "GET", "/api/config")).headers["ETag"]
    answers = await asyncio.gather(
        *(world.call("admin", "PATCH", "/api/config", {"ai.max_turns": n}, If_Match=tag) for n in range(3, 9))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412, 412, 412, 412, 412]


async def test_an_unchanged_document_is_304(world: World) -> None:
    tag = (await world.call("viewer", "GET", "/api/config")).headers["ETag"]
    same = await world.call("viewer", "GET", "/api/config", If_None_Match=tag)
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    assert (await world.call("agent", "GET", "/api/config", If_None_Match=tag)).status_code == 200
    await world.call("admin", "PATCH", "/api/config", {"ai.max_turns": 7})
    assert (await world.call("viewer", "GET", "/api/config", If_None_Match=tag)).status_code == 200


#: A patch and what it is refused with.
BAD_PATCHES: list[tuple[Any, int, str]] = [
    ({"ai.max_turn": 3}, 422, "CONFIG_KEY_UNKNOWN"),
    ({"ai.max_turns": 201}, 422, "CONFIG_VALUE_INVALID"),
    ({"ai.max_turns": "3"}, 422, "CONFIG_VALUE_INVALID"),
    ({"tenant.timezone": "Mars/Olympus"}, 422, "CONFIG_VALUE_INVALID"),
    ({"transcription.language": "klingon"}, 422, "CONFIG_VALUE_INVALID"),
    ({"ai": {"max_turns": 3}}, 422, "CONFIG_KEY_UNKNOWN"),
    ({"sf.connected_orgs": []}, 422, "CONFIG_VALUE_INVALID"),
    ({"auth.refresh_ttl_sec": 3600}, 422, "CONFIG_RULE_BROKEN"),
    ({"auth.mfa_required_roles": []}, 422, "CONFIG_RULE_BROKEN"),
    ({"recording.default_retention_days": 181}, 422, "CONFIG_RULE_BROKEN"),
    ({"transcription.push_to_sf": True}, 422, "CONFIG_RULE_BROKEN"),
    ({"tenant.slug": "admin"}, 422, "CONFIG_RULE_BROKEN"),
    ({"tenant.sip_domain": "other.sip.sivocenter.com"}, 422, "CONFIG_RULE_BROKEN"),
    ({"webhooks.signing_secret": "long enough to be one"}, 422, "CONFIG_SCOPE_REFUSED"),
    ({"sf.message_provider_name": "other"}, 409, "CONFIRMATION_REQUIRED"),
    ({"ai.llm_model": "a\x00b"}, 422, "CONFIG_VALUE_INVALID"),
    ({f"x.{n}": n for n in range(10_000)}, 422, "CONFIG_KEY_UNKNOWN"),
    ([{"ai.max_turns": 3}], 422, "VALIDATION_FAILED"),
    ("ai.max_turns", 422, "VALIDATION_FAILED"),
]


async def test_bad_patches_change_nothing(world: World) -> None:
    before = await world.config()
    for body, status, problem in BAD_PATCHES:
        sent = {"ai.max_duration_sec": 60, **body} if isinstance(body, dict) else body
        answer = await world.call("admin", "PATCH", "/api/config", sent)
        assert code(answer) == (status, problem), body
    assert await world.config() == before


NO_JSON = [b"", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b'{"ai.llm_model": "\\ud800"}']


async def test_bodies_that_are_no_json_are_refused(world: World) -> None:
    headers = {"Authorization": f"Bearer {await world.token('admin')}", "Content-Type": "application/json"}
    for content in NO_JSON:
        answer = await world.api.http.patch("/api/config", content=content, headers=headers)
        assert answer.status_code in (413, 422), (content[:20], answer.text)


async def test_a_change_with_a_warning_needs_its_confirmation(world: World) -> None:
    path = "/api/config?confirm=sf.message_provider_name"
    answer = await world.call(
        "admin", "PATCH", path, {"sf.message_provider_name": "other"}, X_Change_Reason="agreed%20%E2%9C%93"
    )
    assert answer.json()["sf.message_provider_name"] == "other"
    history = (await world.call("viewer", "GET", "/api/config/history?key=sf.message_provider_name")).json()["items"]
    assert [one["reason"] for one in history] == ["agreed ✓"]


async def test_explain_names_every_level_and_the_winner(alone: World) -> None:
    operator = alone.api
    for scope, value in (("platform", 40), ("plan:pro", 30)):
        answer = await operator.local.patch(f"/api/config?scope={scope}", json={"ai.max_turns": value})
        assert answer.json()["ai.max_turns"] == value, answer.text
    await alone.call("admin", "PATCH", "/api/config", {"ai.max_turns": 7}, X_Change_Reason="pilot")
    found = (await alone.call("viewer", "GET", "/api/config/ai.max_turns")).json()
    assert (found["value"], found["level"], found["reason"]) == (7, "tenant", "pilot")
    assert found["author"].startswith("user:")
    assert [(one["source"], one["value"]) for one in found["levels"]] == [
        ("platform", 40),
        ("plan:pro", 30),
        ("tenant", 7),
    ]
    assert found["default"]["value"] == 20
    await alone.call("admin", "PATCH", "/api/config", {"ai.max_turns": None})
    assert (await alone.call("viewer", "GET", "/api/config/ai.max_turns")).json()["source"] == "plan:pro"
    domain = (await alone.call("agent", "GET", "/api/config/tenant.sip_domain")).json()
    assert (domain["level"], domain["how"]) == ("default", "<slug>.<SIP suffix of the platform>")
    assert code(await alone.call("agent", "GET", "/api/config/ai.max_turns")) == (403, "INSUFFICIENT_ROLE")
    assert code(await alone.call("admin", "GET", "/api/config/ai.max_turn")) == (422, "CONFIG_KEY_UNKNOWN")


async def test_platform_and_plan_are_a_superadmins(world: World) -> None:
    for scope in ("platform", "plan:pro"):
        for method, body in (("GET", None), ("PATCH", {"ai.max_turns": 9})):
            answer = await world.call("admin", method, f"/api/config?scope={scope}", body)
            assert code(answer) == (403, "INSUFFICIENT_ROLE")
    for scope in ("galaxy", "plan:", "plan", "endpoint"):
        assert code(await world.call("admin", "GET", f"/api/config?scope={scope}")) == (422, "VALIDATION_FAILED")


async def test_schema_lists_what_the_role_may_see(world: World) -> None:
    keys = (await world.call("viewer", "GET", "/api/config/schema")).json()["keys"]
    assert [one["key"] for one in keys] == list(registry.KEYS)
    turns = next(one for one in keys if one["key"] == "ai.max_turns")
    assert turns["schema"] == {"type": "integer", "minimum": 1, "maximum": 200}
    assert (turns["default"], turns["when"]) == (20, "calls")
    shown = {"widget": "number", "title": "Max turns", "group": "ai", "unit": "turns", "order": 27}
    assert shown.items() <= turns["form"].items() and turns["form"]["help"] == turns["help"]
    seen = (await world.call("agent", "GET", "/api/config/schema")).json()["keys"]
    assert {one["group"] for one in seen} == {"tenant"}


async def test_history_reads_newest_first_in_pages(world: World) -> None:
    for turns in range(3, 8):
        await world.call("admin", "PATCH", "/api/config", {"ai.max_turns": turns})
    page = (await world.call("viewer", "GET", "/api/config/history?key=ai.max_turns&limit=3")).json()
    assert [one["changes"][0]["after"]["value"] for one in page["items"]] == [7, 6, 5]
    rest = (await world.call("viewer", "GET", f"/api/config/history?key=ai.max_turns&before={page['next']}")).json()
    assert [one["changes"][0]["after"]["value"] for one in rest["items"]] == [4, 3]
    assert code(await world.call("agent", "GET", "/api/config/history")) == (403, "INSUFFICIENT_ROLE")


async def test_an_endpoint_has_values_of_its_own(world: World) -> None:
    made = (await world.call("admin", "POST", "/api/webhooks", {"url": "https://example.com/hook"})).json()
    scope = f"endpoint:{made['id']}"
    answer = await world.call("admin", "PATCH", f"/api/config?scope={scope}", {"webhooks.timeout_ms": 700})
    assert answer.json()["webhooks.timeout_ms"] == 700
    found = (await world.call("admin", "GET", f"/api/config/webhooks.timeout_ms?scope={scope}")).json()
    assert (found["value"], found["level"]) == (700, "endpoint")
    assert (await world.config())["webhooks.timeout_ms"] == 10_000
    assert (await world.call("admin", "GET", f"/api/webhooks/{made['id']}")).json()["timeout_ms"] == 700


async def test_a_resource_lives_by_its_five_routes(world: World) -> None:
    made = await world.call("admin", "POST", "/api/extensions", {"number": "1001", "name": "Ana"})
    assert made.status_code == 201
    extension = made.json()
    assert made.headers["Location"] == f"/api/extensions/{extension['id']}"
    assert len(extension["sip_password"]) >= 24
    read = await world.call("viewer", "GET", made.headers["Location"])
    assert read.json()["sip_password"] == "***"
    assert read.headers["ETag"] == made.headers["ETag"]
    listed = (await world.call("viewer", "GET", "/api/extensions")).json()
    assert listed == {"items": [read.json()], "next": None}
    path, tag = made.headers["Location"], made.headers["ETag"]
    back = {"name": "Eva", "sip_password": "***"}
    changed = await world.call("admin", "PATCH", path, back, If_Match=tag)
    assert (changed.status_code, changed.json()["name"], changed.json()["number"]) == (200, "Eva", "1001")
    assert code(await world.call("admin", "PATCH", path, {"name": "Zoe"}, If_Match=tag)) == (412, "VERSION_CONFLICT")
    assert code(await world.call("admin", "DELETE", path, If_Match=tag)) == (412, "VERSION_CONFLICT")
    stored = await world.api.context.vault.get_secret(
        (await world.api.context.resources.tenant_by_slug(world.slug)).id, f"extension/{extension['id']}/sip_password"
    )
    assert stored is not None and stored.value == extension["sip_password"]
    assert (await world.call("admin", "DELETE", path, If_Match=changed.headers["ETag"])).status_code == 204
    assert code(await world.call("admin", "GET", path)) == (404, "NOT_FOUND")


async def test_listings_are_read_by_cursor(world: World) -> None:
    for number in range(1001, 1006):
        await world.call("admin", "POST", "/api/extensions", {"number": str(number)})
    first = (await world.call("viewer", "GET", "/api/extensions?limit=2")).json()
    second = (await world.call("viewer", "GET", f"/api/extensions?limit=3&cursor={first['next']}")).json()
    assert [one["number"] for one in first["items"] + second["items"]] == ["1001", "1002", "1003", "1004", "1005"]
    assert second["next"] is None


async def test_another_tenants_resources_are_not_there(world: World) -> None:
    other = await world.api.tenant("other")
    extension = await world.api.ok("POST", "/api/extensions", {"number": "1001"}, other)
    path = f"/api/extensions/{extension['id']}"
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert code(await world.call("admin", method, path, body)) == (404, "NOT_FOUND")
        answer = await world.call("admin", method, path, body, X_Tenant_Id=other)
        assert answer.status_code in (403, 404)
    assert code(await world.call("admin", "GET", f"/api/tenants/{other}")) == (404, "NOT_FOUND")
    assert (await world.call("admin", "GET", f"/api/tenants/{world.tenant}")).json()["sip_domain"] == (
        f"{world.slug}.sip.sivocenter.com"
    )
    assert (await world.call("superadmin", "GET", path, X_Tenant_Id=other)).status_code == 200


async def test_every_kind_can_be_provisioned(world: World) -> None:
    async def create(plural: str, **body: Any) -> dict[str, Any]:
        answer = await world.call("admin", "POST", f"/api/{plural}", body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    user = await create("users", email=f"eva@{world.slug}.example", name="Eva", extension="1001")
    extension = await create("extensions", number="1001", user=user["id"])
    trunk = await create("trunks", name="carrier", cidrs=["127.0.0.9/32"])
    intents = [{"name": "order", "phrases": ["my last order"], "reply": "It is on its way."}]
    agent = await create("ai-agents", name="Ana", greeting="Hello", intents=intents, transfer_to="1001")
    await create("dids", number="+34910000100", trunk=trunk["id"], target={"kind": "ai_agent", "id": agent["id"]})
    await create("dids", number="+34910000101", target={"kind": "extension", "id": extension["id"]})
    await create("recording-policies", name="all", format="ogg")
    await create("transcription-policies", name="all")
    hook = await create("webhooks", url="https://example.com/hook")
    assert hook["secret"].startswith("whsec_")
    report = (await world.call("viewer", "GET", "/api/ledger/verify")).json()
    assert report["ok"], report
    answer = await world.call("admin", "POST", "/api/webhooks", {"url": "http://example.com/hook"})
    assert code(answer) == (422, "VALIDATION_FAILED")


async def test_secrets_by_name(world: World) -> None:
    put = await world.call("admin", "PUT", "/api/secrets/llm_api_key", {"value": "a-canary"})
    assert put.status_code == 200
    # Entered without a host, it belongs to the one that the key names at that moment.
    assert put.json()["host"] == "api.groq.com"
    again = await world.call(
        "admin", "PUT", "/api/secrets/llm_api_key", {"value": "another", "host": "api.example.com"}
    )
    assert again.json()["id"] == put.json()["id"] and again.json()["fingerprint"] != put.json()["fingerprint"]
    listed = (await world.call("viewer", "GET", "/api/secrets")).json()["items"]
    assert [(one["name"], one["host"]) for one in listed] == [("llm_api_key", "api.example.com")]
    assert (await world.call("admin", "DELETE", "/api/secrets/llm_api_key")).status_code == 204
    assert code(await world.call("admin", "DELETE", "/api/secrets/llm_api_key")) == (404, "NOT_FOUND")
    history = (await world.call("admin", "GET", "/api/config/history")).text
    assert "llm_api_key" in history and "a-canary" not in history


async def test_tenants_are_an_operators_and_suspending_works(world: World) -> None:
    made = await world.api.local.post("/api/tenants", json={"name": "Café Solo", "plan": "enterprise"})
    assert (made.status_code, made.json()["slug"], made.json()["plan"]) == (201, "cafe-solo", "enterprise")
    path = made.headers["Location"]
    changed = await world.api.local.patch(
        path, json={"status": "suspended"}, headers={"If-Match": made.headers["ETag"]}
    )
    assert changed.json()["status"] == "suspended"
    stale = await world.api.local.patch(path, json={"status": "active"}, headers={"If-Match": made.headers["ETag"]})
    assert code(stale) == (412, "VERSION_CONFLICT")
    found = (await world.api.local.get("/api/tenants/by-slug/cafe-solo")).json()
    assert found["status"] == "suspended"
    slugs = {one["slug"] for one in (await world.api.local.get("/api/tenants?limit=200")).json()["items"]}
    assert {world.slug, "cafe-solo"} <= slugs
    for role in ("admin", "viewer"):
        assert code(await world.call(role, "POST", "/api/tenants", {"name": "X"})) == (403, "INSUFFICIENT_ROLE")
    for wrong in ({"name": "X", "plan": "gold"}, {"name": "X", "slug": "A"}, {"name": "X", "slug": world.slug}):
        assert (await world.api.local.post("/api/tenants", json=wrong)).status_code in (409, 422)
    assert code(await world.api.local.patch(f"/api/tenants/{uuid4()}", json={"name": "X"})) == (404, "NOT_FOUND")


async def test_the_whole_platform_is_verified_for_an_operator(alone: World) -> None:
    await alone.api.tenant("other")
    report = (await alone.api.local.get("/api/ledger/verify")).json()
    assert report["ok"] and len(report["chains"]) == 3
