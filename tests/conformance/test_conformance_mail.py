"""The mail half of ``tenant.default_locale`` and ``tenant.dashboard_url``, changed by an admin over HTTP.

The observer is an SMTP server of another project (aiosmtpd) and the parser of the standard library. No value that is
set here is a shipped default, so a consumer that read the default would be seen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from support.mail_desk import PASSWORD, Desk, House, open_desk, open_house
from support.smtp_world import Received

pytestmark = pytest.mark.asyncio(loop_scope="module")
#: A few words of the invitation in each language, written down here and not read from the product.
WORDS = {
    "es": "te ha creado una cuenta",
    "en": "has made an account for you",
    "de": "ein Konto für Sie angelegt",
    "fr": "vous a créé un compte",
    "it": "ha creato un account per te",
    "pt": "criou uma conta para si",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(pg: Any) -> AsyncIterator[House]:
    async with open_house(pg) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def seen(house: House) -> Desk:
    return await open_desk(house)


async def change(seen: Desk, key: str, value: Any) -> None:
    answer = await seen.ask("PATCH", "/api/config", {key: value})
    assert answer.status_code == 200, answer.text


async def invited(seen: Desk, name: str, **fields: Any) -> Received:
    """The mail that an invitation causes."""
    body = {"email": seen.email(name), "name": name, **fields}
    answer = await seen.ask("POST", "/api/users/invite", body)
    assert answer.status_code == 201, answer.text
    await seen.work()
    assert seen.house.mailbox is not None
    (mail,) = seen.house.mailbox.to(body["email"])
    return mail


def language_of(mail: Received) -> str:
    found = [language for language, words in WORDS.items() if words in mail.text]
    assert len(found) == 1 and f'lang="{found[0]}"' in mail.html
    return found[0]


async def test_default_locale_is_the_language_of_mails_and_a_users_own_overrides_it(seen: Desk) -> None:
    assert language_of(await invited(seen, "shipped")) == "es"
    for language in ("de", "pt", "it", "fr", "en"):
        await change(seen, "tenant.default_locale", language)
        assert language_of(await invited(seen, f"p-{language}")) == language
    assert language_of(await invited(seen, "own", language="it")) == "it"


async def test_dashboard_url_is_the_host_of_links_in_mails(seen: Desk) -> None:
    shipped = await invited(seen, "before")
    assert shipped.link.startswith(f"https://{seen.host}/")
    await change(seen, "tenant.dashboard_url", f"desk.{seen.slug}.example")
    mail = await invited(seen, "after")
    assert mail.link.startswith(f"https://desk.{seen.slug}.example/invitation#token=")
    assert mail.link in mail.html and "sivocenter" not in mail.text
    for one in (shipped, mail):  # a link that is under way goes on working
        answer = await seen.post("/auth/invitation/accept", {"token": one.token, "password": PASSWORD})
        assert answer.status_code == 204
