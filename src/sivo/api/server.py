"""uvicorn on two doors: TCP for the world, a Unix socket with peer credentials for the local command line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sivo.base.errors import SivoError
from sivo.identity.authentication import PEER_UID

_UCRED = struct.Struct("3i")  # pid, uid, gid: struct ucred of unix(7)


def peer_uid(connection: socket.socket) -> int:
    """User id of the process at the other end of a connected Unix socket (SO_PEERCRED, unix(7))."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(raw)[1])


class LocalProtocol(HttpToolsProtocol):
    """HTTP/1.1 on the Unix socket; adds the peer's uid to the state of every request of the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = cast(socket.socket, transport.get_extra_info("socket"))
        self.app_state = {**self.app_state, PEER_UID: peer_uid(connection)}


def bind_local(path: Path) -> socket.socket:
    """A listening Unix socket of mode 0600 in a directory of mode 0700; a stale file is replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        raise SivoError(
            "UNAVAILABLE",
            f"cannot open the local socket {path}: {error}",
            where="SIVO_HOME",
            remedy="a path of more than 100 characters is too long for a Unix socket",
        ) from error
    finally:
        os.umask(previous)
    return listener


def bind_tcp(host: str, port: int) -> socket.socket:
    """A bound TCP socket. Raises UNAVAILABLE naming address and setting when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named: without it asyncio would not turn Nagle's algorithm off on accepted connections, and
    # every answer on a kept connection would wait for the client's delayed acknowledgement (40 ms).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        return listener
    except OSError as error:
        listener.close()
        raise SivoError(
            "UNAVAILABLE",
            f"cannot listen on {host}:{port}: {error.strerror}",
            where="SIVO_HTTP_HOST, SIVO_HTTP_PORT",
            remedy="choose another port, or end what uses this one",
        ) from error


class ApiServer(uvicorn.Server):
    """A uvicorn server that also listens on a Unix socket and leaves signals to the role that runs it.

    Binds both doors when it is made; raises UNAVAILABLE when the TCP address cannot be had.
    """

    def __init__(self, app: FastAPI, host: str, port: int, local_socket: Path) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # the client address is ours to judge: sivo.identity.client_address
            timeout_graceful_shutdown=5,
        )
        super().__init__(config)
        self._tcp = bind_tcp(host, port)
        self._local = bind_local(local_socket)
        #: Set when both doors are open.
        self.opened = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open both doors."""
        await super().startup([self._tcp])
        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_unix_server(self._local_protocol, sock=self._local))
        self.opened.set()

    def _local_protocol(self) -> LocalProtocol:
        return LocalProtocol(config=self.config, server_state=self.server_state, app_state=dict(self.lifespan.state))
