"""Browser sessions: where the refresh token stands, and what a page of another site can do with it (nothing)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from http.cookies import SimpleCookie

import httpx
import pytest

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
EMAIL = "sue@acme.example"
HOST = "acme.app.sivocenter.com"
PAGE = {"Host": HOST, "Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin", "X-Sivo-Session": "cookie"}
NAME = "__Host-sivo_refresh"


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        tenant = await running.tenant("acme")
        await running.user(tenant, EMAIL, PASSWORD, role="supervisor")
        yield running


async def login(api: RunningApi, **changes: str) -> httpx.Response:
    body = {"email": EMAIL, "password": PASSWORD}
    return await api.http.post("/api/auth/login", json=body, headers={**PAGE, **changes})


def cookie(answer: httpx.Response) -> SimpleCookie:
    return SimpleCookie(answer.headers["set-cookie"])


async def refresh(api: RunningApi, token: str, **changes: str) -> httpx.Response:
    headers = {**PAGE, "Cookie": f"{NAME}={token}", **changes}
    return await api.http.post("/api/auth/refresh", json={}, headers={k: v for k, v in headers.items() if v})


async def test_the_refresh_token_stands_in_a_host_cookie_and_nowhere_else(api: RunningApi) -> None:
    answer = await login(api)
    assert answer.status_code == 200
    assert "refresh_token" not in answer.json() and answer.json()["access_token"]
    morsel = cookie(answer)[NAME]
    assert (morsel["path"], morsel["domain"], morsel["samesite"]) == ("/", "", "strict")
    assert morsel["secure"] is True and morsel["httponly"] is True
    assert int(morsel["max-age"]) == 2_592_000
    assert morsel.value not in answer.text
    renewed = await refresh(api, morsel.value)
    assert renewed.status_code == 200 and "refresh_token" not in renewed.json()
    assert cookie(renewed)[NAME].value != morsel.value


async def test_the_cookie_alone_is_not_believed(api: RunningApi) -> None:
    token = cookie(await login(api))[NAME].value
    bare = await refresh(api, token, **{"X-Sivo-Session": ""})
    assert (bare.status_code, bare.json()["code"]) == (401, "REFRESH_REFUSED")
    for changes in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://{HOST}.evil.example"},
        {"Origin": "", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        refused = await refresh(api, token, **changes)
        assert (refused.status_code, refused.json()["code"]) == (403, "CROSS_SITE_REFUSED"), changes
    assert (await refresh(api, token)).status_code == 200, "none of it spent the token"


async def test_no_route_takes_a_cookie_for_a_token(api: RunningApi) -> None:
    answer = await login(api)
    token = cookie(answer)[NAME].value
    access = answer.json()["access_token"]
    for stolen in (f"{NAME}={token}", f"{NAME}={access}; access_token={access}"):
        tried = await api.http.get("/api/me", headers={**PAGE, "Cookie": stolen})
        assert tried.status_code == 401


async def test_no_other_origin_is_granted_a_preflight(api: RunningApi) -> None:
    headers = {
        "Origin": "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-sivo-session",
    }
    answer = await api.http.options("/api/auth/refresh", headers=headers)
    assert "access-control-allow-origin" not in answer.headers


async def test_signing_out_takes_the_cookie_away(api: RunningApi) -> None:
    answer = await login(api)
    bearer = {**PAGE, "Authorization": f"Bearer {answer.json()['access_token']}"}
    out = await api.http.post("/api/auth/logout", headers=bearer)
    assert out.status_code == 204
    assert cookie(out)[NAME]["max-age"] == "0"
    assert (await refresh(api, cookie(answer)[NAME].value)).status_code == 401


async def test_a_program_that_does_not_ask_gets_no_cookie(api: RunningApi) -> None:
    answer = await api.http.post("/api/auth/login", json={"email": EMAIL, "password": PASSWORD})
    assert "set-cookie" not in answer.headers and answer.json()["refresh_token"]
