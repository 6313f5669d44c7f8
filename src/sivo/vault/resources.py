"""Provider secrets: the keys with which a tenant's calls reach STT, LLM and TTS providers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints

from sivo.config.kinds import Body, ResourceKind, SecretField, Unique, register_kind
from sivo.config.types import Host

#: Shown as ``secrets.<name>`` by ``GET /api/config``.
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


def _host(value: str) -> str:
    try:
        return Host().check(value)
    except ValueError:
        if value.replace(".", "").isdigit() or ":" in value:
            return value
        raise


class ProviderSecret(Body):
    """A named secret and the only host that it is ever sent to; another host asks for it again."""

    name: SecretName
    host: Annotated[str, StringConstraints(min_length=1, max_length=253), AfterValidator(_host)]


def _vault_name(resource_id: str, body: Mapping[str, Any], field: str) -> str:
    return str(body["name"])


PROVIDER_SECRET = register_kind(
    ResourceKind(
        name="secret",
        plural="secrets",
        model=ProviderSecret,
        secrets=(SecretField("value", host="host", required=True, min_length=4, max_length=4096),),
        unique=(Unique("secret.name", ("name",)),),
        immutable=("name",),
        secret_name=_vault_name,
    )
)
