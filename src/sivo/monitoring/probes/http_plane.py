"""Probes over HTTP, as a browser does it: sign in and read through the TCP door; open the dashboard's page."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

from sivo.base.settings import Settings
from sivo.monitoring.probes.account import ProbeAccount
from sivo.monitoring.probes.finding import DOWN, NOT_INSTALLED, UP, Finding

TIMEOUT_S = 5.0
#: Signing in is limited to 5 in 15 minutes for an address: a login serves several reads, and comes from an address of
#: its own where the platform is on loopback, so that it takes nobody's place.
LOGIN_EVERY_S = 300.0
_SOURCE = "127.0.0.9"
_WILDCARDS = ("0.0.0.0", "")  # noqa: S104 - recognised, not bound here


class HttpPlane:
    """Keeps its access token between probes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._token = ""
        self._signed_in = -LOGIN_EVERY_S

    def api(self, account: ProbeAccount) -> Finding:
        """Sign in (where the last login is old) and read who we are and the calls. Blocks."""
        try:
            if time.monotonic() - self._signed_in >= LOGIN_EVERY_S:
                self._token = ""
                body = {"email": account.email, "password": account.password, "tenant": account.tenant}
                status, answer = self._ask(account, "POST", "/api/auth/login", body)
                if status != 200 or "access_token" not in answer:
                    return Finding("api", DOWN, f"the login was answered {status} {_code(answer)}".strip())
                self._token, self._signed_in = str(answer["access_token"]), time.monotonic()
            status, me = self._ask(account, "GET", "/api/me")
            if status == 200 and me.get("email") == account.email:
                status, answer = self._ask(account, "GET", "/api/calls?limit=1")
            if status != 200:
                self._signed_in = -LOGIN_EVERY_S
                return Finding("api", DOWN, f"a read was answered {status}")
        except (OSError, http.client.HTTPException) as error:
            return Finding("api", DOWN, f"no answer: {error}")
        return Finding("api", UP, "signed in and read")

    def dashboard(self, account: ProbeAccount) -> Finding:
        """The first page on the tenant's host. 404: the API is there, but no console is installed. Blocks."""
        try:
            status, answer = self._ask(account, "GET", "/", accept="text/html")
        except (OSError, http.client.HTTPException) as error:
            return Finding("dashboard", DOWN, f"no answer: {error}")
        if status == 404:
            return Finding("dashboard", NOT_INSTALLED, f"{account.app_domain} answers, without a console")
        page = isinstance(answer, str) and "<html" in answer[:2000].lower()
        if status != 200 or not page:
            return Finding("dashboard", DOWN, f"the page was answered {status}")
        return Finding("dashboard", UP, f"{account.app_domain} shows its page")

    def _ask(
        self, account: ProbeAccount, method: str, path: str, body: Any = None, accept: str = "application/json"
    ) -> tuple[int, Any]:
        host = "127.0.0.1" if self._settings.http_host in _WILDCARDS else self._settings.http_host
        source = (_SOURCE, 0) if host.startswith("127.") else None
        connection = http.client.HTTPConnection(
            host, self._settings.http_port, timeout=TIMEOUT_S, source_address=source
        )
        headers = {"Host": account.app_domain, "Accept": accept, "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            raw = response.read(1 << 20)
        finally:
            connection.close()
        try:
            return response.status, json.loads(raw)
        except ValueError:
            return response.status, raw.decode("utf-8", "replace")


def _code(answer: Any) -> str:
    return str(answer.get("code", answer.get("status", ""))) if isinstance(answer, dict) else ""
