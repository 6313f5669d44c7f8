"""The long tier: what takes minutes or hours, run by ``make test-long``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from support import provider_double
from support.company import Company
from support.edge_world import CARRIER, DID, OTHER_CARRIER, OTHER_DID, OUTER, EdgeWorld, edge_world
from support.place_to_hurt import Place, place_to_hurt

# Long tests of telephony use the call role and the phones that stand beside the short ones.
sys.path.append(str(Path(__file__).parents[1] / "functional" / "calls"))
_PORTS = range(37800, 37880)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place() -> AsyncIterator[Place]:
    """A node whose parts are killed."""
    async with provider_double.serve(_PORTS) as double, place_to_hurt(double) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[EdgeWorld, Company, Company]]:
    """The edge, and two tenants with the same extension numbers."""
    certificate, key = (tmp_path_factory.mktemp("edge") / name for name in ("edge.crt", "edge.key"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=edge", "-addext", f"subjectAltName=IP:{OUTER}"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    async with edge_world() as made:
        made.environment |= {"SIVO_EDGE_CERTIFICATE": str(certificate), "SIVO_EDGE_CERTIFICATE_KEY": str(key)}
        acme = await made.company("acme", ("101", "102", "103"), DID, CARRIER)
        globex = await made.company("globex", ("101",), OTHER_DID, OTHER_CARRIER)
        yield made, acme, globex


@pytest.fixture
def edge(world: tuple[EdgeWorld, Company, Company]) -> Iterator[EdgeWorld]:
    """The edge alone; afterwards nobody who has hung up is heard any more."""
    yield world[0]
    world[0].hush()
