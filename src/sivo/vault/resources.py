"""Provider secrets: the keys with which a tenant's calls reach STT, LLM and TTS providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import StringConstraints, model_validator

from sivo.config.kinds import Body, ResourceKind, SecretField, Unique, register_kind
from sivo.config.values import HttpUrl
from sivo.identity.permissions import Permission

#: Shown as ``secrets.<name>`` by ``GET /api/config``; without a slash, which names of other vault entries have.
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")]
HostName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]{1,253}$", to_lower=True)]


class ProviderSecret(Body):
    """A named secret and the only host that it is ever sent to (null: any); another host asks for it again.

    ``base_url`` is where the STT or TTS engine is served, if not at its vendor's usual place (decision 4); it names the
    host as well.
    """

    name: SecretName
    host: HostName | None = None
    base_url: HttpUrl | None = None

    @model_validator(mode="after")
    def _one_host(self) -> Self:
        if self.base_url is None:
            return self
        host = (urlsplit(self.base_url).hostname or "").lower()
        if self.host is None:
            self.host = host
        elif self.host != host:
            raise ValueError(f"base_url is on the host {host}, but the secret is for {self.host}")
        return self


def _vault_name(resource_id: str, body: Mapping[str, Any], field: str) -> str:
    return str(body["name"])


PROVIDER_SECRET = register_kind(
    ResourceKind(
        name="secret",
        plural="secrets",
        model=ProviderSecret,
        secrets=(SecretField("value", host="host", required=True, min_length=1, max_length=8192),),
        unique=(Unique("secret.name", ("name",)),),
        immutable=("name",),
        secret_name=_vault_name,
        read=Permission.SECRETS_READ,
        write=Permission.SECRETS_WRITE,
    )
)
