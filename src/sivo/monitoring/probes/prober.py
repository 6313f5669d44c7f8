"""The three planes behind one call; one probe of a plane at a time, and none more often than every few seconds."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from sivo.base.settings import Settings
from sivo.isolation.sip_phone import Account, SipPhone
from sivo.monitoring.probes.account import ProbeAccount
from sivo.monitoring.probes.finding import DOWN, NOT_SET_UP, UP, Finding
from sivo.monitoring.probes.http_plane import HttpPlane

PLANES = ("api", "registration", "dashboard")
#: Whoever asks more often gets what was found last: the operator's port must not become a lever.
AT_LEAST_S = 5.0
_REGISTER_SECONDS = 60


class Prober:
    """Probes of one node."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = HttpPlane(settings)
        self._locks = {plane: asyncio.Lock() for plane in PLANES}
        self._last: dict[str, tuple[float, Finding]] = {}

    async def probe(self, plane: str) -> Finding:
        """Do it. Raises KeyError for an unknown plane."""
        async with self._locks[plane]:
            at, last = self._last.get(plane, (-AT_LEAST_S, None))
            begun = time.monotonic()
            if last is not None and begun - at < AT_LEAST_S:
                return last
            found = replace(await self._do(plane), seconds=time.monotonic() - begun)
            if found.state != NOT_SET_UP:  # that costs nothing, and ends with one command
                self._last[plane] = (time.monotonic(), found)
            return found

    async def _do(self, plane: str) -> Finding:
        account = ProbeAccount.load(self._settings)
        if account is None:
            return Finding(plane, NOT_SET_UP, "make the probes' account with `sivo probe setup`")
        match plane:
            case "api":
                return await asyncio.to_thread(self._http.api, account)
            case "registration":
                return await self._register(account)
            case _:
                return await asyncio.to_thread(self._http.dashboard, account)

    async def _register(self, account: ProbeAccount) -> Finding:
        """REGISTER, answer the challenge, and sign off again."""
        host = self._settings.sip_host
        served = "127.0.0.1" if host in ("0.0.0.0", "") else "::1" if host == "::" else host  # noqa: S104
        try:
            phone = await SipPhone.open((served, self._settings.sip_port), None)
        except OSError as error:
            return Finding("registration", DOWN, f"no socket: {error}")
        own = Account(account.extension, account.sip_domain, account.sip_password)
        uri = f"sip:{account.sip_domain}"
        try:
            for expires in (_REGISTER_SECONDS, 0):
                first = await phone.ask("REGISTER", own, uri, expires=expires)
                if first.challenge is None:
                    return Finding("registration", DOWN, f"REGISTER was answered {first.status or 'not at all'}")
                final = await phone.ask("REGISTER", own, uri, challenge=first.challenge, expires=expires)
                if final.status != 200:
                    return Finding("registration", DOWN, f"credentials were answered {final.status or 'not at all'}")
        finally:
            phone.close()
        return Finding("registration", UP, "registered, and signed off")
