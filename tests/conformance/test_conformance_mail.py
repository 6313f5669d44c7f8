"""The mail half of ``tenant.default_locale`` and ``tenant.dashboard_url``, changed by an admin over HTTP.

The observer is an SMTP server of another project (aiosmtpd) and the parser of the standard library. No value that is
set here is a shipped default, so a consumer that read the default would be seen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.mail_desk import PASSWORD, Desk, desk
from support.smtp_world import Received, SmtpWorld, smtp_world

#: A few words of the invitation in each language, written down here and not read from the product.
WORDS = {
    "es": "te ha creado una cuenta",
    "en": "has made an account for you",
    "de": "ein Konto für Sie angelegt",
    "fr": "vous a créé un compte",
    "it": "ha creato un account per te",
    "pt": "criou uma conta para si",
}


@pytest.fixture
async def smtp(tmp_path: Path) -> AsyncIterator[SmtpWorld]:
    async with smtp_world(tmp_path) as world:
        yield world


@pytest.fixture
async def seen(smtp: SmtpWorld, settings: Settings, database: Database, clock: VirtualClock) -> AsyncIterator[Desk]:
    async with desk(smtp.settings(settings), database, clock) as made:
        yield made


async def change(seen: Desk, key: str, value: Any) -> None:
    answer = await seen.ask("PATCH", "/api/config", {key: value})
    assert answer.status_code == 200, answer.text


async def invited(seen: Desk, smtp: SmtpWorld, name: str, **fields: Any) -> Received:
    """The mail that an invitation causes."""
    body = {"email": f"{name}@acme.example", "name": name, **fields}
    answer = await seen.ask("POST", "/api/users/invite", body)
    assert answer.status_code == 201, answer.text
    await seen.work()
    (mail,) = smtp.mailbox.to(body["email"])
    return mail


def language_of(mail: Received) -> str:
    found = [language for language, words in WORDS.items() if words in mail.text]
    assert len(found) == 1 and f'lang="{found[0]}"' in mail.html
    return found[0]


async def test_default_locale_is_the_language_of_mails_and_a_users_own_overrides_it(
    seen: Desk, smtp: SmtpWorld
) -> None:
    assert language_of(await invited(seen, smtp, "shipped")) == "es"
    for language in ("de", "pt", "it", "fr", "en"):
        await change(seen, "tenant.default_locale", language)
        assert language_of(await invited(seen, smtp, f"p-{language}")) == language
    assert language_of(await invited(seen, smtp, "own", language="it")) == "it"


async def test_dashboard_url_is_the_host_of_links_in_mails(seen: Desk, smtp: SmtpWorld) -> None:
    shipped = await invited(seen, smtp, "before")
    assert shipped.link.startswith("https://acme.app.sivocenter.com/")
    await change(seen, "tenant.dashboard_url", "desk.acme.example")
    mail = await invited(seen, smtp, "after")
    assert mail.link.startswith("https://desk.acme.example/invitation#token=")
    assert mail.link in mail.html and "sivocenter" not in mail.text
    for one in (shipped, mail):  # a link that is under way goes on working
        answer = await seen.post("/auth/invitation/accept", {"token": one.token, "password": PASSWORD})
        assert answer.status_code == 204
