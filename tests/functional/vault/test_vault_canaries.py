"""No secret in any row, ledger entry, log or file: values are planted, the platform works, then all is searched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.config.change import Create, Update
from sivo.vault.envelope import BROKEN
from support.canaries import Canaries
from support.webhook_world import AUTHOR, Receiver, World


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is logged from now on, through the product's processors, whoever has configured logging before."""
    written: list[str] = []
    for name in (
        "msg",
        "log",
        "debug",
        "info",
        "warning",
        "warn",
        "error",
        "critical",
        "exception",
        "failure",
        "fatal",
    ):
        if hasattr(structlog.PrintLogger, name):
            monkeypatch.setattr(structlog.PrintLogger, name, lambda self, message: written.append(message))
    before = structlog.get_config()
    logs.configure("test", "debug")
    structlog.configure(cache_logger_on_first_use=False)
    yield written
    structlog.configure(**before)


@pytest.fixture
def canaries() -> Canaries:
    return Canaries()


async def test_planted_secrets_are_found_nowhere(
    world: World, receiver: Receiver, canaries: Canaries, pg, database_name: str, lines: list[str]
) -> None:
    hook = canaries.plant("webhook")
    first, second = canaries.plant("provider"), canaries.plant("provider-rotated")
    (endpoint,) = await world.apply(Create("webhook_endpoint", {"url": receiver.url(), "secret": hook}))
    await world.vault.put_secret(world.tenant, "stt.key", first, "api.example.com")
    await world.vault.put_secret(world.tenant, "stt.key", second, "api.example.com")
    canaries.add("tenant key", (await world.vault.tenant_key(world.tenant)).material)
    for name in ("kek", "db-app-password"):
        path = pg.home / name if name.startswith("db") else world.settings.home / name
        canaries.add(name, path.read_text().strip())

    errors: list[str] = []
    for wrong in ({"secret": hook[:5]}, {"secret": ["x", hook]}, {"url": "https://x.example", "sekret": hook}):
        with pytest.raises(SivoError) as raised:
            await world.changes.apply(world.tenant, AUTHOR, "test", [Update("webhook_endpoint", endpoint, wrong)])
        errors.append(f"{raised.value} {raised.value.details}")
    receiver.answer = lambda number: 500
    await world.happen()
    await world.sender.run_once()
    assert receiver.requests, "the secret was really used"
    sealed = await world.vault.seal(world.tenant, "test", first.encode())
    with pytest.raises(SivoError) as raised:
        await world.vault.open(world.tenant, "other", sealed)
    assert raised.value.code == BROKEN
    errors.append(str(raised.value))

    assert any("delivery_attempt" in line for line in lines), "the logs were really captured"
    assert canaries.in_bytes("logs", "\n".join(lines).encode()) == []
    assert canaries.in_bytes("errors", "\n".join(errors).encode()) == []
    assert await canaries.in_database(pg.superuser_dsn(database_name)) == []
    assert canaries.in_files(world.settings.home, except_for=["kek"]) == []
    assert canaries.in_bytes("server log", (pg.home / "pg" / "log").read_bytes()) == []


async def test_the_search_finds_what_is_there(
    world: World, canaries: Canaries, pg, database_name: str, tmp_path
) -> None:
    value = canaries.plant("leak")
    await world.happen(note=f"oops {value}")
    assert await canaries.in_database(pg.superuser_dsn(database_name)) == ["outbox.data: leak"]
    (tmp_path / "some.log").write_text(f"password={value}")
    assert canaries.in_files(tmp_path) == ["some.log: leak"]
