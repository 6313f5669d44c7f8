"""Invitations, forgotten passwords and changes of address, from the request to the mail to the link and back."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Any
from uuid import UUID

import pytest

from support.mail_desk import PASSWORD, Desk, open_desk, open_house, token_of
from support.smtp_world import Mailbox

pytestmark = pytest.mark.asyncio(loop_scope="module")
NEW = "a battery of horses"


def invitation(office: Desk, **fields: Any) -> dict[str, Any]:
    return {"email": office.email("sue"), "name": "Sue", "role": "agent", "language": "en", **fields}


def refused(answer: Any) -> bool:
    return bool((answer.status_code, answer.json()["code"]) == (410, "LINK_REFUSED"))


async def audited(office: Desk) -> set[tuple[str, str]]:
    """Event and actor of the audit entries about links; the office itself was made at the local socket."""
    async with office.api.context.database.platform("test: audit entries") as connection:
        rows = await connection.fetch("select canonical from audit_inbox where tenant_id = $1", UUID(office.tenant))
    entries = [json.loads(row["canonical"]) for row in rows]
    wanted = ("invitation.link_made", "password.changed", "email.changed", "email.change_asked")
    return {(one["event"], one["actor"]["id"]) for one in entries if one["event"] in wanted} - {
        ("password.changed", "local:0")
    }


async def test_an_invitation_from_the_admin_to_the_first_login(office: Desk, mailbox: Mailbox) -> None:
    made = await office.ask("POST", "/api/users/invite", invitation(office))
    assert made.status_code == 201 and made.json()["mailed"] is True and made.json()["expires_in"] == 7 * 86_400
    assert "link" not in made.json()
    await office.work()
    (mail,) = mailbox.to(office.email("sue"))
    assert mail.link.startswith(f"https://{office.host}/invitation#token=") and len(mail.token) == 43
    short = await office.post("/auth/invitation/accept", {"token": mail.token, "password": "short"})
    assert short.json()["code"] == "PASSWORD_TOO_SHORT", "and the link is still good"
    assert (await office.login(office.email("sue"), PASSWORD)).status_code == 401
    taken = await office.post("/auth/invitation/accept", {"token": mail.token, "password": PASSWORD})
    assert taken.status_code == 204 and not taken.content, "no token is given: signing in comes next"
    assert (await office.login(office.email("sue"), PASSWORD)).status_code == 200
    assert refused(await office.post("/auth/invitation/accept", {"token": mail.token, "password": NEW}))
    user = made.json()["user_id"]
    assert await audited(office) == {("password.changed", user), ("invitation.link_made", office.admin_id)}
    again = await office.ask("POST", f"/api/users/{user}/invitation")
    assert again.json()["code"] == "USER_HAS_PASSWORD"
    assert [(one["template"], one["state"], one["about"]) for one in await office.states()] == [
        ("invitation", "sent", user)
    ]


async def test_an_invitation_that_fails_leaves_neither_user_nor_mail(office: Desk, mailbox: Mailbox) -> None:
    taken = await office.ask("POST", "/api/users/invite", invitation(office, email=office.admin))
    assert taken.status_code == 409
    root = await office.ask("POST", "/api/users/invite", invitation(office, role="superadmin"))
    assert root.json()["code"] == "INSUFFICIENT_ROLE"
    await office.work()
    assert mailbox.received == [] and await office.states() == []


async def test_links_run_out_die_with_newer_ones_and_serve_their_purpose_only(office: Desk, mailbox: Mailbox) -> None:
    user = (await office.ask("POST", "/api/users/invite", invitation(office))).json()["user_id"]
    await office.work()
    await office.ask("POST", f"/api/users/{user}/invitation")
    await office.work()
    old, new = (mail.token for mail in mailbox.to(office.email("sue")))
    for path, token in (("invitation/accept", old), ("password/reset", new), ("invitation/accept", "x" * 43)):
        assert refused(await office.post(f"/auth/{path}", {"token": token, "password": PASSWORD})), path
    assert refused(await office.post("/auth/email/confirm", {"token": new}))
    office.clock.advance(7 * 86_400)
    assert refused(await office.post("/auth/invitation/accept", {"token": new, "password": PASSWORD}))


async def test_of_two_racers_one_wins(office: Desk, mailbox: Mailbox) -> None:
    await office.ask("POST", "/api/users/invite", invitation(office))
    await office.work()
    (mail,) = mailbox.to(office.email("sue"))
    passwords = [f"{PASSWORD} {number}" for number in range(4)]
    answers = await asyncio.gather(
        *(office.post("/auth/invitation/accept", {"token": mail.token, "password": one}) for one in passwords)
    )
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [204, 410, 410, 410]
    winner = passwords[statuses.index(204)]
    assert (await office.login(office.email("sue"), winner)).status_code == 200


async def test_a_reset_ends_sessions_and_half_logins_and_asks_for_the_second_factor(
    office: Desk, mailbox: Mailbox
) -> None:
    assert (await office.ask("GET", "/api/me")).status_code == 200
    half = (await office.login(office.admin, PASSWORD)).json()["mfa_token"]
    assert (await office.post("/auth/password/forgot", {"email": office.admin.upper()})).status_code == 202
    await office.work()
    (mail,) = mailbox.to(office.admin)
    common = await office.post("/auth/password/reset", {"token": mail.token, "password": "password1"})
    assert common.json()["code"] == "PASSWORD_TOO_COMMON"
    assert (await office.post("/auth/password/reset", {"token": mail.token, "password": NEW})).status_code == 204
    assert (await office.ask("GET", "/api/me")).status_code == 401, "every session ended"
    bearer = {"Authorization": f"Bearer {half}"}
    over = await office.api.http.post("/api/auth/mfa/webauthn/options", headers=bearer)
    assert over.status_code == 401, "a login begun with the old password cannot be finished"
    assert (await office.login(office.admin, PASSWORD)).status_code == 401
    answer = (await office.login(office.admin, NEW)).json()
    assert "access_token" not in answer and "webauthn" in answer["methods"], "the second factor is still asked for"
    await office.work()
    notice = mailbox.to(office.admin)[-1]
    assert "https://" not in notice.text and len(mailbox.to(office.admin)) == 2


async def test_a_new_password_by_another_way_ends_open_links(office: Desk, mailbox: Mailbox) -> None:
    user = await office.api.user(office.tenant, office.email("sue"), PASSWORD, role="agent")
    await office.ask("POST", f"/api/users/{user}/reset")
    await office.work()
    (mail,) = mailbox.to(office.email("sue"))
    assert (await office.ask("POST", f"/api/users/{user}/password", {"password": NEW})).status_code == 204
    assert refused(await office.post("/auth/password/reset", {"token": mail.token, "password": "another horse"}))


async def test_forgot_answers_everybody_alike_and_mails_only_users_of_this_tenant(
    office: Desk, mailbox: Mailbox
) -> None:
    other = await office.api.tenant(f"globex-{office.slug}")
    await office.api.user(other, office.email("hank"), PASSWORD, role="agent")
    inactive = await office.api.user(office.tenant, office.email("gone"), PASSWORD, role="agent")
    await office.api.ok("PATCH", f"/api/users/{inactive}", {"active": False}, office.tenant)
    asked = [
        {"email": office.email("nobody")},
        {"email": office.email("hank"), "tenant": office.slug},
        {"email": office.admin, "tenant": "no-such-tenant"},
        {"email": office.email("gone")},
        {"email": office.admin, "tenant": office.slug},
        {"email": "' or 1=1 --"},
        {"email": "a\x00b"},
    ]
    answers = [await office.post("/auth/password/forgot", body) for body in asked]
    shapes = {(one.status_code, one.content, one.headers["ratelimit"], tuple(sorted(one.headers))) for one in answers}
    assert len(shapes) == 1 and answers[0].status_code == 202
    hosted = {"Host": f"globex-{office.slug}.app.sivocenter.com"}
    assert (await office.post("/auth/password/forgot", {"email": office.admin}, headers=hosted)).status_code == 202
    await office.work()
    assert [mail.recipients for mail in mailbox.received] == [[office.admin]]


async def test_forgot_does_the_same_work_for_known_and_unknown(office: Desk) -> None:
    async def took(email: str) -> float:
        began = time.perf_counter()
        answer = await office.api.http.post("/auth/password/forgot", json={"email": email})
        assert answer.status_code == 202
        return time.perf_counter() - began

    await office.api.ok("PUT", "/api/limits/login", {"subject": "network:127.0.0.1/32", "amount": 1000})
    pairs = [(await took(office.admin), await took(office.email("nobody"))) for _ in range(12)]
    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert 1 / 3 < known / unknown < 3
    async with office.api.context.database.platform("test: what is kept of forgotten passwords") as connection:
        rows = await connection.fetch("select * from forgotten_password")
    assert len(rows) == 24 and len({len(row["sealed"]) for row in rows}) == 2, "one row each, told apart by length only"
    assert office.admin not in repr(rows)


async def test_forgot_is_limited_by_address_and_by_account(office: Desk, mailbox: Mailbox) -> None:
    def ask(source: str) -> Any:
        return office.post("/auth/password/forgot", {"email": office.admin}, source=source)

    statuses = [(await ask("127.0.62.1")).status_code for _ in range(6)]
    assert statuses == [202] * 5 + [429]
    assert (await office.login(office.admin, PASSWORD)).status_code == 200, "logins are counted apart"
    for number in range(5):
        assert (await ask(f"127.0.63.{number + 1}")).status_code == 202
    await office.work()
    assert len(mailbox.to(office.admin)) == 5, "nobody's mailbox is filled from many addresses"
    office.clock.advance(901)
    assert (await ask("127.0.62.1")).status_code == 202
    await office.work()
    assert len(mailbox.to(office.admin)) == 6


async def test_a_request_that_waited_longer_than_its_link_would_live_is_dropped(office: Desk, mailbox: Mailbox) -> None:
    await office.post("/auth/password/forgot", {"email": office.admin})
    office.clock.advance(3600)
    await office.work()
    assert mailbox.received == []


async def test_a_new_address_is_confirmed_by_itself_and_told_to_the_old(office: Desk, mailbox: Mailbox) -> None:
    await office.api.user(office.tenant, office.email("sue"), PASSWORD, role="agent", language="fr")
    sue = await office.bearer(office.email("sue"))
    wanted = office.email("susan")
    asked = await office.api.http.post("/auth/email/change", json={"email": wanted.upper()}, headers=sue)
    assert (asked.status_code, asked.json()) == (202, {"status": "accepted"})
    await office.work()
    (link,), (notice,) = mailbox.to(wanted), mailbox.to(office.email("sue"))
    assert wanted in notice.text and "https://" not in notice.text
    assert link.message["Content-Language"] == notice.message["Content-Language"] == "fr"
    assert (await office.login(office.email("sue"), PASSWORD)).status_code == 200, "nothing has changed yet"
    assert (await office.post("/auth/email/confirm", {"token": link.token})).status_code == 204
    assert (await office.login(office.email("sue"), PASSWORD)).status_code == 401
    assert (await office.login(wanted, PASSWORD)).status_code == 200
    assert refused(await office.post("/auth/email/confirm", {"token": link.token}))
    await office.work()
    assert wanted in mailbox.to(office.email("sue"))[-1].text
    history = (await office.ask("GET", "/api/config/history")).json()["items"]
    assert any("confirmed the new address" in str(one) for one in history)


async def test_an_address_that_somebody_has_is_learned_by_its_owner_only(office: Desk, mailbox: Mailbox) -> None:
    await office.api.user(office.tenant, office.email("sue"), PASSWORD, role="agent")
    sue = await office.bearer(office.email("sue"))
    asked = await office.api.http.post("/auth/email/change", json={"email": office.admin}, headers=sue)
    free = await office.api.http.post("/auth/email/change", json={"email": office.email("free")}, headers=sue)
    assert (asked.status_code, asked.content) == (free.status_code, free.content)
    asked = await office.api.http.post("/auth/email/change", json={"email": office.admin}, headers=sue)
    await office.work()
    taken = await office.post("/auth/email/confirm", {"token": mailbox.to(office.admin)[-1].token})
    assert taken.json()["code"] == "ALREADY_EXISTS"
    assert (await office.login(office.email("sue"), PASSWORD)).status_code == 200
    assert refused(await office.post("/auth/email/confirm", {"token": mailbox.to(office.email("free"))[0].token}))


async def test_old_confirmations_want_a_fresh_login(office: Desk) -> None:
    await office.api.user(office.tenant, office.email("sue"), PASSWORD, role="agent")
    sue = await office.bearer(office.email("sue"))
    office.clock.advance(601)
    for headers, path, body in (
        (sue, "/auth/email/change", {"email": office.email("x")}),
        (office.headers, "/api/users/invite", invitation(office, email=office.email("y"))),
        (office.headers, f"/api/users/{office.admin_id}/reset", None),
    ):
        answer = await office.api.http.post(path, json=body, headers=headers)
        assert answer.json()["code"] == "STEP_UP_REQUIRED", path


async def test_without_a_mail_server_the_admin_gets_the_link_and_the_public_never(pg: Any) -> None:
    async with open_house(pg, mail=False) as house:
        await links_are_shown(await open_desk(house))


async def links_are_shown(quiet: Desk) -> None:
    made = (await quiet.ask("POST", "/api/users/invite", invitation(quiet))).json()
    assert made["mailed"] is False
    token = token_of(made["link"])
    assert (await quiet.post("/auth/invitation/accept", {"token": token, "password": PASSWORD})).status_code == 204
    reset = (await quiet.ask("POST", f"/api/users/{made['user_id']}/reset")).json()
    assert reset["link"].startswith(f"https://{quiet.host}/password-reset#token=")
    body = {"token": token_of(reset["link"]), "password": NEW}
    assert (await quiet.post("/auth/password/reset", body)).status_code == 204
    forgot = await quiet.post("/auth/password/forgot", {"email": quiet.email("sue")})
    assert (forgot.status_code, forgot.json()) == (202, {"status": "accepted"})
    await quiet.work()
    assert await quiet.states() == []
    sue = await quiet.bearer(quiet.email("sue"), NEW)
    change = await quiet.api.http.post("/auth/email/change", json={"email": quiet.email("x")}, headers=sue)
    assert (change.status_code, change.json()["code"]) == (409, "MAIL_NOT_CONFIGURED")


async def test_a_mail_waits_for_the_worker_with_the_user_it_is_about(office: Desk, mailbox: Mailbox) -> None:
    """The row is written in the change-set's own transaction, and a user's erasure takes links along."""
    user = (await office.ask("POST", "/api/users/invite", invitation(office))).json()["user_id"]
    (waiting,) = await office.states()
    assert (waiting["state"], waiting["about"]) == ("pending", user)
    assert office.email("sue") not in str(waiting)
    await office.api.ok("DELETE", f"/api/users/{user}", tenant=office.tenant)
    await office.work()
    (mail,) = mailbox.to(office.email("sue"))
    assert refused(await office.post("/auth/invitation/accept", {"token": mail.token, "password": PASSWORD}))
