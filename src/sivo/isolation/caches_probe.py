"""Caches: one canary's entry is warm, the other asks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from sivo.api.context import Context
from sivo.base.errors import SivoError
from sivo.isolation.cache_register import PURE, REGISTER, SOURCE, found
from sivo.isolation.canaries import Canary
from sivo.isolation.findings import Findings, Outcome

SECTION = "caches"
_PURPOSE = "isolation-audit"


async def attempt(context: Context, attacker: Canary, owner: Canary) -> dict[str, list[str]]:
    """Try what can be tried from here: probe -> faults. Before the routes, which end with signing out."""
    return {
        "tokens": await _tokens(attacker, owner),
        "hosts": await _hosts(attacker, owner),
        "rates": await _rates(attacker, owner),
        "vault": await _vault(context, attacker, owner),
        "phrases": await asyncio.to_thread(_phrases, attacker, owner),
    }


async def judge(faults: dict[str, list[str]], findings: Findings, source: Path = SOURCE) -> None:
    """A finding for each cache: from ``faults``, or from the section that goes through it."""
    there = await asyncio.to_thread(found, source)
    for cache in REGISTER:
        if cache.place not in there:
            continue  # a test of the house keeps the register free of what is gone
        if cache.probe == PURE:
            findings.held(SECTION, cache.place, cache.tenant)
        elif cache.probe in faults:
            findings.judge(SECTION, cache.place, faults[cache.probe], cache.tenant)
        else:
            _by_section(cache.place, cache.probe, cache.tenant, findings)
    for place in sorted(there - {cache.place for cache in REGISTER}):
        findings.uncovered(SECTION, place, "not declared: say in cache_register.py what of its key names the tenant")


def _by_section(place: str, section: str, tenant: str, findings: Findings) -> None:
    """A cache that another section's probe goes through: it is as good as that section."""
    tried = [one for one in findings.items if one.section == section]
    if not tried or any(one.outcome is Outcome.UNCOVERED for one in tried):
        findings.uncovered(SECTION, place, f"the probe {section} did not run whole")
    else:
        leaks = [one.name for one in tried if one.outcome is Outcome.LEAKED]
        findings.judge(SECTION, place, [f"see {section}: {name}" for name in leaks], tenant)


async def _tokens(attacker: Canary, owner: Canary) -> list[str]:
    """Whoever asks is told who they are themselves, however warm the other's token is."""
    faults = []
    for who in (owner, attacker, owner, attacker):
        answer = await who.door.ask("GET", "/api/me")
        if answer.status != 200 or str(answer.json.get("tenant_id")) != str(who.tenant_id):
            faults.append(f"/api/me answered {answer.status} for {who.slug}")
    return faults


async def _hosts(attacker: Canary, owner: Canary) -> list[str]:
    """The owner's console knows its own, and refuses the attacker's token."""
    host = {"Host": owner.console}
    own = await owner.door.ask("GET", "/api/me", headers=host)
    other = await attacker.door.ask("GET", "/api/me", headers=host)
    faults = [] if own.status == 200 else [f"the owner's console answered the owner {own.status}"]
    return faults + ([] if other.code == "TENANT_HOST_MISMATCH" else [f"it answered the attacker {other.status}"])


async def _rates(attacker: Canary, owner: Canary) -> list[str]:
    """What one uses up is not counted for the other."""
    before = _left((await owner.door.ask("GET", "/api/me")).headers)
    for _ in range(5):
        await attacker.door.ask("GET", "/api/me")
    after = _left((await owner.door.ask("GET", "/api/me")).headers)
    if before is None or after is None:
        return ["no RateLimit header to read"]
    return [] if after == before - 1 else [f"{before} requests were left, then {after}"]


def _left(headers: Mapping[str, str]) -> int | None:
    match = re.search(r"r=(\d+)", headers.get("ratelimit", ""))
    return int(match[1]) if match else None


async def _vault(context: Context, attacker: Canary, owner: Canary) -> list[str]:
    """The owner's key is warm; it opens nothing for the attacker."""
    sealed = await context.vault.seal(owner.tenant_id, _PURPOSE, owner.marker.encode())
    await context.vault.open(owner.tenant_id, _PURPOSE, sealed)
    mine = await context.vault.seal(attacker.tenant_id, _PURPOSE, attacker.marker.encode())
    faults = [] if mine[: len(mine) // 2] != sealed[: len(sealed) // 2] else ["two tenants are sealed under one key"]
    try:
        await context.vault.open(attacker.tenant_id, _PURPOSE, sealed)
        faults.append("what was sealed for the owner opens for the attacker")
    except SivoError:
        pass
    return faults


def _phrases(attacker: Canary, owner: Canary) -> list[str]:
    """A phrase that one tenant's account has spoken is not played for another's."""
    from sivo.media.protocol import Stage  # the speech libraries are heavy, and nothing else here needs them
    from sivo.speech.tts import PhraseCache

    def stage(key: str) -> Stage:
        return Stage(protocol="openai", base_url="https://tts.example", model="m", api_key=key, voice="v")

    cache = PhraseCache()
    cache.put(stage(owner.marker), "good morning", b"\0" * 320)
    faults = [] if cache.get(stage(owner.marker), "good morning") else ["the cache forgot what it was given"]
    return faults + (["it plays the owner's"] if cache.get(stage(attacker.marker), "good morning") else [])
