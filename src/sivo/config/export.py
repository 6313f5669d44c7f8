"""A tenant's configuration as one YAML text: what it sets itself, with secrets as references.

The text depends on the values alone (not on when, by whom or how often they were set), so that export, import and
export again give the same bytes, and a file in Git can be compared with what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sivo.config import all_kinds
from sivo.config.key import Level
from sivo.config.kinds import KINDS, ResourceKind
from sivo.config.registry import KEYS
from sivo.config.resolve import Stored
from sivo.config.state import Resource
from sivo.config.yaml_text import dump

FORMAT = 1
#: Marks a secret in a document: its name in the vault, never its value.
SECRET = "secret"  # noqa: S105 - the name of a field
_HEAD = """\
# Configuration of one SIVO tenant: its own values and its resources. Other keys follow plan, platform or default.
# Secrets are references; their values stay in the vault.
"""
#: Kinds that no document holds: the tenant itself, which is the operator's, and API keys, which cannot be copied.
APART = ("tenant", "api_key")


def kinds() -> dict[str, ResourceKind]:
    """Every kind that a document holds, by plural, in alphabetical order."""
    found = {kind.plural: kind for kind in all_kinds.load().values() if kind.name not in APART}
    return dict(sorted(found.items()))


def export(stored: Iterable[Stored], resources: Iterable[Resource]) -> str:
    """The document of one tenant."""
    own = {one.key: one for one in stored if one.level is Level.TENANT}
    by_kind: dict[str, list[Resource]] = {plural: [] for plural in kinds()}
    for one in resources:
        kind = KINDS.get(one.kind)
        if kind is not None and kind.plural in by_kind:
            by_kind[kind.plural].append(one)
    document = {
        "format": FORMAT,
        "keys": {name: _value(own[name]) for name in KEYS if name in own},
        "resources": {plural: [entry(kinds()[plural], one) for one in found] for plural, found in by_kind.items()},
    }
    return _HEAD + dump(document)


def _value(one: Stored) -> Any:
    return {"value": one.value, "locked": True} if one.locked else one.value


def entry(kind: ResourceKind, one: Resource) -> dict[str, Any]:
    """One resource as it stands in a document."""
    found: dict[str, Any] = {"id": str(one.id)}
    for name, field in kind.model.model_fields.items():
        value = one.body.get(name)
        if value is not None or field.get_default(call_default_factory=True) is not None:
            found[name] = _sorted(value)
    for secret in kind.secrets:
        if secret.field in one.secrets:
            found[secret.field] = {SECRET: kind.vault_name(one.id, one.body, secret.field)}
    return found


def _sorted(value: Any) -> Any:
    """Objects within a body by name, so that the order of their making does not show."""
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value
