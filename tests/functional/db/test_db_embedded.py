"""The embedded server: who may start it, what a kill does, what is refused and with which words."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.db import binaries, identity
from sivo.db.bootstrap import open_server, prepare, with_user
from sivo.db.connect import connect
from sivo.db.embedded import EmbeddedPostgres
from sivo.db.migrate import FOLDER, migrate
from sivo.db.migrations import HEAD, ROOMS_0001

_CHILD = Path(__file__).parents[2] / "support" / "embedded_child.py"
_PATIENCE_S = 60


@pytest.fixture
def home() -> Iterator[Path]:
    """A 0700 folder with a short path; whatever was started in it is stopped by the test."""
    made = Path(tempfile.mkdtemp(prefix="sivo-e-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def interpreter_for(uid: int | None) -> str:
    """Our interpreter, or the system's of the same version where ``uid`` may not execute ours (it is in /root, say)."""
    for candidate in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        who: dict[str, Any] = {} if uid is None else {"user": uid}
        try:
            if subprocess.run([candidate, "-c", ""], capture_output=True, check=False, **who).returncode == 0:
                return candidate
        except OSError:
            continue
    raise AssertionError(f"no Python {sys.version_info[:2]} that user {uid} may execute; install python3 by apt")


class Launched:
    """A launcher in another process, perhaps of another user."""

    def __init__(self, home: Path, uid: int | None = None) -> None:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "HOME": str(home)}
        who: dict[str, Any] = (
            {} if uid is None else {"user": uid, "group": pwd.getpwuid(uid).pw_gid, "extra_groups": []}
        )
        self.process = subprocess.Popen(
            [interpreter_for(uid), str(_CHILD), str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
            **who,
        )
        self.said = self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{") and "room" not in line:
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise AssertionError(f"the launcher ended with {self.process.wait()}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.communicate("\n", timeout=_PATIENCE_S)


def gone(pid: int) -> bool:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def ordinary_user() -> int:
    """An unprivileged user of this machine that may run our interpreter."""
    return pwd.getpwnam("nobody").pw_uid


def modes(folder: Path) -> dict[str, tuple[int, int]]:
    """Mode and owner of every folder from ``folder`` up to the root."""
    return {str(one): (one.stat().st_mode, one.stat().st_uid) for one in (folder, *folder.parents)}


def test_runs_as_whoever_we_are_and_leaves_the_machine_alone(home: Path) -> None:
    before, users = modes(home), Path("/etc/passwd").read_bytes()
    launched = Launched(home)
    try:
        assert launched.said["version"].split(".")[0] in {"15", "16", "17", "18"}
        assert (home / "pg" / "data").stat().st_mode & 0o077 == 0
        for secret in ("db-postgres-password", "db-owner-password", "db-app-password", "run/app-dsn"):
            assert stat.S_IMODE((home / secret).stat().st_mode) == 0o600, secret
    finally:
        launched.stop()
    assert gone(launched.said["pid"])
    assert modes(home) == before and Path("/etc/passwd").read_bytes() == users


@pytest.mark.parametrize("second", ["restart", "data stays readable"])
def test_runs_as_a_normal_user_in_a_private_home(home: Path, second: str) -> None:
    if os.geteuid() != 0:
        Launched(home).stop()  # the test above did it as this very user
        return
    uid = ordinary_user()
    os.chown(home, uid, pwd.getpwuid(uid).pw_gid)
    before = modes(home)
    first = Launched(home, uid)
    first.stop()
    assert first.said["uid"] == uid
    assert (home / "pg" / "data").stat().st_uid == uid
    # root takes over the same data (or the user comes back): the server still runs as the owner of its files
    again = Launched(home, uid if second == "restart" else None)
    again.stop()
    assert "pid" in again.said, again.said
    assert (home / "pg" / "data").stat().st_uid == uid
    assert modes(home) == before


def test_root_without_user_namespaces_drops_its_rights(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        assert identity.choose(home).spec == "self"
        return
    works = identity._works
    monkeypatch.setattr(identity, "_works", lambda one, folder: "namespace" not in one.spec and works(one, folder))
    settings = Settings(home=home)

    async def go() -> tuple[str, int]:
        server = EmbeddedPostgres(settings)
        await server.start()
        assert server._identity is not None and server.pid is not None
        uid = int(Path(f"/proc/{server.pid}/status").read_text().split("Uid:")[1].split()[0])
        await server.stop()
        return server._identity.spec, uid

    spec, uid = asyncio.run(go())
    assert spec.startswith("dropped:") and uid != 0


def test_programs_that_the_server_may_not_read_are_copied_beside_the_data(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = binaries.find()
    hidden = Path(tempfile.mkdtemp(prefix="sivo-h-"))
    try:
        folder = hidden / "pg" / "bin"
        shutil.copytree(original.folder.parent, hidden / "pg", symlinks=True)
        libs = original.folder.parent.parent.with_name(original.folder.parent.parent.name + ".libs")
        shutil.copytree(libs, hidden.parent / f"{hidden.name}.libs", dirs_exist_ok=True)
        (folder / "postgres").chmod(0o600)
        copied = binaries.copy_beside(binaries.Binaries(original.folder, original.major), home)
        done = subprocess.run([copied.program("postgres"), "--version"], capture_output=True, text=True, check=True)
        assert f" {original.major}." in done.stdout
        dump = subprocess.run([copied.program("pg_dump"), "--version"], capture_output=True, text=True, check=True)
        assert f" {original.major}." in dump.stdout
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        shutil.rmtree(hidden.parent / f"{hidden.name}.libs", ignore_errors=True)


def test_long_home_gets_a_short_socket_folder(home: Path) -> None:
    deep = home / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    launched = Launched(deep)
    try:
        assert "pid" in launched.said, launched.said
        assert "sivo-pg-" in launched.said["owner_dsn"]
    finally:
        launched.stop()


def test_second_launcher_is_told_who_holds_the_data(home: Path) -> None:
    first = Launched(home)
    try:
        second = Launched(home)
        assert second.said["refused"] == "POSTGRES_HELD"
        assert str(first.process.pid) in second.said["message"]
    finally:
        first.stop()


def test_killed_launcher_takes_its_server_along_and_the_next_one_starts(home: Path) -> None:
    first = Launched(home)
    first.process.kill()
    first.process.wait()
    next_one = Launched(home)
    try:
        assert "pid" in next_one.said, next_one.said
        assert gone(first.said["pid"])
    finally:
        next_one.stop()


def test_other_major_version_is_refused_in_clear_words(home: Path) -> None:
    Launched(home).stop()
    (home / "pg" / "data" / "PG_VERSION").write_text("9\n")
    said = Launched(home).said
    assert said["refused"] == "POSTGRES_VERSION"
    assert "PostgreSQL 9" in said["message"] and "sivo restore" in said["message"]


def test_damaged_cluster_is_refused_with_the_servers_own_words(home: Path) -> None:
    Launched(home).stop()
    (home / "pg" / "data" / "global" / "pg_control").unlink()
    said = Launched(home).said
    assert said["refused"] == "POSTGRES_START_FAILED"
    assert "pg_control" in said["message"]


async def test_kill_of_the_postmaster_loses_no_commit_and_comes_back(home: Path) -> None:
    settings = Settings(home=home)
    server = await open_server(settings)
    assert server.embedded is not None
    database = await connect(settings)
    acknowledged: list[str] = []
    stop = asyncio.Event()

    async def write(worker: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            id_ = f"evt_{worker}_{number}"
            try:
                async with database.platform("test: write") as connection:
                    await connection.execute(
                        "insert into outbox (id, tenant_id, type, data) values ($1, gen_random_uuid(), 'x', '{}')", id_
                    )
            except SivoError as error:
                assert error.code == "UNAVAILABLE", error
                await asyncio.sleep(0.05)
            else:
                acknowledged.append(id_)

    writers = [asyncio.create_task(write(worker)) for worker in range(4)]
    try:
        for _ in range(3):
            await asyncio.sleep(0.5)
            killed, before = server.embedded.pid, len(acknowledged)
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            deadline = time.monotonic() + _PATIENCE_S
            while len(acknowledged) <= before + 20 and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            assert server.embedded.pid not in (None, killed)
            assert len(acknowledged) > before + 20, "the service did not come back"
        stop.set()
        await asyncio.gather(*writers)
        async with database.platform("test: count") as connection:
            found = {row["id"] for row in await connection.fetch("select id from outbox")}
        assert set(acknowledged) <= found
    finally:
        stop.set()
        await asyncio.gather(*writers, return_exceptions=True)
        await database.close()
        await server.stop()


_PREPARE = "import asyncio, sys; from sivo.db.bootstrap import prepare; asyncio.run(prepare(sys.argv[1], sys.argv[2]))"


async def test_nodes_preparing_at_once_end_with_one_schema(pg) -> None:
    await pg.execute("create database sivo_race owner sivo_owner")
    dsn = pg.owner_dsn("sivo_race")
    try:
        others = [subprocess.Popen([sys.executable, "-c", _PREPARE, dsn, pg.app_password]) for _ in range(2)]
        app_dsns = await asyncio.gather(*(prepare(dsn, pg.app_password) for _ in range(2)))
        assert [other.wait(_PATIENCE_S) for other in others] == [0, 0]
        connection = await asyncpg.connect(app_dsns[0])
        await connection.close()
    finally:
        await pg.drop_database("sivo_race")


async def test_later_schema_is_refused(pg, database_name: str) -> None:
    connection = await asyncpg.connect(pg.owner_dsn(database_name))
    await connection.execute("update alembic_version set version_num = '9999'")
    await connection.close()
    with pytest.raises(SivoError) as raised:
        await migrate(pg.owner_dsn(database_name))
    assert raised.value.code == "SCHEMA_TOO_NEW"


def test_head_is_the_newest_revision() -> None:
    newest = max(path.name.split("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py"))
    assert newest == HEAD
    written = {path.stem.removeprefix("0001_") for path in (FOLDER / "sql").glob("0001_*.sql")}
    assert written == set(ROOMS_0001)


async def test_operators_server_is_used_by_two_nodes_and_left_running(home: Path) -> None:
    """SIVO_DSN: an ordinary owner of an ordinary database, no superuser, several nodes with homes of their own."""
    theirs = EmbeddedPostgres(Settings(home=home / "server"))
    await theirs.start()
    try:
        admin = await asyncpg.connect(theirs.dsn("postgres", "postgres"))
        await admin.execute("create role customer login createrole password 'a b/c@d'")
        await admin.execute("create database crm owner customer")
        await admin.close()
        dsn = with_user(theirs.dsn("postgres", "crm"), "customer", "a b/c@d")
        nodes = [Settings(home=home / name, dsn=dsn) for name in ("one", "two")]
        servers = [await open_server(node) for node in nodes]
        for node in nodes:
            database = await connect(node)
            async with database.platform("test: hello") as connection:
                assert await connection.fetchval("select current_database()") == "crm"
            await database.close()
        for server in servers:
            assert server.embedded is None
            await server.stop()
        assert theirs.pid is not None
    finally:
        await theirs.stop()
