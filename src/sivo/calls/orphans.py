"""BYE to phones whose calls died with an earlier process of this node (durable dialogs)."""

from __future__ import annotations

import asyncio

import asyncpg

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.base.node import node_id
from sivo.calls import causes
from sivo.calls.ladder_keeper import LadderKeeper
from sivo.calls.recovery import Remains, call_row
from sivo.calls.services import Services
from sivo.calls.writer import CallWriter
from sivo.sip.dialog import Dialog

#: How long answers to these BYEs are put into the ladder: the whole time of a transaction (64*T1).
LINGER_SECONDS = 32.0
log = logs.get("calls")


def hang_up_orphans(services: Services, ladder: LadderKeeper, remains: Remains) -> int:
    """Send a BYE in every dialog that was left; gives their number. The messages stand in the calls' ladders."""
    rows = {row["id"]: row for row in remains.calls}
    sent = 0
    loop = asyncio.get_running_loop()
    for call_id, stored in remains.dialogs:
        row = rows.get(call_id)
        try:
            dialog = Dialog.load(stored)
        except (SivoError, KeyError, ValueError, TypeError) as error:
            tenant = str(row["tenant_id"]) if row is not None else ""
            log.error("a stored dialog cannot be used", tenant=tenant, call=str(call_id), error=type(error).__name__)
            continue
        if row is not None:
            ladder.claim(dialog.id.call_id, _writer(services, row))
            loop.call_later(LINGER_SECONDS, ladder.release, dialog.id.call_id)
        reason = causes.reason_header(causes.NODE_FAILURE)
        services.sip.request(dialog.request("BYE", headers=[("Reason", reason)]), dialog.destination)
        sent += 1
    if sent:
        log.warning("orphaned phones were hung up on", phones=sent)
    return sent


def _writer(services: Services, row: asyncpg.Record) -> CallWriter:
    return CallWriter(services.recorder, services.clock, call_row(row), node_id(services.settings))
