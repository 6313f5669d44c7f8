"""Whose request is it? The three source rules, as one pure function.

(a) The From domain is a local tenant's: the request must carry a digest, and the authenticated user must be the user
    of From, else 403. (b) The source address is in a trunk's ACL: the tenant is the owner of the DID among the trunks
    that share the address; an unknown DID is 404. (c) Anything else gets no reply and leaves no state.
"""

from __future__ import annotations

from dataclasses import dataclass

from sivo.routing.directory import Did, Directory, Extension, Tenant, Trunk


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about itself, before anything is believed."""

    method: str
    from_user: str
    from_host: str
    to_user: str
    source_host: str


@dataclass(frozen=True, slots=True)
class FromTenant:
    """Rule (a): it claims to come from this tenant; ``extension`` is None when there is no such extension.

    The digest still has to be checked, also for an unknown extension: the answer must not tell which ones exist.
    """

    tenant: Tenant
    realm: str
    extension: Extension | None


@dataclass(frozen=True, slots=True)
class FromTrunk:
    """Rule (b): a carrier calls a DID that one of its trunks owns."""

    trunk: Trunk
    did: Did


@dataclass(frozen=True, slots=True)
class TrunkPing:
    """Rule (b) without a call: a carrier asks with OPTIONS whether we live."""

    trunk: Trunk


@dataclass(frozen=True, slots=True)
class UnknownDid:
    """Rule (b): a carrier calls a number that none of its trunks owns; answered 404."""

    trunk: Trunk
    number: str


@dataclass(frozen=True, slots=True)
class EdgePing:
    """Our edge asks with OPTIONS whether it may bring calls here."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """Rule (c): no reply, no state."""


Source = FromTenant | FromTrunk | TrunkPing | UnknownDid | EdgePing | Stranger


def classify(directory: Directory, claim: Claim) -> Source:
    """Apply the source rules to a request outside a dialog."""
    tenant = directory.tenant_of_domain(claim.from_host)
    if tenant is not None:
        return FromTenant(tenant, claim.from_host.lower(), directory.extension(tenant.id, claim.from_user))
    trunks = directory.trunks_at(claim.source_host)
    if not trunks or claim.method not in ("INVITE", "OPTIONS"):
        return Stranger()
    if claim.method == "OPTIONS":
        return TrunkPing(trunks[0])
    owned = directory.did_on_trunks(trunks, claim.to_user)
    if owned is None:
        return UnknownDid(trunks[0], claim.to_user)
    did, trunk = owned
    return FromTrunk(trunk, did)
