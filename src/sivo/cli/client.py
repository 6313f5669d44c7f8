"""How the command line reaches the platform: HTTP over the Unix socket of the ``api`` role, or a URL with an API key.

The kernel tells ``api`` who is calling (SO_PEERCRED), so no password is asked on the machine itself; what is
changed is recorded with the author ``local:<uid>``. Never straight SQL.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import tarfile
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

TIMEOUT_S = 60.0
#: Exit status of a command whose change waits for approval now.
WAITS = 5


class CliError(Exception):
    """An error for the terminal; ``status`` becomes the exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True, slots=True)
class Answer:
    """Decoded JSON body and the headers of one answer."""

    body: Any
    headers: http.client.HTTPMessage


class Client:
    """Requests to the local ``api`` role; with ``url`` to a platform elsewhere, where ``key`` says who is asking."""

    def __init__(self, path: Path, url: str = "", key: str = "") -> None:
        self._path = path
        self._url = urlsplit(url) if url else None
        self._key = key

    @property
    def remote(self) -> bool:
        """Whether the platform is reached by URL: then the key belongs to somebody, and to their tenant."""
        return self._url is not None

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        tenant: UUID | None = None,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
        **query: str | int | list[str] | None,
    ) -> Answer:
        """One request. Raises CliError: 1 for a refusal, 3 when nobody answers, 5 when a change waits for approval."""
        sent = {"Accept": "application/json", **(headers or {})}
        if tenant is not None:
            sent["X-Tenant-Id"] = str(tenant)
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            sent["Content-Type"] = content_type
        wanted = {name: value for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(wanted, doseq=True)}" if wanted else path
        status, answer = self._exchange(method, target, payload, sent)
        if status >= 400:
            raise CliError(refusal(status, answer.body))
        waits = answer.body.get("change") if status == 202 and isinstance(answer.body, dict) else None
        if waits and waits["state"] == "pending":
            raise CliError(f"nothing was changed yet: change {waits['id']} waits for somebody's approval", WAITS)
        return answer

    def _exchange(self, method: str, target: str, payload: bytes | None, headers: dict[str, str]) -> tuple[int, Answer]:
        connection = self._connection()
        if self._key:
            headers = {**headers, "Authorization": f"Bearer {self._key}"}
        try:
            connection.request(method, target, body=payload, headers=headers)
            response = connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise CliError(self._silence(error), 3) from error
        finally:
            connection.close()
        return response.status, Answer(_decode(raw), response.headers)

    def _connection(self) -> http.client.HTTPConnection:
        if self._url is None:
            return _UnixConnection(self._path)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise CliError("SIVO_URL is not a URL such as https://sivo.example.com", 2)
        if self._url.scheme == "http" and not is_local(self._url.hostname):
            raise CliError(f"a key goes to https:// only (http:// on this machine): {self._url.geturl()}", 2)
        made = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        return made(self._url.hostname, self._url.port, timeout=TIMEOUT_S)

    def _silence(self, error: Exception) -> str:
        if self._url is not None:
            return f"the platform does not answer at {self._url.geturl()} ({error}); see SIVO_URL"
        return (
            f"the api role does not answer at {self._path} ({error}); start the platform with `sivo run`, "
            "or set SIVO_HOME to its data directory"
        )

    def tenant_id(self, name: str) -> UUID:
        """The id of the tenant called ``name``: its id or its slug."""
        try:
            return UUID(name)
        except ValueError:
            if not self.remote:
                return UUID(self.call("GET", f"/api/tenants/by-slug/{quote(name, safe='')}").body["id"])
        me = self.call("GET", "/api/me").body  # a key belongs to one tenant, and finds no other by name
        if me.get("tenant_id") is None or me.get("tenant_slug") != name:
            raise CliError(f"this API key does not belong to a tenant {name!r}")
        return UUID(me["tenant_id"])

    def download(self, path: str, to: Path, **query: str | None) -> int:
        """Write the tar that ``path`` answers to a new file of mode 0600; its size. Half a file is taken away again.

        Raises CliError: 1 for a refusal or an archive that was cut short, 2 when the file is there, 3 without answer.
        """
        wanted = {name: value for name, value in query.items() if value is not None}
        connection = self._connection()
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            file = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CliError(f"{to}: {error.strerror}", 2) from error
        whole = False
        try:
            with os.fdopen(file, "wb") as out:
                connection.request("GET", f"{path}?{urlencode(wanted)}" if wanted else path, headers=headers)
                response = connection.getresponse()
                if response.status >= 400:
                    raise CliError(refusal(response.status, _decode(response.read())))
                while piece := response.read(1 << 16):
                    out.write(piece)
            whole = _ends_with_manifest(to)
            if not whole:
                raise CliError("the archive was cut short; try again")
            return to.stat().st_size
        except (OSError, http.client.HTTPException) as error:
            raise CliError(self._silence(error), 3) from error
        finally:
            connection.close()
            if not whole:
                to.unlink(missing_ok=True)


def is_local(host: str) -> bool:
    """Whether ``host`` is this machine, so that what is said to it goes over no network."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _ends_with_manifest(path: Path) -> bool:
    try:
        with tarfile.open(path, "r:") as tar:
            return tar.getnames()[-1:] == ["manifest.json"]
    except tarfile.TarError:
        return False


def _decode(raw: bytes) -> Any:
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


def refusal(status: int, body: Any) -> str:
    """One line for the terminal from an answer of 400 or above."""
    if not isinstance(body, dict) or "code" not in body:
        return f"the platform answered {status}: {str(body)[:500]}"
    place = f" ({body['where']})" if body.get("where") else ""
    remedy = f"; {body['remedy']}" if body.get("remedy") else ""
    return f"{body['code']}: {body.get('detail', '')}{place}{remedy}"
