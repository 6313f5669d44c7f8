"""The register of all configuration keys, in the order of the reference."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from sivo.base.errors import SivoError, register
from sivo.config.key import Key
from sivo.config.keys import ai, auth, recording, sf, tenant, transcription, webhooks

UNKNOWN_KEY = register("CONFIG_KEY_UNKNOWN", 422)
INVALID_VALUE = register("CONFIG_VALUE_INVALID", 422)

#: name -> declaration; the only place where a key exists.
KEYS: dict[str, Key] = {
    key.name: key for group in (tenant, auth, recording, transcription, ai, sf, webhooks) for key in group.KEYS
}


def get(name: str) -> Key:
    """The key called ``name``; CONFIG_KEY_UNKNOWN with a suggestion otherwise."""
    key = KEYS.get(name)
    if key is not None:
        return key
    near = get_close_matches(name, KEYS, n=1)
    remedy = f"did you mean {near[0]}?" if near else "GET /api/config/schema lists all keys"
    raise SivoError(UNKNOWN_KEY, f"there is no key {name[:80]!r}", where=name[:80], remedy=remedy)


def check(name: str, value: Any) -> Any:
    """``value`` in the normal form of key ``name``; CONFIG_VALUE_INVALID names key, value, rule and remedy."""
    key = get(name)
    try:
        return key.type.check(value)
    except ValueError as error:
        shown = "***" if key.secret else repr(value)[:80]
        remedy = "see GET /api/config/schema" if key.scopes else "it changes through other actions only"
        raise SivoError(
            INVALID_VALUE, f"{name} = {shown}: {error}", where=name, remedy=remedy, details={"rule": str(error)}
        ) from error
