"""Room ``identity`` of one ``api`` process: built once, handed to routes and gates."""

from __future__ import annotations

import json

from fastapi import Request

from sivo.base.clock import Clock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.identity import overrides, sessions, signing_keys
from sivo.identity.authentication import Authentication, peer_uid
from sivo.identity.client_address import Address, client_address, limit_key, parse_proxies
from sivo.identity.directory import Directory
from sivo.identity.finishing import Finishing
from sivo.identity.following import Following
from sivo.identity.grants import From, Grants
from sivo.identity.hosts import Hosts
from sivo.identity.lock_store import Locks
from sivo.identity.login import Login
from sivo.identity.overrides import Overrides
from sivo.identity.passwords import Passwords
from sivo.identity.people import People
from sivo.identity.refresh import Refresh
from sivo.identity.second_factor import SecondFactors
from sivo.identity.shared_rates import ExactRates, GeneralRates
from sivo.identity.signing_keys import SigningKeys
from sivo.identity.tokens import Tokens
from sivo.tenants import shredding
from sivo.vault.vault import Vault


class Identity:
    """Login, tokens, second factors, password changes and the authenticator, wired together."""

    def __init__(self, settings: Settings, clock: Clock, database: Database, vault: Vault) -> None:
        self.settings = settings
        self.clock = clock
        self.database = database
        self.vault = vault
        self.proxies = parse_proxies(settings.http_trusted_proxies)
        self.keys = SigningKeys(database, vault, clock)
        self.tokens = Tokens(self.keys, clock, f"https://{settings.app_domain_suffix}")
        self.passwords = Passwords()
        self.overrides = Overrides(database, clock)
        self.rates = ExactRates(database, clock)
        self.people = People(database, settings)
        self.directory = Directory(database, clock)
        self.hosts = Hosts(self.directory, clock, lambda: database.listening)
        self.locks = Locks(database, vault, clock)
        self.factors = SecondFactors(vault, self.people, settings, clock)
        self.grants = Grants(database, self.people, self.tokens, clock)
        self.refresh = Refresh(database, clock)
        self.finishing = Finishing(database, self.people, self.factors, self.locks, self.grants, clock)
        self.login = Login(
            database,
            self.directory,
            self.people,
            self.passwords,
            self.tokens,
            self.factors,
            self.locks,
            self.grants,
            clock,
        )
        self.authentication = Authentication(
            database,
            self.hosts,
            self.directory,
            self.people,
            self.tokens,
            GeneralRates(database, clock),
            self.overrides,
            clock,
            self.proxies,
        )
        self._following = Following(self.keys, self.overrides, self.authentication.cache)

    async def start(self) -> None:
        """Load keys and limits and follow what makes a cached token stale."""
        await self.keys.load()
        await self.overrides.load()
        await self.database.listen(sessions.CHANNEL, self.authentication.identity_changed)
        await self.database.listen(sessions.PHONES_CHANNEL, self._config_changed)
        await self.database.listen(signing_keys.CHANNEL, self._following.keys_changed)
        await self.database.listen(overrides.CHANNEL, self._following.limits_changed)
        await shredding.follow(self.database, self.vault)

    def close(self) -> None:
        """Stop the hashing threads."""
        self.passwords.close()

    def address(self, request: Request) -> Address | None:
        """The client's address; None on the local socket."""
        peer = request.client.host if request.client else ""
        return client_address(peer, request.headers.getlist("x-forwarded-for"), self.proxies)

    def origin(self, request: Request) -> From:
        """Where a login comes from; a local caller is counted by uid."""
        client = request.headers.get("user-agent", "")
        uid = peer_uid(request)
        if uid is not None:
            return From(f"local:{uid}", "", client)
        address = self.address(request)
        return From(limit_key(address) if address else "unknown", str(address or ""), client)

    def _config_changed(self, payload: str) -> None:
        """A change-set of a tenant may have changed a user's role or taken the user away, or a host's name."""
        self.hosts.forget()
        try:
            tenant = str(json.loads(payload)["tenant"])
        except (ValueError, KeyError, TypeError):
            tenant = ""  # nothing to go by, so everything is looked at again
        self.authentication.identity_changed(tenant)
