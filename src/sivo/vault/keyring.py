"""Which key-encryption keys a process holds: the one of ``SIVO_KEK``, and while rotating the one before it."""

from __future__ import annotations

from pathlib import Path

from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.vault.kek import KEK_UNUSABLE, EnvironmentKek, FileKek, Kek
from sivo.vault.kek_aws import AwsKek

#: Variables that ``env`` reads where no other is named.
VARIABLE, PREVIOUS_VARIABLE = "SIVO_KEK_VALUE", "SIVO_KEK_PREVIOUS_VALUE"


class Keyring:
    """The keys that a process can open with. Which of them wraps new data keys stands in the database (``kek``)."""

    def __init__(self, current: Kek, previous: Kek | None = None) -> None:
        self.current = current
        self.previous = previous
        self._by_id = {one.kek_id: one for one in (previous, current) if one is not None}

    @classmethod
    def from_settings(cls, settings: Settings, *, create: bool = True) -> Keyring:
        """The keys that ``SIVO_KEK`` and ``SIVO_KEK_PREVIOUS`` name; blocking (files). Raises VAULT_KEK_UNUSABLE."""
        current = _source(settings.kek, settings.kek_file, VARIABLE, create=create)
        previous = None
        if settings.kek_previous:
            previous = _source(settings.kek_previous, settings.kek_file, PREVIOUS_VARIABLE, create=False)
        if previous is not None and previous.kek_id == current.kek_id:
            raise SivoError(
                KEK_UNUSABLE,
                "SIVO_KEK and SIVO_KEK_PREVIOUS are the same key",
                where="SIVO_KEK_PREVIOUS",
                remedy="leave SIVO_KEK_PREVIOUS out unless you change keys",
            )
        return cls(current, previous)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all keys held, the one of ``SIVO_KEK`` last."""
        return tuple(self._by_id)

    def holds(self, kek_id: str) -> bool:
        """Whether data keys under ``kek_id`` can be opened here."""
        return kek_id in self._by_id

    def by_id(self, kek_id: str) -> Kek:
        """The key of that id. Raises VAULT_KEK_UNUSABLE when it is not held."""
        found = self._by_id.get(kek_id)
        if found is None:
            raise SivoError(
                KEK_UNUSABLE,
                f"the database holds keys under {kek_id}, this process has {', '.join(self._by_id)}",
                where="key-encryption key",
                remedy="name that key in SIVO_KEK, or in SIVO_KEK_PREVIOUS until `sivo vault rotate` is through",
            )
        return found


def _source(text: str, default_file: Path, variable: str, *, create: bool) -> Kek:
    kind, _, rest = text.partition(":")
    if kind == "file":
        # Only the node's own file is made by itself: a path that somebody wrote down is meant to hold a key already.
        return FileKek.load(Path(rest) if rest else default_file, create=create and not rest)
    if kind == "env":
        return EnvironmentKek.load(rest or variable)
    if kind == "aws-kms":
        return AwsKek(rest)
    raise SivoError(
        KEK_UNUSABLE,
        f"{kind[:20]!r} is no kind of key-encryption key",
        where="SIVO_KEK",
        remedy="file, file:<path>, env, env:<variable> or aws-kms:<key id or ARN>",
    )
