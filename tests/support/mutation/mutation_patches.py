"""Makes the consumers of one key read its shipped default. Which key, a file says, so that one node serves all runs.

The product has no switch for this: :mod:`sitecustomize` beside this module patches the accessor in every process that
is started with this folder on PYTHONPATH.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

_FILE = Path(os.environ.get("SIVO_TEST_MUTATION_FILE", "/nonexistent"))
#: Written when a consumer asked for the mutated key: red without that would prove nothing.
READ = _FILE.with_suffix(".read")


def current() -> str:
    """The key that is mutated now; empty: none."""
    try:
        return _FILE.read_text()
    except OSError:
        return ""


def _mutated(key: str) -> bool:
    if current() != key:
        return False
    READ.touch()
    return True


def install() -> None:
    """Patch the accessor, and the two places whose default is generated and not computed from keys."""
    from sivo.config import slugs, state
    from sivo.config.key import Inputs, Level
    from sivo.config.registry import KEYS
    from sivo.config.resolve import Effective, Resolver
    from sivo.vault.vault import Secret, Vault

    resolve, inputs_of, get_secret = Resolver._resolve, state.inputs_of, Vault.get_secret

    def default_of(self: Resolver, name: str) -> Effective:
        if not _mutated(name):
            return resolve(self, name)
        default = KEYS[name].default
        value = default.compute(self.inputs, self._lookup)
        return Effective(name, value, Level.DEFAULT, "default", how=str(default.describe()))

    def generated_slug(tenant: Any, settings: Any) -> Inputs:
        found = inputs_of(tenant, settings)
        if tenant is not None and _mutated("tenant.slug"):
            return replace(found, slug=slugs.from_name(tenant.name))
        return found

    async def generated_secret(self: Vault, tenant_id: Any, name: str, **more: Any) -> Secret | None:
        found = await get_secret(self, tenant_id, name, **more)
        if found is not None and name.startswith("webhook_endpoint/") and _mutated("webhooks.signing_secret"):
            return Secret("whsec_" + "generated" * 4, found.host)
        return found

    Resolver._resolve = default_of  # type: ignore[method-assign]
    state.inputs_of = generated_slug
    Vault.get_secret = generated_secret  # type: ignore[method-assign]
