"""Telling the vault which provider keys a call really takes along: that, and not a look-up, is their use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from sivo.media.protocol import ConversationSpec, Stage
from sivo.routing.directory import ProviderKey
from sivo.routing.loader import PROVIDER_SECRETS
from sivo.vault.used import Uses


def note(uses: Uses, tenant_id: UUID, keys: Mapping[str, ProviderKey], stages: Iterable[Stage]) -> None:
    """Note every key of ``keys`` that one of ``stages`` was given."""
    given = {stage.api_key for stage in stages if stage.api_key}
    for name, key in keys.items():
        if key.value in given:
            uses.note(tenant_id, PROVIDER_SECRETS[name])


def stages_of(spec: ConversationSpec) -> list[Stage]:
    """All providers that a conversation may speak to."""
    return [spec.stt, spec.llm, spec.tts, *spec.second.values()]
