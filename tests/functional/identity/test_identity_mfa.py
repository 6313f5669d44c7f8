"""Second factors over real HTTP: pyotp is the authenticator app, a software key is the browser's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt as pyjwt
import pyotp
import pytest
from fastapi.routing import iter_route_contexts

from sivo.api.app import create_app
from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.authenticator import Authenticator
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
EMAIL = "ana@acme.example"


class Browser:
    """Somebody who signs in step by step."""

    def __init__(self, api: RunningApi, clock: VirtualClock) -> None:
        self.api, self.clock = api, clock
        self.app = pyotp.TOTP("A" * 32)
        self.tenant = ""

    async def post(self, path: str, token: str, body: Any = None) -> httpx.Response:
        return await self.api.http.post(path, json=body, headers={"Authorization": f"Bearer {token}"})

    async def password(self) -> dict[str, Any]:
        answer = await self.api.http.post("/api/auth/login", json={"email": EMAIL, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def code(self, drift: int = 0) -> str:
        return self.app.at(self.clock.now(), counter_offset=drift)

    async def enrol(self) -> dict[str, Any]:
        """First login: an authenticator app; the tokens with recovery codes."""
        half = (await self.password())["mfa_token"]
        secret = (await self.post("/api/auth/mfa/enrol/totp", half, {})).json()
        self.app = pyotp.parse_uri(secret["uri"])  # type: ignore[assignment]
        assert self.app.secret == secret["secret"] and self.app.name == EMAIL
        done = await self.post("/api/auth/mfa/enrol/totp/confirm", half, {"code": self.code()})
        assert done.status_code == 200, done.text
        return dict(done.json())

    async def me(self, token: str) -> int:
        answer = await self.api.http.get("/api/me", headers={"Authorization": f"Bearer {token}"})
        return answer.status_code


@pytest.fixture
async def ana(settings: Settings, database: Database, clock: VirtualClock) -> AsyncIterator[Browser]:
    async with running_api(settings, database, clock) as api:
        browser = Browser(api, clock)
        browser.tenant = await api.tenant("acme")
        await api.user(browser.tenant, EMAIL, PASSWORD)
        await api.ok("PUT", "/api/limits/login", {"amount": 1000})
        yield browser


async def test_an_admin_gets_no_full_token_before_a_second_factor(ana: Browser) -> None:
    answer = await ana.password()
    assert set(answer) == {"mfa_token", "expires_in", "methods", "enrolment_required"}
    assert (answer["methods"], answer["enrolment_required"]) == ([], True)
    claims = pyjwt.decode(answer["mfa_token"], options={"verify_signature": False})
    assert (claims["typ"], claims["aud"]) == ("mfa", "sivo-mfa")
    assert "role" not in claims and "sid" not in claims
    done = await ana.enrol()
    assert await ana.me(done["access_token"]) == 200
    assert len(done["recovery_codes"]) == 8


async def test_a_half_signed_in_token_opens_no_other_door(ana: Browser) -> None:
    half = (await ana.password())["mfa_token"]
    own = {path for path in (str(one.path) for one in _routes(ana)) if path.startswith("/api/auth/mfa")}
    assert len(own) == 6
    open_ = own | {"/healthz", "/readyz", "/.well-known/jwks.json", "/api/openapi.json"}
    open_ |= {"/api/auth/login", "/auth/login", "/api/auth/refresh", "/auth/refresh", "/api/public/leads"}
    links = ("password/forgot", "password/reset", "invitation/accept", "email/confirm")
    open_ |= {f"{prefix}/auth/{link}" for prefix in ("", "/api") for link in links}
    tried = 0
    for route in _routes(ana):
        if str(route.path) in open_:
            continue
        for method in sorted((route.methods or set()) - {"HEAD"}):
            headers = {"Authorization": f"Bearer {half}"}
            answer = await ana.api.http.request(method, str(route.path), headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED"), (method, route.path)
            tried += 1
    assert tried > 40


def _routes(ana: Browser) -> list[Any]:
    return [one for one in iter_route_contexts(create_app(ana.api.context).routes) if one.methods]


async def test_no_token_but_a_half_signed_in_one_finishes_a_login(ana: Browser) -> None:
    full = (await ana.enrol())["access_token"]
    for token in (full, "not-a-token"):
        for path in ("/api/auth/mfa", "/api/auth/mfa/enrol/totp", "/api/auth/mfa/webauthn/options"):
            answer = await ana.post(path, token, {})
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED"), path
    without = await ana.api.http.post("/api/auth/mfa", json={})
    assert without.status_code == 401


async def test_every_step_counts_once_and_one_step_of_drift_is_forgiven(ana: Browser, clock: VirtualClock) -> None:
    await ana.enrol()
    half = (await ana.password())["mfa_token"]
    replayed = await ana.post("/api/auth/mfa", half, {"code": ana.code()})
    assert (replayed.status_code, replayed.json()["code"]) == (401, "MFA_FAILED"), "spent by the enrolment"
    assert (await ana.post("/api/auth/mfa", half, {"code": ana.code(2)})).status_code == 401
    ahead = ana.code(1)
    assert (await ana.post("/api/auth/mfa", half, {"code": ahead})).status_code == 200
    again = (await ana.password())["mfa_token"]
    clock.advance(30)
    assert (await ana.post("/api/auth/mfa", again, {"code": ahead})).status_code == 401, "its own step, but spent"
    clock.advance(60)
    assert (await ana.post("/api/auth/mfa", again, {"code": ana.code(-1)})).status_code == 200
    assert (await ana.post("/api/auth/mfa", again, {"code": ana.code()})).status_code == 401, "that login is done"


async def test_who_has_a_factor_cannot_enrol_another_with_a_password_alone(ana: Browser) -> None:
    await ana.enrol()
    half = (await ana.password())["mfa_token"]
    for path, body in (
        ("totp", {}),
        ("totp/confirm", {"code": "000000"}),
        ("webauthn/options", None),
        ("webauthn", {"credential": {}}),
    ):
        answer = await ana.post(f"/api/auth/mfa/enrol/{path}", half, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "MFA_ALREADY_ENROLLED"), path


async def test_recovery_codes_serve_once_each(ana: Browser) -> None:
    codes = (await ana.enrol())["recovery_codes"]
    for code in codes[:2]:
        half = await ana.password()
        assert half["methods"] == ["totp", "recovery"]
        assert (await ana.post("/api/auth/mfa", half["mfa_token"], {"recovery_code": code.upper()})).status_code == 200
        again = (await ana.password())["mfa_token"]
        assert (await ana.post("/api/auth/mfa", again, {"recovery_code": code})).status_code == 401


async def test_codes_cannot_be_tried_out(ana: Browser) -> None:
    await ana.enrol()
    half = (await ana.password())["mfa_token"]
    answers = [await ana.post("/api/auth/mfa", half, {"code": f"{number:06}"}) for number in range(6)]
    assert [answer.json()["code"] for answer in answers] == ["MFA_FAILED"] * 5 + ["LOGIN_LOCKED"]


async def test_a_right_password_does_not_reset_the_count_of_wrong_codes(ana: Browser) -> None:
    await ana.enrol()
    codes = []
    for number in range(5):
        half = (await ana.password())["mfa_token"]
        codes.append((await ana.post("/api/auth/mfa", half, {"code": f"{number:06}"})).json()["code"])
    assert codes == ["MFA_FAILED"] * 5
    locked = await ana.api.http.post("/api/auth/login", json={"email": EMAIL, "password": PASSWORD})
    assert locked.json()["code"] == "LOGIN_LOCKED"


async def test_an_unfinished_login_ends_after_ten_minutes(ana: Browser, clock: VirtualClock) -> None:
    await ana.enrol()
    half = (await ana.password())["mfa_token"]
    clock.advance(601)
    assert (await ana.post("/api/auth/mfa", half, {"code": ana.code()})).status_code == 401


async def test_a_security_key_signs_in_and_only_it(ana: Browser) -> None:
    half = (await ana.password())["mfa_token"]
    key = Authenticator()
    options = (await ana.post("/api/auth/mfa/enrol/webauthn/options", half)).json()
    assert options["rp"]["id"] == "acme.app.sivocenter.com"
    done = await ana.post("/api/auth/mfa/enrol/webauthn", half, {"credential": key.create(options)})
    assert done.status_code == 200 and len(done.json()["recovery_codes"]) == 8

    async def attempt(with_key: Authenticator, replay: dict[str, Any] | None = None) -> int:
        token = (await ana.password())["mfa_token"]
        asked = (await ana.post("/api/auth/mfa/webauthn/options", token)).json()
        credential = replay or with_key.get(asked)
        captured.append(credential)
        return (await ana.post("/api/auth/mfa", token, {"credential": credential})).status_code

    captured: list[dict[str, Any]] = []
    assert await attempt(key) == 200
    assert await attempt(key, captured[0]) == 401, "an answer to an older challenge"
    assert await attempt(Authenticator(id=key.id, count=10)) == 401, "another private key"
    assert await attempt(Authenticator(key=key.key, id=key.id, origin="https://evil.example")) == 401, "another page"
    key.count = 0
    assert await attempt(key) == 401, "a counter that went back: a cloned key"


async def test_the_key_of_the_tenant_decides_now(ana: Browser) -> None:
    await ana.api.user(ana.tenant, "sue@acme.example", PASSWORD, role="supervisor")
    login = {"email": "sue@acme.example", "password": PASSWORD}
    token = (await ana.api.http.post("/api/auth/login", json=login)).json()["access_token"]
    roles = ["admin", "superadmin", "supervisor"]
    await ana.api.ok("PATCH", "/api/config", {"auth.mfa_required_roles": roles}, ana.tenant)
    assert "mfa_token" in (await ana.api.http.post("/api/auth/login", json=login)).json()
    import asyncio

    async with asyncio.timeout(3):
        while await ana.me(token) != 401:
            await asyncio.sleep(0.02)
    await ana.api.ok("PATCH", "/api/config", {"auth.mfa_required_roles": ["superadmin"]}, ana.tenant)
    assert "access_token" in (await ana.password()), "an admin who has no factor"


async def test_dangerous_actions_want_the_factor_again_after_ten_minutes(ana: Browser, clock: VirtualClock) -> None:
    token = (await ana.enrol())["access_token"]
    assert (await ana.post("/api/me/recovery-codes", token)).status_code == 200
    clock.advance(601)
    refused = await ana.post("/api/me/recovery-codes", token)
    assert (refused.status_code, refused.json()["code"]) == (403, "STEP_UP_REQUIRED")
    by_password = await ana.post("/api/auth/step-up", token, {"password": PASSWORD})
    assert by_password.json()["code"] == "MFA_FAILED", "who has a factor shows it"
    assert (await ana.post("/api/auth/step-up", token, {"code": "000000"})).status_code == 401
    assert (await ana.post("/api/auth/step-up", token, {"code": ana.code()})).status_code == 200
    assert (await ana.post("/api/me/recovery-codes", token)).status_code == 200
    reasons = [one["diff"]["reason"]["to"] for one in await ana.api.logged(ana.tenant, "step_up.failed")]
    assert reasons == ["MFA_FAILED", "MFA_FAILED"]
    assert len(await ana.api.logged(ana.tenant, "step_up.confirmed")) == 1


async def test_the_last_factor_of_a_role_that_needs_one_stays(ana: Browser) -> None:
    token = (await ana.enrol())["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    (factor,) = (await ana.api.http.get("/api/me/factors", headers=headers)).json()["items"]
    assert factor["kind"] == "totp" and "secret" not in str(factor)
    path = f"/api/me/factors/{factor['id']}"
    assert (await ana.api.http.delete(path, headers=headers)).status_code == 422
    made = (await ana.post("/api/me/factors/webauthn/options", token)).json()
    sent = {"credential": Authenticator().create(made["options"]), "ceremony": made["ceremony"]}
    assert (await ana.post("/api/me/factors/webauthn", token, sent)).json() == {"recovery_codes": []}
    assert (await ana.api.http.delete(path, headers=headers)).status_code == 204


async def test_a_lost_phone_is_reset_by_the_operator(ana: Browser) -> None:
    token = (await ana.enrol())["access_token"]
    user = pyjwt.decode(token, options={"verify_signature": False})["sub"]
    assert await ana.api.ok("DELETE", f"/api/users/{user}/factors", tenant=ana.tenant) == {"removed": 1}
    assert await ana.me(token) == 401
    assert (await ana.password())["enrolment_required"]


async def test_secrets_of_factors_are_sealed(ana: Browser, database: Database) -> None:
    codes = (await ana.enrol())["recovery_codes"]
    async with database.platform("test: look at factors") as connection:
        row = str(await connection.fetch("select f::text as row from factor f"))
        spent = str(await connection.fetch("select c::text as row from recovery_code c"))
    assert ana.app.secret not in row
    assert codes[0] not in spent and codes[0].replace("-", "") not in spent
