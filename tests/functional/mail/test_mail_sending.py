"""Messages to a real SMTP server: encrypted, refused, slow, away; and what is kept of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.config.types import LOCALES
from sivo.mail.post import Mail, Post
from sivo.mail.sender import MailSender
from sivo.mail.template import FIELDS, WITH_LINK, Kind
from sivo.mail.texts import TEXTS
from support.ground import Ground
from support.plane import Plane, open_plane
from support.smtp_world import SENDER, SmtpWorld, smtp_world

pytestmark = pytest.mark.asyncio(loop_scope="module")
TO = "ana@acme.example"
TOKEN = "canary-token-4711"


@dataclass
class Room:
    """A tenant, and mails on the virtual clock."""

    plane: Plane
    tenant: UUID
    clock: VirtualClock
    base: Settings

    def post(self, settings: Settings) -> Post:
        return Post(settings, self.plane.vault, self.clock)

    def sender(self, settings: Settings) -> MailSender:
        return MailSender(settings, self.plane.database, self.plane.vault, self.clock)

    async def put(self, settings: Settings, mail: Mail | None = None) -> None:
        post = self.post(settings)
        await post.ready(self.tenant)
        async with self.plane.database.tenant(self.tenant) as connection:
            await post.put(connection, self.tenant, mail or letter(Kind.INVITATION))

    async def rows(self) -> list[dict[str, Any]]:
        async with self.plane.database.tenant(self.tenant) as connection:
            return [dict(row) for row in await connection.fetch("select * from mail_message order by id")]


def letter(kind: Kind, language: str | None = None, **fields: Any) -> Mail:
    values = {name: f"<{name}>" for name in FIELDS[kind] - {"tenant"}}
    page, token = ("invitation", TOKEN) if kind in WITH_LINK else ("", "")
    return Mail(kind, **{"to": TO, "name": "Ana Ñúñez", "values": values, "language": language, "page": page,
                         "token": token, **fields})  # fmt: skip


@pytest_asyncio.fixture(loop_scope="module")
async def room(ground: Ground) -> AsyncIterator[Room]:
    plane = await open_plane(ground.settings, ground.clock, ground.database)
    yield Room(plane, await plane.tenant(), ground.clock, ground.settings)
    async with ground.database.platform("test: nothing waits for the next test") as connection:
        await connection.execute("delete from mail_message")


async def test_six_languages_over_starttls_as_the_standard_parser_reads_them(room: Room, smtp: SmtpWorld) -> None:
    settings = smtp.settings(room.base)
    for language in LOCALES:
        for kind in Kind:
            await room.put(settings, letter(kind, language))
    sender = room.sender(settings)
    while await sender.step():
        pass
    received = smtp.mailbox.received
    assert len(received) == len(LOCALES) * len(Kind)
    assert all(one.encrypted and one.sender == SENDER and one.recipients == [TO] for one in received)
    for language in LOCALES:
        mine = [one for one in received if one.message["Content-Language"] == language]
        assert len(mine) == len(Kind)
        for one in mine:
            message = one.message
            address = message["To"].addresses[0]
            assert (address.display_name, address.addr_spec) == ("Ana Ñúñez", TO)
            assert message["From"].addresses[0].addr_spec == SENDER
            assert message["Message-ID"].endswith("@sivo.example>")
            assert message["Auto-Submitted"] == "auto-generated"
            assert "Acme" in one.text and f'<html lang="{language}">' in one.html
        for kind in Kind:
            subject = TEXTS[language][kind].subject.partition("{")[0].strip()
            assert any(subject in one.message["Subject"] for one in mine), (language, kind)
    rows = await room.rows()
    assert {row["state"] for row in rows} == {"sent"}
    assert all(row["sealed"] is None for row in rows), "a link is a secret, and it was sent"


async def test_what_waits_is_sealed_and_what_was_sent_is_gone(room: Room, smtp: SmtpWorld) -> None:
    await room.put(smtp.settings(room.base))
    (row,) = await room.rows()
    text = repr(row)
    assert TOKEN not in text and TO not in text and "Ana" not in text
    assert row["sealed"] and TOKEN.encode() not in bytes(row["sealed"])


async def test_tls_from_the_first_byte_with_a_password_from_a_file(
    room: Room, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "password"
    secret.write_text("right horse\n")
    caplog.set_level(logging.DEBUG)
    async with smtp_world(tmp_path, security="tls", login=("mailer", "right horse")) as smtp:
        wrong = smtp.settings(room.base, smtp_user="mailer", smtp_password="wrong horse")
        wrong = Settings.model_validate(wrong.model_dump())
        await room.put(wrong)
        await room.sender(wrong).step()
        (row,) = await room.rows()
        assert (row["state"], row["last_code"], row["attempts"]) == ("pending", 535, 1)
        right = smtp.settings(room.base, smtp_user="mailer", smtp_password_file=secret)
        room.clock.advance(30)
        await room.sender(right).step()
        (mail,) = smtp.mailbox.received
        assert mail.encrypted and mail.user == "mailer"
    assert "wrong horse" not in repr(wrong)
    ours = "".join(record.getMessage() for record in caplog.records if record.name != "mail.log")  # the server's own
    seen = ours + "".join(capfd.readouterr()) + repr(await room.rows())
    assert "wrong horse" not in seen and "right horse" not in seen and TOKEN not in seen


@pytest.mark.parametrize("case", ["no starttls", "unknown authority"])
async def test_nothing_goes_out_in_the_clear_or_to_a_stranger(room: Room, tmp_path: Path, case: str) -> None:
    async with smtp_world(tmp_path, tls=case != "no starttls") as smtp:
        settings = smtp.settings(room.base, **({} if case == "no starttls" else {"smtp_ca": None}))
        await room.put(settings)
        await room.sender(settings).step()
        assert smtp.mailbox.received == []
        (row,) = await room.rows()
        assert row["state"] == "pending" and row["last_error"]
        if case == "no starttls":
            plain = smtp.settings(room.base, dangerous_smtp_plain=True)
            room.clock.advance(30)
            await room.sender(plain).step()
            assert [one.encrypted for one in smtp.mailbox.received] == [False]


async def test_a_server_that_is_down_is_asked_again_later(room: Room, smtp: SmtpWorld, tmp_path: Path) -> None:
    settings = smtp.settings(room.base)
    (tmp_path / "gone").mkdir()
    async with smtp_world(tmp_path / "gone") as gone:
        down = gone.settings(room.base)
    await room.put(settings)
    await room.sender(down).step()
    (row,) = await room.rows()
    assert (row["state"], row["attempts"]) == ("pending", 1)
    assert row["due_at"] == room.clock.now() + timedelta(seconds=30)
    assert not await room.sender(settings).step(), "not before it is due"
    room.clock.advance(30)
    assert await room.sender(settings).step()
    assert len(smtp.mailbox.received) == 1


async def test_refused_for_good_is_dead_with_the_reason_and_without_the_recipient(room: Room, smtp: SmtpWorld) -> None:
    smtp.mailbox.reply = lambda recipient: f"550 5.1.1 no such user {recipient}"
    settings = smtp.settings(room.base)
    await room.put(settings)
    await room.sender(settings).step()
    (row,) = await room.rows()
    assert (row["state"], row["last_code"], row["sealed"]) == ("dead", 550, None)
    assert "no such user" in row["last_error"] and TO not in row["last_error"]
    room.clock.advance(86_400 * 31)
    assert await room.sender(settings).expire() == 1
    assert await room.rows() == []


async def test_a_full_mailbox_is_tried_until_the_link_is_worth_nothing(room: Room, smtp: SmtpWorld) -> None:
    smtp.mailbox.reply = lambda recipient: "452 mailbox full"
    settings = smtp.settings(room.base)
    await room.put(settings, letter(Kind.PASSWORD_RESET, lasts=timedelta(hours=1)))
    sender = room.sender(settings)
    for _ in range(10):
        await sender.step()
        (row,) = await room.rows()
        if row["state"] != "pending":
            break
        room.clock.advance((row["due_at"] - room.clock.now()).total_seconds())
    assert (row["state"], row["attempts"], row["sealed"]) == ("dead", 5, None)
    assert "mailbox full" in row["last_error"]


async def test_a_slow_server_is_left_and_asked_again(room: Room, smtp: SmtpWorld) -> None:
    settings = smtp.settings(room.base, smtp_timeout_s=0.4)
    smtp.mailbox.delay_s = 1.5
    await room.put(settings)
    await room.sender(settings).step()
    (row,) = await room.rows()
    assert (row["state"], row["last_error"]) == ("pending", "the server did not answer in time")
    smtp.mailbox.delay_s = 0.0
    room.clock.advance(30)
    await room.sender(smtp.settings(room.base)).step()
    (row,) = await room.rows()
    assert row["state"] == "sent"


async def test_two_workers_send_each_message_once(room: Room, smtp: SmtpWorld) -> None:
    settings = smtp.settings(room.base)
    for number in range(6):
        await room.put(settings, letter(Kind.PASSWORD_CHANGED, to=f"p{number}@acme.example"))
    one = room.sender(settings)
    two = MailSender(settings, room.plane.database, room.plane.vault, room.clock, node="another")

    async def all_of(sender: MailSender) -> None:
        while await sender.step():
            pass

    await asyncio.gather(all_of(one), all_of(two))
    assert sorted(mail.recipients[0] for mail in smtp.mailbox.received) == [f"p{n}@acme.example" for n in range(6)]


async def test_without_a_server_nothing_waits(room: Room) -> None:
    await room.put(room.base)
    assert await room.rows() == []
    assert not await room.sender(room.base).step()


async def test_international_addresses(room: Room, smtp: SmtpWorld) -> None:
    settings = smtp.settings(room.base)
    await room.put(settings, letter(Kind.PASSWORD_CHANGED, "de", to="ana@münchen.example"))
    await room.put(settings, letter(Kind.PASSWORD_CHANGED, "de", to="jörg@acme.example"))
    await room.sender(settings).step()
    assert sorted(mail.recipients[0] for mail in smtp.mailbox.received) == [
        "ana@xn--mnchen-3ya.example",
        "jörg@acme.example",
    ]
