"""The embedded PostgreSQL server: our own launcher, as root and as a normal user, on a private Unix socket.

Layout below ``Settings.home``: ``pg/data`` (the cluster), ``pg/lock`` (one launcher at a time), ``pg/log``,
``pg/programs`` (only where the server may not read the installed programs), passwords in ``db-…-password``.
The server is our child: it gets a fast shutdown when we die, however we die.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg

from sivo.base import logs
from sivo.base.errors import SivoError, register
from sivo.base.settings import Settings
from sivo.db import binaries, cluster, secret_file
from sivo.db.identity import Identity, choose
from sivo.db.launch_lock import LaunchLock

START_FAILED = register("POSTGRES_START_FAILED", 503)

_log = logs.get("db")
_PORT = 5432
#: sun_path is 108 bytes; PostgreSQL appends "/.s.PGSQL.5432.lock".
_SOCKET_FOLDER_LIMIT = 107 - len("/.s.PGSQL.5432.lock")
#: A recovery after a crash may be long, and is no failure while the process lives.
_START_LIMIT_S = 600.0
#: After a kill of the postmaster alone, its orphans hold the shared memory for a moment.
_ORPHAN_LIMIT_S = 30.0
_RESTART_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class EmbeddedPostgres:
    """One private server. ``start()`` gives the DSN of the schema owner, ``stop()`` is a fast shutdown.

    ``options`` are further server settings (tests turn ``fsync`` off).
    """

    def __init__(self, settings: Settings, *, options: Mapping[str, str] | None = None) -> None:
        self._home = settings.home.absolute()
        self._run_dir = settings.run_dir.absolute()
        self._folder = self._home / "pg"
        self._options = dict(options or {})
        self._lock = LaunchLock(self._folder / "lock")
        self._process: subprocess.Popen[bytes] | None = None
        self._programs: binaries.Binaries | None = None
        self._identity: Identity | None = None
        self._socket_folder: Path | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def programs(self) -> binaries.Binaries:
        """The installation in use (``pg_dump`` and ``psql`` of the same version as the server)."""
        if self._programs is None:
            raise RuntimeError("not started")
        return self._programs

    def dsn(self, user: str, database: str = "sivo") -> str:
        """DSN of the login role ``user`` (``postgres`` = superuser, ``sivo_owner`` = owner of the schema)."""
        word = secret_file.password(self._home / f"db-{user.removeprefix('sivo_')}-password")
        folder = quote(str(self._socket_folder), safe="")
        return f"postgresql://{user}:{quote(word, safe='')}@/{database}?host={folder}&port={_PORT}"

    async def start(self) -> str:
        """Make the cluster if there is none, start the server, and return the owner's DSN.

        Raises :class:`SivoError`: POSTGRES_HELD (another launcher or server has the data), POSTGRES_VERSION,
        POSTGRES_MISSING, POSTGRES_NO_IDENTITY, POSTGRES_START_FAILED.
        """
        await asyncio.to_thread(self._set_up)
        try:
            await self._launch()
            await cluster.ensure_owner(self.dsn("postgres", "postgres"), self._owner_password())
        except BaseException:
            await self.stop()
            raise
        self._watch = asyncio.create_task(self._restart_when_it_dies(), name="embedded-postgres")
        return self.dsn("sivo_owner")

    def attach(self) -> str | None:
        """The owner's DSN of a server that another process runs on this data; None when nobody does."""
        data = self._folder / "data"
        if cluster.serving_pid(data) is None:
            return None
        self._socket_folder = cluster.socket_folder(data)
        self._programs = cluster.binaries_for(data)
        return self.dsn("sivo_owner")

    async def stop(self) -> None:
        """Fast shutdown: sessions are ended, nothing committed is lost. Safe to call twice."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        await asyncio.to_thread(self._end_process)
        if self._socket_folder is not None and self._socket_folder != self._run_dir:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
        self._lock.release()

    # --- set-up (blocking; runs in a thread) ---

    def _owner_password(self) -> str:
        return secret_file.password(self._home / "db-owner-password")

    def _set_up(self) -> None:
        for folder in (self._home, self._folder, self._run_dir):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock.take()
        try:
            data = self._folder / "data"
            cluster.wait_until_free(data)
            self._identity = choose(self._folder)
            self._programs = self._readable(cluster.binaries_for(data), self._identity)
            self._socket_folder = self._pick_socket_folder()
            secret_file.password(self._home / "db-postgres-password")
            if not (data / "PG_VERSION").exists():
                cluster.initialise(data, self._programs, self._identity, self._home / "db-postgres-password")
        except BaseException:
            self._lock.release()
            raise

    def _readable(self, programs: binaries.Binaries, identity: Identity) -> binaries.Binaries:
        """``programs``, or a copy next to the data when the server's identity may not execute them."""
        probe = identity.command([programs.program("postgres"), "--version"])
        if subprocess.run(probe, capture_output=True, timeout=20, check=False).returncode == 0:
            return programs
        return binaries.copy_beside(programs, self._folder / "programs")

    def _pick_socket_folder(self) -> Path:
        if len(os.fsencode(self._run_dir)) <= _SOCKET_FOLDER_LIMIT:
            return self._run_dir
        return Path(tempfile.mkdtemp(prefix="sivo-pg-", dir="/tmp"))  # short by design, mode 0700

    # --- the process ---

    def _spawn(self) -> subprocess.Popen[bytes]:
        assert self._identity is not None
        arguments = [self.programs.program("postgres"), "-D", str(self._folder / "data")]
        for name, value in {**cluster.SERVER_OPTIONS, "unix_socket_directories": str(self._socket_folder)}.items():
            arguments += ["-c", f"{name}={value}"]
        for name, value in self._options.items():
            arguments += ["-c", f"{name}={value}"]
        with open(self._folder / "log", "ab") as log:
            # A session of its own: Ctrl-C in the terminal must not stop the database before those who write to it.
            return subprocess.Popen(
                self._identity.command(arguments, die_signal=signal.SIGINT),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _launch(self) -> None:
        """Start the process and wait until it takes connections; orphans of a killed postmaster are waited out."""
        started = time.monotonic()
        while True:
            mark = cluster.log_size(self._folder / "log")
            self._process = self._spawn()
            if await self._until_ready(self._process):
                return
            said = cluster.log_since(self._folder / "log", mark)
            in_use = "still in use" in said or "already exists" in said
            if not in_use or time.monotonic() - started > _ORPHAN_LIMIT_S:
                raise SivoError(
                    START_FAILED,
                    f"PostgreSQL ended with status {self._process.returncode}: {cluster.last_complaint(said)}",
                    where=str(self._folder / "log"),
                    remedy="the log says why; sivo backup files are restored with sivo restore",
                )
            await asyncio.sleep(0.2)

    async def _until_ready(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + _START_LIMIT_S
        told = time.monotonic()
        while process.poll() is None and time.monotonic() < deadline:
            try:
                connection: Any = await asyncpg.connect(self.dsn("postgres", "postgres"), timeout=5)
            except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
                if time.monotonic() - told > 2:
                    told = time.monotonic()
                    _log.info("postgres_starting", pid=process.pid)
                await asyncio.sleep(0.02)
                continue
            await connection.close()
            return True
        return False

    async def _restart_when_it_dies(self) -> None:
        """A killed server comes back; the connections of the roles do the same."""
        failures = 0
        while True:
            process = self._process
            assert process is not None
            while process.poll() is None:  # noqa: ASYNC110 - a child of Popen has no event to wait for
                await asyncio.sleep(0.1)
            _log.error("postgres_died", status=process.returncode)
            await asyncio.sleep(_RESTART_BACKOFF_S[min(failures, len(_RESTART_BACKOFF_S) - 1)])
            try:
                await self._launch()
                failures = 0
                _log.info("postgres_restarted", pid=self.pid)
            except SivoError as error:
                failures += 1
                _log.error("postgres_restart_failed", problem=str(error))

    def _end_process(self) -> None:
        process = self._process
        if process is None:
            return
        for how, patience in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
            if process.poll() is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
        self._process = None
