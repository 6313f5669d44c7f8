"""Steps on a cluster's files: which version it is, whether somebody serves it, how it is made."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import asyncpg

from sivo.base.errors import SivoError, register
from sivo.db import binaries
from sivo.db.identity import Identity
from sivo.db.launch_lock import held_by

VERSION = register("POSTGRES_VERSION", 503)
INIT_FAILED = register("POSTGRES_INIT_FAILED", 503)

#: A server of a launcher that was killed shuts down by itself; we wait this long for it.
_LEAVING_S = 20.0

#: Small machine first: 78 MB at rest measured. Sockets only, SCRAM only.
SERVER_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "max_connections": "120",
    "shared_buffers": "64MB",
    "password_encryption": "scram-sha-256",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    # Statements may carry secrets (never log them, not even the failing one).
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}


def binaries_for(data: Path) -> binaries.Binaries:
    """Programs that fit the cluster in ``data`` (any supported version for a new one).

    Raises :class:`SivoError` POSTGRES_VERSION when the cluster is of a major version that is not installed.
    """
    marker = data / "PG_VERSION"
    if not marker.exists():
        return binaries.find()
    major = int(marker.read_text(encoding="ascii").strip())
    try:
        return binaries.find(major)
    except SivoError as error:
        raise SivoError(
            VERSION,
            f"the data was written by PostgreSQL {major}, and its programs are not on this machine",
            where=str(data),
            remedy=f"install PostgreSQL {major} and run sivo backup, then sivo restore into a new SIVO_HOME",
        ) from error


def serving_pid(data: Path) -> int | None:
    """Pid in ``postmaster.pid`` if that process lives and works in ``data``."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="ascii").splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return pid
    try:
        here = os.path.samefile(f"/proc/{pid}/cwd", data)
        zombie = "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except PermissionError:  # a process in a user namespace hides its cwd from others; the pid file is the witness
        return pid
    except OSError:
        return None
    return pid if here and not zombie else None


def socket_folder(data: Path) -> Path:
    """Where the server that serves ``data`` has its socket (line 5 of ``postmaster.pid``)."""
    return Path((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[4])


def wait_until_free(data: Path) -> None:
    """Wait for a server that is leaving; raise POSTGRES_HELD with its pid when it stays."""
    deadline = time.monotonic() + _LEAVING_S
    while (pid := serving_pid(data)) is not None:
        if time.monotonic() > deadline:
            raise held_by(pid, data)
        time.sleep(0.1)


def initialise(data: Path, programs: binaries.Binaries, identity: Identity, password_file: Path) -> None:
    """``initdb``: superuser ``postgres``, SCRAM everywhere, a locale that is the same on every machine."""
    unfinished = data.with_name("data.new")
    if unfinished.exists():
        shutil.rmtree(unfinished)
    unfinished.mkdir(mode=0o700)
    if identity.owner[0] != os.geteuid():
        os.chown(unfinished, *identity.owner)  # our own new folder, for the identity that will fill it
    locale = ["--locale=C.UTF-8"]
    if programs.major >= 17:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    command = [programs.program("initdb"), "-D", str(unfinished), "-U", "postgres", "--encoding=UTF8", *locale]
    command += ["--auth=scram-sha-256", "--pwfile=/dev/stdin", "--no-instructions"]
    done = subprocess.run(
        identity.command(command), input=password_file.read_bytes(), capture_output=True, timeout=300, check=False
    )
    if done.returncode != 0:
        raise SivoError(
            INIT_FAILED,
            f"initdb ended with status {done.returncode}: {last_complaint(done.stderr.decode(errors='replace'))}",
            where=str(data),
            remedy="set SIVO_DSN to a PostgreSQL server if this machine cannot run one",
        )
    unfinished.rename(data)


async def ensure_owner(superuser_dsn: str, password: str) -> None:
    """Role ``sivo_owner`` (makes roles, is no superuser) and its database ``sivo``."""
    connection = await asyncpg.connect(superuser_dsn, timeout=10)
    try:
        if not await connection.fetchval("select 1 from pg_roles where rolname = 'sivo_owner'"):
            await connection.execute("create role sivo_owner login createrole nosuperuser nobypassrls")
        # The password is letters, digits, - and _ (token_urlsafe), so it can stand in the statement.
        await connection.execute(f"alter role sivo_owner password '{password}'")
        if not await connection.fetchval("select 1 from pg_database where datname = 'sivo'"):
            await connection.execute("create database sivo owner sivo_owner")
            await connection.execute("revoke all on database sivo from public")
    finally:
        await connection.close()


def log_size(log: Path) -> int:
    """Bytes in the server log so far."""
    return log.stat().st_size if log.exists() else 0


def log_since(log: Path, mark: int) -> str:
    """What the server wrote after ``mark``."""
    with open(log, "rb") as file:
        file.seek(mark)
        return file.read(64_000).decode(errors="replace")


def last_complaint(text: str) -> str:
    """The last line that names a problem, without its prefix."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in reversed(lines):
        for word in ("FATAL:", "PANIC:", "error:", "could not"):
            if word in line:
                return line[line.index(word) :]
    return lines[-1] if lines else "it said nothing"
