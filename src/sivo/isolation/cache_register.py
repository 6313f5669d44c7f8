"""Everything that a process remembers across requests and calls, with the part of its key that names the tenant.

What has to be declared: every ``OrderedDict``, ``lru_cache``, ``functools.cache``, ``TTLCache``, ``LRUCache`` and weak
dictionary anywhere in the source, and every dictionary that an object of a :data:`SHARED_ROOMS` begins empty with:
those objects serve all tenants of a process. Dictionaries of one call, one dialog or one request are not caches.
A cache that is not declared here makes the audit fail, and a test of the house.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1]
SHARED_ROOMS = {"identity", "vault", "routing", "config", "webhooks", "tenants", "audit", "outbound", "events", "leads"}
_MAKERS = {"OrderedDict", "lru_cache", "cache", "TTLCache", "LRUCache", "WeakValueDictionary", "WeakKeyDictionary"}

#: Probes that try a cache on the running platform; `pure` needs none: what is kept depends on its key alone.
PURE = "pure"


@dataclass(frozen=True, slots=True)
class Cache:
    """``place``: file and name. ``tenant``: what of the key names the tenant. ``probe``: who tries it."""

    place: str
    tenant: str
    probe: str


REGISTER: tuple[Cache, ...] = (
    # --- api
    Cache("identity/token_cache.py TokenCache._entries", "the token names its tenant, the key is its hash", "tokens"),
    Cache("identity/hosts.py Hosts._known", "a host belongs to one tenant on the whole platform", "hosts"),
    Cache("identity/shared_rates.py GeneralRates._callers", "user id or key prefix, unique on the platform", "rates"),
    Cache("identity/overrides.py Overrides._amounts", "subject tenant:<id>, set by operators only", "rates"),
    Cache("identity/signing_keys.py SigningKeys._keys", "keys of the platform, no tenant's", "tokens"),
    Cache("identity/api_keys.py ApiKeys._told", "id of the key, unique on the platform", "rates"),
    Cache("vault/data_keys.py DataKeys._keys", "key id; what it opens is bound to the tenant by its AAD", "vault"),
    Cache("vault/data_keys.py DataKeys._active", "tenant id", "vault"),
    Cache("vault/data_keys.py DataKeys._making", "locks by tenant id; nothing is kept", PURE),
    Cache("vault/data_keys.py DataKeys._opened", "tenant id", "vault"),
    Cache("config/live.py LiveDocuments._kept", "tenant id", "routes"),
    Cache("vault/used.py Uses._written", "tenant id and name", PURE),
    Cache("config/changes.py ChangeSets._turns", "locks by tenant id; nothing is kept", PURE),
    Cache("config/draft.py Draft.keys", "a draft is one tenant's change-set", PURE),
    Cache("config/draft.py Draft.resources", "a draft is one tenant's change-set", PURE),
    Cache("config/resolve.py Resolver._by_key", "a resolver is one tenant's", PURE),
    Cache("config/resolve.py Resolver._done", "a resolver is one tenant's", PURE),
    Cache("config/snapshot.py Reader._reads", "a reader is one call's", PURE),
    Cache("outbound/client.py GuardedClient._sessions", "connections by event loop, without credentials", PURE),
    Cache("webhooks/sender.py Sender._running", "delivery id; the row names the tenant", PURE),
    # --- call
    Cache("routing/directory.py Directory._domains", "a domain belongs to one tenant on the platform", "sip"),
    Cache("routing/directory.py Directory._extensions", "tenant id and number", "sip"),
    Cache("routing/directory.py Directory._accounts", "tenant id and account", "sip"),
    Cache("routing/directory.py Directory._dids", "E.164 number, unique on the platform", "sip"),
    Cache("routing/directory.py Directory._agents", "resource id, unique on the platform", "sip"),
    Cache("routing/directory.py Directory._trunks", "resource id, unique on the platform", "sip"),
    Cache("routing/directory.py Directory._networks", "addresses of trunks; the trunk names the tenant", "sip"),
    Cache("routing/loader.py Loader._opened", "resource id and fingerprint of a tenant's secret", "sip"),
    Cache("routing/loader.py Loader._devices", "tenant id", "sip"),
    Cache("routing/pinning.py Pins._made", "snapshots of one tenant, by DID and agent", "sip"),
    Cache("routing/registrar.py Registrar._bindings", "extension id, unique on the platform", "sip"),
    Cache("routing/fuse.py Fuse._started", "tenant id", "sip"),
    Cache("routing/guessing.py Guessing._records", "source, or tenant id and account", "sip"),
    Cache("routing/guessing.py Guessing._trusted", "source with tenant id and account", "sip"),
    Cache("sip/digest_server.py DigestServer._counts", "nonce, made for one realm and bound to it by MAC", "sip"),
    Cache("calls/ladder_keeper.py LadderKeeper._unclaimed", "Call-ID; given to the call that claims it", "routes"),
    # --- media and speech
    Cache("speech/tts.py PhraseCache._audio", "the tenant's credential, with voice and text", "phrases"),
    Cache("ai/voice_queue.py VoiceQueue._recent", "a queue is one call's", PURE),
    Cache("media/reports.py Reports._sent_at", "reports of one leg", PURE),
    Cache("speech/local_recogniser.py Recogniser._ready", "the grammar itself; a decoder keeps nothing heard", PURE),
    Cache("speech/resample.py _bank", "two sample rates", PURE),
    Cache("speech/tts.py neutral_tone", "no key", PURE),
    # --- text
    Cache("config/document.py _declared", "name of a configuration key", PURE),
    Cache("base/problem_words.py catalogue", "no key: words of error codes", PURE),
    Cache("identity/password_rules.py common_passwords", "no key: the list that ships", PURE),
    Cache("calls/events.py iso", "the time that is written", PURE),
    Cache("sip/address.py _bare", "the text that is parsed", PURE),
    Cache("sip/via.py _hop", "the text that is parsed", PURE),
    Cache("sip/address.py _cached", "the text that is parsed", PURE),
    Cache("sip/headers.py _key", "the text that is parsed", PURE),
    Cache("sip/headers.py canonical", "the text that is parsed", PURE),
    Cache("sip/headers.py named", "the text that is parsed", PURE),
    Cache("sip/peer.py _written", "address, port and transport that are written", PURE),
    Cache("sip/peer.py is_ip", "the text that is parsed", PURE),
    Cache("sip/offer_answer.py _is_unicast", "the text that is parsed", PURE),
    Cache("routing/directory.py _address", "the text that is parsed", PURE),
    Cache("base/logs.py _is_secret", "the name of a field", PURE),
    Cache("sip/uri.py _cached", "the text that is parsed", PURE),
    Cache("sip/via.py _cached", "the text that is parsed", PURE),
)


def found(source: Path = SOURCE) -> set[str]:
    """The places of all caches in the source below ``source``. Reads every file: for a thread."""
    places: set[str] = set()
    for path in sorted(source.rglob("*.py")):
        place = path.relative_to(source).as_posix()
        if place.startswith(("demo/", "simulators/", "cli/")):
            continue  # processes of one user, without tenants
        shared = place.split("/")[0] in SHARED_ROOMS
        places |= {f"{place} {name}" for name in _in(ast.parse(path.read_text(encoding="utf-8")), "", shared)}
    return places


def undeclared(source: Path = SOURCE) -> set[str]:
    """Caches that nobody declared."""
    return found(source) - {cache.place for cache in REGISTER}


def _in(node: ast.AST, owner: str, shared: bool) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        inner = f"{owner}{child.name}." if isinstance(child, ast.ClassDef) else owner
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if any(_maker(one) in _MAKERS for one in child.decorator_list):
                yield f"{owner}{child.name}"
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            target = child.targets[0] if isinstance(child, ast.Assign) else child.target
            on_object = isinstance(target, ast.Attribute)
            empty = isinstance(child.value, ast.Dict) and not child.value.keys
            made = isinstance(child.value, ast.Call) and _maker(child.value) in _MAKERS
            if child.value is not None and (made or (shared and on_object and empty)):
                yield f"{owner}{target.attr if isinstance(target, ast.Attribute) else getattr(target, 'id', '?')}"
        yield from _in(child, inner, shared)


def _maker(node: ast.expr) -> str:
    """Name of what is called, however often: ``lru_cache(maxsize=1)(f)`` is made by ``lru_cache``."""
    while isinstance(node, ast.Call):
        node = node.func
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
