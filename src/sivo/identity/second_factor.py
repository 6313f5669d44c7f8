"""Second factors of people: enrolling them and proving one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sivo.base.clock import Clock
from sivo.base.errors import SivoError, register
from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.db.scopes import Connection
from sivo.identity import factor_rows, pending, recovery_codes, totp
from sivo.identity import webauthn_ceremony as ceremony
from sivo.identity.factor_rows import RECOVERY, TOTP, WEBAUTHN, Factor
from sivo.identity.people import People, Person
from sivo.identity.webauthn_ceremony import RelyingParty
from sivo.vault.vault import Vault

MFA_FAILED = register("MFA_FAILED", 401)
MFA_ALREADY_ENROLLED = register("MFA_ALREADY_ENROLLED", 409)
_PURPOSE = "totp"


@dataclass(frozen=True, slots=True)
class Proof:
    """What somebody shows as their second factor: exactly one of the three."""

    code: str | None = None
    recovery_code: str | None = None
    credential: dict[str, Any] | None = None


class SecondFactors:
    """Enrols and checks. Every method takes a connection in the scope of the person's tenant."""

    def __init__(self, vault: Vault, people: People, settings: Settings, clock: Clock) -> None:
        self._vault = vault
        self._people = people
        self._http_port = settings.http_port
        self._clock = clock

    async def methods(self, connection: Connection, user_id: UUID) -> list[str]:
        """With what a user can finish a login: kinds of their factors, and ``recovery`` while codes are left."""
        kinds = sorted({one.kind for one in await factor_rows.of_user(connection, user_id)})
        return [*kinds, RECOVERY] if kinds and await recovery_codes.left(connection, user_id) else kinds

    async def prove(self, connection: Connection, person: Person, proof: Proof, challenge: bytes | None) -> str | None:
        """Which factor was shown, spent by this; None when it is not right."""
        if proof.code is not None:
            return await self._prove_totp(connection, person, proof.code)
        if proof.recovery_code is not None:
            used = await recovery_codes.use(connection, person.id, proof.recovery_code, self._clock.now())
            return RECOVERY if used else None
        if proof.credential is not None and challenge is not None:
            return await self._prove_webauthn(connection, person, proof.credential, challenge)
        return None

    # --- authenticator apps ---

    async def begin_totp(self, connection: Connection, person: Person, name: str) -> dict[str, str]:
        """A new secret for an authenticator app; it counts after its first right code."""
        secret = totp.new_secret()
        sealed = await self._vault.seal(person.tenant_id, f"{_PURPOSE}:{person.id}", secret.encode())
        await factor_rows.begin_totp(connection, person.tenant_id, person.id, name, sealed, self._clock.now())
        identity = await self._people.identity_in(connection, person.tenant_id)
        return {"secret": secret, "uri": totp.uri(secret, person.email, identity.name)}

    async def confirm_totp(self, connection: Connection, person: Person, code: str) -> list[str] | None:
        """Finish an enrolment with the first code. Recovery codes if it is the first factor; None: not right."""
        first = not await factor_rows.of_user(connection, person.id)
        waiting = await factor_rows.of_user(connection, person.id, confirmed=False)
        if not await self._accept(connection, person, waiting, code):
            return None
        return await self.new_recovery_codes(connection, person) if first else []

    async def _prove_totp(self, connection: Connection, person: Person, code: str) -> str | None:
        known = [one for one in await factor_rows.of_user(connection, person.id) if one.kind == TOTP]
        return TOTP if await self._accept(connection, person, known, code) else None

    async def _accept(self, connection: Connection, person: Person, factors: list[Factor], code: str) -> bool:
        now = self._clock.now()
        for one in factors:
            assert one.secret_sealed is not None
            secret = await self._vault.open(person.tenant_id, f"{_PURPOSE}:{person.id}", one.secret_sealed)
            step = totp.matching_step(secret.decode(), code.strip(), now.timestamp(), one.last_step)
            if step is not None and await factor_rows.accept_step(connection, one.id, step, now):
                return True
        return False

    # --- security keys ---

    async def registration_options(self, connection: Connection, person: Person, pending_id: UUID) -> dict[str, Any]:
        """What a browser needs to make a credential for this person."""
        party = await self._party(connection, person.tenant_id)
        challenge = await pending.challenge(connection, pending_id)
        known = await self._keys(connection, person, party)
        return ceremony.registration_options(party, person.id.bytes, person.email, challenge, known)

    async def register(
        self, connection: Connection, person: Person, name: str, credential: dict[str, Any], challenge: bytes | None
    ) -> list[str] | None:
        """Add a security key. Recovery codes if it is the first factor; None: the registration is not right."""
        party = await self._party(connection, person.tenant_id)
        made = ceremony.verify_registration(party, credential, challenge) if challenge else None
        if made is None:
            return None
        first = not await factor_rows.of_user(connection, person.id)
        key, now = made, self._clock.now()
        factor = Factor(uuid7(), person.id, WEBAUTHN, name, None, 0, key[0], key[1], key[2], party.id, now, now, None)
        await factor_rows.add_webauthn(connection, person.tenant_id, factor)
        return await self.new_recovery_codes(connection, person) if first else []

    async def authentication_options(self, connection: Connection, person: Person, pending_id: UUID) -> dict[str, Any]:
        """What a browser needs to sign with one of the person's keys."""
        party = await self._party(connection, person.tenant_id)
        challenge = await pending.challenge(connection, pending_id)
        return ceremony.authentication_options(party, challenge, await self._keys(connection, person, party))

    async def _prove_webauthn(
        self, connection: Connection, person: Person, credential: dict[str, Any], challenge: bytes
    ) -> str | None:
        party = await self._party(connection, person.tenant_id)
        wanted = ceremony.credential_id(credential)
        for one in await self._keys(connection, person, party):
            if one.credential_id == wanted:
                count = ceremony.verify_authentication(party, credential, challenge, one)
                if count is not None:
                    await factor_rows.accept_count(connection, one.id, count, self._clock.now())
                    return WEBAUTHN
        return None

    async def _keys(self, connection: Connection, person: Person, party: RelyingParty) -> list[Factor]:
        """Security keys that were made for the host of the console as it is called now."""
        known = await factor_rows.of_user(connection, person.id)
        return [one for one in known if one.kind == WEBAUTHN and one.rp_id == party.id]

    async def _party(self, connection: Connection, tenant_id: UUID) -> RelyingParty:
        identity = await self._people.identity_in(connection, tenant_id)
        return ceremony.relying_party(identity.dashboard_host, identity.name, self._http_port)

    # --- recovery codes ---

    async def new_recovery_codes(self, connection: Connection, person: Person) -> list[str]:
        """Eight new codes; older ones are worth nothing from now on."""
        codes = recovery_codes.new_codes()
        await recovery_codes.replace(connection, person.tenant_id, person.id, codes)
        return codes


def wrong() -> SivoError:
    """The one answer to a factor that is not right, whichever it was and whatever was wrong with it."""
    return SivoError(
        MFA_FAILED, "the second factor is not right", remedy="try the next code, another factor or a recovery code"
    )
