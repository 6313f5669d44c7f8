"""The SIP realm of one canary with the credentials of the other, over a real socket."""

from __future__ import annotations

import asyncio

from sivo.base.settings import Settings
from sivo.isolation.canaries import EXTENSION, Canary
from sivo.isolation.doors import is_loopback, loopback
from sivo.isolation.findings import Findings
from sivo.isolation.sip_phone import Account, SipAnswer, SipPhone

SECTION = "sip"
#: Seconds that the call role may take to hear of new extensions.
SPREAD_S = 20.0
#: An extension that neither canary has.
_UNKNOWN = "299"


async def probe(settings: Settings, attacker: Canary, owner: Canary, findings: Findings) -> None:
    """REGISTER, INVITE and OPTIONS in the owner's domain, with what the attacker has."""
    host = settings.sip_host
    served = "127.0.0.1" if host in ("0.0.0.0", "") else "::1" if host == "::" else host  # noqa: S104
    source = loopback() if is_loopback(served) and ":" not in served else None
    phone = await SipPhone.open((served, settings.sip_port), source)
    try:
        own = Account(EXTENSION, attacker.domain, attacker.sip_password)
        if not await _registers(phone, own):
            findings.uncovered(SECTION, "REGISTER", "the attacker's own phone cannot register: is the call role up?")
            return
        theirs = Account(EXTENSION, owner.domain, owner.sip_password)
        if not await _registers(phone, theirs):
            findings.uncovered(SECTION, "REGISTER", "the owner's phone cannot register, so a refusal proves nothing")
            return
        await _attack(phone, attacker, owner, findings)
        for account in (own, theirs):
            await _register(phone, account, expires=0)
    finally:
        phone.close()


async def _registers(phone: SipPhone, account: Account) -> bool:
    deadline = asyncio.get_running_loop().time() + SPREAD_S
    while asyncio.get_running_loop().time() < deadline:
        # Only a challenge shows that the extension may be known by now; wrong passwords are not what is tried here.
        if (await _register(phone, account)).status == 200:
            return True
        await asyncio.sleep(1.0)
    return False


async def _register(phone: SipPhone, account: Account, expires: int = 60) -> SipAnswer:
    uri = f"sip:{account.domain}"
    first = await phone.ask("REGISTER", account, uri, expires=expires)
    if first.challenge is None:
        return first
    return await phone.ask("REGISTER", account, uri, challenge=first.challenge, expires=expires)


async def _attack(phone: SipPhone, attacker: Canary, owner: Canary, findings: Findings) -> None:
    intruder = Account(EXTENSION, owner.domain, attacker.sip_password)
    own = Account(EXTENSION, attacker.domain, attacker.sip_password)
    registrar = f"sip:{owner.domain}"
    first = await phone.ask("REGISTER", intruder, registrar)
    home = await phone.ask("REGISTER", Account(EXTENSION, attacker.domain, ""), f"sip:{attacker.domain}")
    if first.challenge is None or home.challenge is None:
        findings.uncovered(SECTION, "REGISTER", "no challenge, so no credentials could be tried")
        return
    tries = {
        "REGISTER with the attacker's password": await phone.ask(
            "REGISTER", intruder, registrar, challenge=first.challenge
        ),
        "REGISTER with credentials and nonce of the attacker's realm": await phone.ask(
            "REGISTER", intruder, registrar, challenge=home.challenge, realm=attacker.domain
        ),
        "INVITE to the owner's extension": await _call(phone, own, EXTENSION, owner.domain),
        "INVITE as the owner's extension": await _call(phone, intruder, EXTENSION, owner.domain),
    }
    for name, answer in tries.items():
        faults = [] if answer.status in (0, *range(400, 700)) else [f"answered {answer.status}"]
        findings.judge(SECTION, name, faults, str(answer.status or "unheard"))
    home_call = await _call(phone, own, _UNKNOWN, attacker.domain)
    if home_call.status not in range(400, 700):
        findings.uncovered(SECTION, "INVITE", f"a call at home was answered {home_call.status}: calls are not heard")
    await _alike(phone, own, intruder, owner, findings)


async def _alike(phone: SipPhone, own: Account, intruder: Account, owner: Canary, findings: Findings) -> None:
    """An extension of the owner's is answered as one that nobody has."""
    for method, account in (("REGISTER", intruder), ("OPTIONS", own)):
        seen = []
        for number in (EXTENSION, _UNKNOWN):
            if method == "REGISTER":
                asked = Account(number, account.domain, account.password)
                seen.append((await phone.ask(method, asked, f"sip:{owner.domain}")).status)
            else:
                seen.append((await _call(phone, account, number, owner.domain, method)).status)
        faults = [] if seen[0] == seen[1] else [f"{seen[0]} for one that exists, {seen[1]} for none"]
        findings.judge(SECTION, f"{method}: the owner's extensions cannot be told from nobody's", faults, str(seen[0]))


async def _call(phone: SipPhone, caller: Account, number: str, domain: str, method: str = "INVITE") -> SipAnswer:
    """A request of ``caller`` to a number of ``domain``, with its own credentials where they are asked for."""
    uri = f"sip:{number}@{domain}"
    first = await phone.ask(method, caller, uri)
    if first.challenge is None:
        return first
    return await phone.ask(method, caller, uri, challenge=first.challenge)
