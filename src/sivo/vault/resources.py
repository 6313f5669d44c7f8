"""Provider secrets: the keys with which a tenant's calls reach STT, LLM and TTS providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import StringConstraints

from sivo.config.kinds import Body, ResourceKind, SecretField, Unique, register_kind

#: Shown as ``secrets.<name>`` by ``GET /api/config``; without a slash, which names of other vault entries have.
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,62}$")]
HostName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]{1,253}$", to_lower=True)]


class ProviderSecret(Body):
    """A named secret and the only host that it is ever sent to (null: any); another host asks for it again."""

    name: SecretName
    host: HostName | None = None


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
    )
)
