"""From nothing to a usable database: server, roles, schema, and the DSN that the roles of this node connect with."""

from __future__ import annotations

import hmac
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import asyncpg

from sivo.base.settings import Settings
from sivo.db import secret_file
from sivo.db.connect import app_dsn_file
from sivo.db.embedded import EmbeddedPostgres
from sivo.db.migrate import migrate

#: Roles without login that the three scopes switch to.
SCOPE_ROLES = ("sivo_tenant", "sivo_directory", "sivo_platform")

_LOCK = "select pg_advisory_xact_lock(7312901)"


class Server:
    """A prepared database: ``owner_dsn`` for migrations and backup, ``app_dsn`` for the roles of this node."""

    def __init__(self, owner_dsn: str, app_dsn: str, embedded: EmbeddedPostgres | None) -> None:
        self.owner_dsn = owner_dsn
        self.app_dsn = app_dsn
        self.embedded = embedded

    async def stop(self) -> None:
        """Stop the embedded server, if it is ours; an operator's server is left alone."""
        if self.embedded is not None:
            await self.embedded.stop()


async def open_server(settings: Settings) -> Server:
    """Start the embedded server (or take ``SIVO_DSN``), prepare it, and write the app DSN for the other processes.

    Raises :class:`SivoError` with the codes of :meth:`EmbeddedPostgres.start`, SCHEMA_TOO_NEW, or UNAVAILABLE.
    """
    embedded = None
    owner_dsn = settings.dsn
    if not owner_dsn:
        embedded = EmbeddedPostgres(settings)
        owner_dsn = await embedded.start()
    try:
        app_dsn = await prepare(owner_dsn, _app_password(settings))
        secret_file.write(app_dsn_file(settings), app_dsn)
    except BaseException:
        if embedded is not None:
            await embedded.stop()
        raise
    return Server(owner_dsn, app_dsn, embedded)


def _app_password(settings: Settings) -> str:
    """Password of ``sivo_app``: for an operator's server the same on every node, since it follows from the DSN."""
    owner_password = urlsplit(settings.dsn).password if settings.dsn else None
    if owner_password:
        return hmac.digest(unquote(owner_password).encode(), b"sivo_app", "sha256").hex()
    return secret_file.password(settings.home.absolute() / "db-app-password")


async def make_roles(owner_dsn: str, settings: Settings) -> None:
    """The roles alone, for a database whose schema comes from a backup."""
    await _make_roles(owner_dsn, _app_password(settings))


async def prepare(owner_dsn: str, app_password: str) -> str:
    """Make the roles, run the migrations, and return the DSN of the login role ``sivo_app``. Idempotent."""
    await _make_roles(owner_dsn, app_password)
    await migrate(owner_dsn)
    return with_user(owner_dsn, "sivo_app", app_password)


def with_user(dsn: str, user: str, password: str) -> str:
    """``dsn`` with another user and password; host, port, database and options stay."""
    parts = urlsplit(dsn)
    hosts = parts.netloc.rpartition("@")[2]
    query = [(name, value) for name, value in parse_qsl(parts.query) if name not in ("user", "password")]
    netloc = f"{quote(user, safe='')}:{quote(password, safe='')}@{hosts}"
    return urlunsplit((parts.scheme, netloc, parts.path, urlencode(query), ""))


async def _make_roles(owner_dsn: str, app_password: str) -> None:
    connection = await asyncpg.connect(owner_dsn, timeout=10)
    try:
        async with connection.transaction():
            await connection.execute(_LOCK)
            known = {row["rolname"] for row in await connection.fetch("select rolname from pg_roles")}
            for role in SCOPE_ROLES:
                if role not in known:
                    await connection.execute(f"create role {role} nologin noinherit nosuperuser nobypassrls")
            if "sivo_app" not in known:
                await connection.execute("create role sivo_app login noinherit nosuperuser nobypassrls")
            verifier = await connection.fetchval("select quote_literal($1::text)", app_password)
            await connection.execute(f"alter role sivo_app password {verifier}")
            await connection.execute(f"grant {', '.join(SCOPE_ROLES)} to sivo_app")
            # The owner may act as sivo_platform: that is how a backup reads all rows without BYPASSRLS.
            await connection.execute("grant sivo_platform to current_user")
            database = await connection.fetchval("select quote_ident(current_database())")
            await connection.execute(f"grant connect on database {database} to sivo_app")
    finally:
        await connection.close()
