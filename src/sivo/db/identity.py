"""As whom PostgreSQL runs: it refuses root, and ``initdb`` wants a passwd entry (see ``postgres_child``)."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from sivo.base.errors import SivoError, register

NO_IDENTITY = register("POSTGRES_NO_IDENTITY", 503)

_CHILD = Path(__file__).with_name("postgres_child.py")


@dataclass(frozen=True)
class Identity:
    """How a PostgreSQL process is started and who owns its files, seen from outside."""

    spec: str
    owner: tuple[int, int]

    def command(self, program: list[str], *, die_signal: int = 0) -> list[str]:
        """The argument list that starts ``program`` under this identity, as a child of this process."""
        return [sys.executable, "-I", "-S", str(_CHILD), self.spec, str(int(die_signal)), str(os.getpid()), *program]


def _some_user() -> pwd.struct_passwd:
    """An unprivileged passwd entry; ``postgres`` if there is one, so that listings read well."""
    entries = [entry for entry in pwd.getpwall() if 0 < entry.pw_uid < 65534]
    for name in ("postgres", "daemon"):
        for entry in entries:
            if entry.pw_name == name:
                return entry
    if not entries:
        return pwd.getpwnam("nobody")
    return entries[0]


def _has_passwd_entry(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _works(identity: Identity, folder: Path) -> bool:
    """Whether a process under ``identity`` can start at all and enter ``folder``."""
    probe = subprocess.run(
        identity.command(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)]), capture_output=True, timeout=20, check=False
    )
    return probe.returncode == 0


def choose(folder: Path) -> Identity:
    """The identity for a server whose files live in ``folder`` (which exists).

    Raises :class:`SivoError` POSTGRES_NO_IDENTITY when neither a user namespace nor a drop of rights is possible.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0 and _has_passwd_entry(uid):
        return Identity("self", (uid, gid))
    user = _some_user()
    data_owner = _owner(folder / "data" / "PG_VERSION")
    candidates = [Identity(f"namespace:{user.pw_uid}:{user.pw_gid}", (uid, gid))]
    if uid == 0:
        dropped = _ordinary(data_owner) or _ordinary(_owner(folder.parent)) or (user.pw_uid, user.pw_gid)
        candidates.append(Identity(f"dropped:{dropped[0]}:{dropped[1]}", dropped))
    for identity in candidates:
        if data_owner is not None and data_owner[0] != identity.owner[0]:
            continue  # PostgreSQL insists that its files belong to it
        if _works(identity, folder):
            return identity
    raise SivoError(
        NO_IDENTITY,
        "PostgreSQL does not run as root, and this machine allows neither a user namespace nor a change of user",
        where=str(folder),
        remedy="run as a normal user, or set SIVO_DSN to a PostgreSQL server",
    )


def _owner(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_uid, status.st_gid


def _ordinary(owner: tuple[int, int] | None) -> tuple[int, int] | None:
    return owner if owner is not None and owner[0] != 0 else None
