"""Every cache says what of its key names the tenant; see sivo/isolation/cache_register.py."""

from __future__ import annotations

from pathlib import Path

from sivo.isolation.cache_register import PURE, REGISTER, found, undeclared

#: Probes of sivo/isolation/caches_probe.py, and sections of the audit that go through a cache.
PROBES = {"tokens", "hosts", "rates", "vault", "phrases", "sip", "routes", PURE}


def test_every_cache_is_declared_and_every_declaration_is_a_cache() -> None:
    there, declared = found(), [cache.place for cache in REGISTER]
    assert not there - set(declared), "declare these in src/sivo/isolation/cache_register.py, with a probe"
    assert not set(declared) - there, "these are gone or renamed: change src/sivo/isolation/cache_register.py"
    assert len(declared) == len(set(declared))
    assert all(cache.probe in PROBES and cache.tenant for cache in REGISTER)


def test_a_cache_that_nobody_declared_is_found(tmp_path: Path) -> None:
    room = tmp_path / "identity"
    room.mkdir()
    (room / "new.py").write_text(
        "import functools\n"
        "from collections import OrderedDict\n"
        "class Lookups:\n"
        "    def __init__(self) -> None:\n"
        "        self._by_name: dict[str, str] = {}\n"
        "        self._old = OrderedDict()\n"
        "        self._count = 0\n"
        "    @functools.lru_cache(maxsize=8)\n"
        "    def look(self, name): ...\n"
        "parse = functools.lru_cache(maxsize=16)(len)\n"
    )
    assert undeclared(tmp_path) == {
        "identity/new.py Lookups._by_name",
        "identity/new.py Lookups._old",
        "identity/new.py Lookups.look",
        "identity/new.py parse",
    }
