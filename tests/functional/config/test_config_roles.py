"""Role × key × read and write, generated from the declarations: 5 × 40 × 2 answers of the public API."""

from __future__ import annotations

from typing import Any

import pytest
from test_config_api import ROLES, World, api, world  # noqa: F401 - fixtures

from sivo.config.key import Key, Level
from sivo.config.registry import KEYS
from sivo.config.types import Bool, Choice, Host, Int, Language, Roles, Url, Uuid, Zone


def good_value(key: Key, slug: str) -> Any:
    """A value that the key's type takes; what only one tenant can have is made of its ``slug``."""
    match key.type:
        case Int(minimum, maximum):
            return {"auth.refresh_ttl_sec": 2_000_000, "recording.default_retention_days": 20}.get(
                key.name, min(minimum + 1, maximum)
            )
        case Bool():
            return False
        case Choice(choices):
            return choices[-1]
        case Host():
            return f"{key.name.replace('.', '-').replace('_', '-')}.{slug}.example.org"
        case Url():
            return "https://example.org/v1"
        case Uuid():
            return "00000000-0000-7000-8000-000000000001"
        case Zone():
            return "Europe/Lisbon"
        case Language():
            return "en"
        case Roles():
            return ["superadmin"]
    return f"{slug}-two" if key.name == "tenant.slug" else "a-good-value-of-text"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("role", ROLES)
async def test_each_role_reads_and_writes_exactly_the_keys_that_are_declared(world: World, role: str) -> None:  # noqa: F811
    slug = world.slug
    shown = await world.config(role)
    for key in KEYS.values():
        reads = role in key.read_roles
        assert (key.name in shown) is reads, key.name
        explained = await world.call(role, "GET", f"/api/config/{key.name}")
        assert explained.status_code == (200 if reads else 403), (key.name, explained.text)
        if key.secret and reads:
            assert shown[key.name] == explained.json()["value"] == "***"
        writes = role in key.write_roles
        answer = await world.call(role, "PATCH", f"/api/config?confirm={key.name}", {key.name: good_value(key, slug)})
        if not writes:
            refused = answer.status_code == 403 or (not key.write_roles and answer.status_code == 422)
            assert refused, (key.name, answer.status_code, answer.text)
        elif key.scopes == (Level.ENDPOINT,):
            assert answer.json()["code"] == "CONFIG_SCOPE_REFUSED", key.name
        else:
            assert answer.status_code == 200, (key.name, answer.text)
            assert answer.json()[key.name] == good_value(key, slug)
