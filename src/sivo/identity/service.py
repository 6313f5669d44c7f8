"""Room ``identity`` of one ``api`` process: built once, handed to routes and gates."""

from __future__ import annotations

import json

from sivo.base.clock import Clock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.identity import credentials
from sivo.identity.authentication import Authentication
from sivo.identity.client_address import parse_proxies
from sivo.identity.directory import Directory
from sivo.identity.factors import PasswordOnly
from sivo.identity.login import Login
from sivo.identity.passwords import Passwords
from sivo.identity.people import People
from sivo.identity.rates import Rates
from sivo.identity.signing_keys import SigningKeys
from sivo.identity.tokens import Tokens
from sivo.vault.vault import Vault


class Identity:
    """Login, tokens, password changes and the authenticator, wired together."""

    def __init__(self, settings: Settings, clock: Clock, database: Database, vault: Vault) -> None:
        self.clock = clock
        self.database = database
        self.proxies = parse_proxies(settings.http_trusted_proxies)
        self.keys = SigningKeys(database, vault, clock)
        self.tokens = Tokens(self.keys, clock, f"https://{settings.app_domain_suffix}")
        self.passwords = Passwords()
        self.rates = Rates(clock)
        self.people = People(database, settings)
        directory = Directory(database, clock)
        self.login = Login(database, directory, self.people, self.passwords, self.tokens, PasswordOnly(), clock)
        self.authentication = Authentication(database, directory, self.people, self.tokens, self.rates, clock)
        self.directory = directory

    async def start(self) -> None:
        """Load the signing keys and follow what makes a cached token stale."""
        await self.keys.load()
        await self.database.listen(credentials.CHANNEL, self.authentication.identity_changed)
        await self.database.listen("sivo_config", self._config_changed)

    def close(self) -> None:
        """Stop the hashing threads."""
        self.passwords.close()

    def _config_changed(self, payload: str) -> None:
        """A change-set of a tenant may have changed a user's role or taken the user away."""
        try:
            tenant = str(json.loads(payload)["tenant"])
        except (ValueError, KeyError, TypeError):
            tenant = ""  # nothing to go by, so everything is looked at again
        self.authentication.identity_changed(tenant)
