"""What a new password must be: long enough, not a common one, not the tenant's or the person's own name. Nothing else.

No composition rules and no expiry (ASVS 5.0 6.2.5, NIST SP 800-63B §5.1.1.2); the list works offline.
"""

from __future__ import annotations

import functools
import unicodedata
from pathlib import Path

from sivo.base.errors import SivoError, register
from sivo.identity.passwords import check_length

PASSWORD_TOO_COMMON = register("PASSWORD_TOO_COMMON", 422)
_LIST = Path(__file__).with_name("common_passwords.txt")
#: What people put around a word so that it looks like another one.
_DECORATION = "0123456789!?.,-_*#@$%&+ "
#: Shorter names say nothing about a password.
_NAME_LENGTH = 3


def check_new_password(password: str, minimum: int, names: tuple[str, ...]) -> None:
    """Refuse a password that is too short, too long, common, or made of ``names`` and digits.

    ``names``: slug and name of the tenant, name and address of the person. Raises PASSWORD_TOO_SHORT with the
    minimum, PASSWORD_TOO_COMMON, VALIDATION_FAILED above 1,024 characters. No message repeats the password.
    """
    check_length(password, minimum)
    folded = _fold(password)
    if folded in common_passwords():
        raise _refused("the password is one of the most common ones", "choose one that nobody else uses")
    bare = folded.strip(_DECORATION)
    if any(bare == name for name in _folded_names(names)):
        raise _refused("the password is a name that everybody here knows", "choose one without your company's name")


@functools.cache
def common_passwords() -> frozenset[str]:
    """The list, folded; about 16,000 entries, read at the first use."""
    lines = _LIST.read_text(encoding="utf-8").splitlines()
    return frozenset(_fold(line) for line in lines if line and not line.startswith("# ") and line != "#")


def _folded_names(names: tuple[str, ...]) -> set[str]:
    """Every name as a whole, its words, and its words joined."""
    found: set[str] = set()
    for name in names:
        folded = _fold(name)
        local, at, domain = folded.partition("@")
        parts = [local, *domain.split(".")] if at else [folded, *folded.replace("-", " ").split()]
        found.update({*parts, folded.replace(" ", "").replace("-", "")})
    return {name.strip(_DECORATION) for name in found if len(name) >= _NAME_LENGTH}


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _refused(message: str, remedy: str) -> SivoError:
    return SivoError(PASSWORD_TOO_COMMON, message, where="password", remedy=remedy)
