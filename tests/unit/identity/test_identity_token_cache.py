"""The token cache forgets in time, and at once when told."""

from uuid import uuid4

from sivo.base.clock import VirtualClock
from sivo.identity.access import Caller, Role
from sivo.identity.token_cache import TokenCache


def _caller(tenant=None) -> Caller:
    return Caller(tenant or uuid4(), uuid4(), Role.ADMIN, "user:x")


def _expiry(clock: VirtualClock, seconds: float) -> int:
    return int(clock.now().timestamp() + seconds)


def test_an_entry_lives_60_seconds() -> None:
    clock = VirtualClock()
    cache, caller = TokenCache(clock), _caller()
    cache.put("token", caller, _expiry(clock, 3600), cache.generation)
    clock.advance(59.9)
    assert cache.get("token") == caller
    clock.advance(0.1)
    assert cache.get("token") is None


def test_never_past_the_tokens_own_expiry() -> None:
    clock = VirtualClock()
    cache = TokenCache(clock)
    cache.put("token", _caller(), _expiry(clock, 10), cache.generation)
    clock.advance(10)
    assert cache.get("token") is None


def test_a_tenant_is_forgotten_alone() -> None:
    clock = VirtualClock()
    cache, one, other = TokenCache(clock), _caller(), _caller()
    assert one.tenant_id is not None
    cache.put("one", one, _expiry(clock, 99), cache.generation)
    cache.put("other", other, _expiry(clock, 99), cache.generation)
    cache.forget_tenant(one.tenant_id)
    assert cache.get("one") is None
    assert cache.get("other") == other


def test_the_least_recently_used_goes_first() -> None:
    clock = VirtualClock()
    cache = TokenCache(clock, capacity=2)
    for name in ("a", "b"):
        cache.put(name, _caller(), _expiry(clock, 99), cache.generation)
    assert cache.get("a")
    cache.put("c", _caller(), _expiry(clock, 99), cache.generation)
    assert cache.get("b") is None
    assert cache.get("a") and cache.get("c")


def test_a_check_that_something_overtook_is_not_remembered() -> None:
    clock = VirtualClock()
    cache, caller = TokenCache(clock), _caller()
    before = cache.generation
    cache.clear()  # the session ended while its token was being checked
    cache.put("token", caller, _expiry(clock, 99), before)
    assert cache.get("token") is None
