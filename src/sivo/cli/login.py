"""``sivo login``: sign in to a platform over HTTP as a person, second factor included, for scripts.

On the machine itself nothing of this is needed: the other commands use the local socket, where the kernel says who
calls. Password and authenticator secret come from the terminal or the environment, never from the arguments, which
every user of the machine can read.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Annotated, Any
from urllib.parse import urlsplit

import pyotp
import typer

from sivo.cli.client import CliError, is_local, refusal
from sivo.cli.output import show

TIMEOUT_S = 30.0
PASSWORD = "SIVO_PASSWORD"  # noqa: S105 - the name of a variable
TOTP_SECRET = "SIVO_TOTP_SECRET"  # noqa: S105


def login(
    url: Annotated[str, typer.Argument(help="https://<host> of the platform or of the tenant's console.")],
    email: Annotated[str, typer.Option("--email", help="Who signs in.")],
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Slug; where the host does not say.")] = "",
) -> None:
    """Sign in over HTTP and print the tokens as JSON.

    The password comes from SIVO_PASSWORD, else from the terminal; codes come from an authenticator secret in
    SIVO_TOTP_SECRET, else from the terminal. A first login that must enrol a factor prints its secret and recovery
    codes, this one time.
    """
    place = urlsplit(url)
    if place.scheme != "https" and not (place.scheme == "http" and is_local(place.hostname or "")):
        raise CliError(f"a password goes to https:// only (http:// on this machine): {url}", 2)
    password = os.environ.get(PASSWORD) or _ask("Password: ")
    answer = _post(url, "/api/auth/login", {"email": email, "password": password, "tenant": tenant})
    if "mfa_token" in answer:
        finish = _enrol if answer["enrolment_required"] else _prove
        answer = finish(url, answer["mfa_token"])
    show(answer)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other: passwords and tokens are not carried elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _prove(url: str, token: str) -> dict[str, Any]:
    secret = os.environ.get(TOTP_SECRET)
    code = pyotp.TOTP(secret).now() if secret else _ask("Code of the authenticator app, or a recovery code: ")
    proof = {"code": code} if code.isdigit() else {"recovery_code": code}
    return _post(url, "/api/auth/mfa", proof, token)


def _enrol(url: str, token: str) -> dict[str, Any]:
    made = _post(url, "/api/auth/mfa/enrol/totp", {"name": "sivo login"}, token)
    if sys.stdin.isatty():
        print(f"Enter this in an authenticator app: {made['uri']}", file=sys.stderr)
        code = _ask("Its code: ")
    else:
        code = pyotp.TOTP(made["secret"]).at(time.time())
    tokens = _post(url, "/api/auth/mfa/enrol/totp/confirm", {"code": code}, token)
    return {**tokens, "totp_secret": made["secret"]}


def _ask(prompt: str) -> str:
    given = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise CliError(f"nothing was entered; set {PASSWORD} (and {TOTP_SECRET}), or use a terminal", 2)
    return given


def _post(url: str, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(url.rstrip("/") + path, json.dumps(body).encode(), headers)  # noqa: S310 - checked
    try:
        with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        raw = error.read()
        try:
            found = json.loads(raw)
        except ValueError:
            found = raw.decode("utf-8", "replace")
        raise CliError(refusal(error.code, found)) from error
    except (OSError, ValueError) as error:
        raise CliError(f"{url} does not answer as a SIVO platform ({error})", 3) from error
