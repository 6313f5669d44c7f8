"""The end for phones whose calls died with an earlier process of this node (durable dialogs).

Who talked gets a BYE, who rang a CANCEL, and who waited for an answer a 503. A process that is killed may have said 200
and not have written it down any more: a caller who does not acknowledge the 503 thinks that it talks, and gets a BYE.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.base.node import node_id
from sivo.calls import causes
from sivo.calls.ladder_keeper import LadderKeeper
from sivo.calls.recovery import Remains, call_row
from sivo.calls.services import Services
from sivo.calls.state import RETRY_AFTER
from sivo.calls.writer import CallWriter
from sivo.sip.dialog import Dialog
from sivo.sip.message import Response
from sivo.sip.pending import Pending
from sivo.sip.transactions import ClientTransaction, ServerTransaction, State

#: How long answers are put into the ladder: the whole time of a transaction (64*T1).
LINGER_SECONDS = 32.0
#: How long a caller has to acknowledge the 503: some repetitions of it.
ACK_SECONDS = 2.0
#: Requests of ours that may have gone out since a dialog was written down; gaps are allowed (RFC 3261 §12.2.2).
CSEQ_LEAP = 1000
REASON = causes.reason_header(causes.NODE_FAILURE)
log = logs.get("calls")


class Orphans:
    """Ends every dialog and every INVITE that was left. The messages stand in the calls' ladders."""

    def __init__(self, services: Services, ladder: LadderKeeper, remains: Remains) -> None:
        self._s = services
        self._ladder = ladder
        self._rows = {row["id"]: row for row in remains.calls}
        self._left = remains.dialogs

    def hang_up(self) -> int:
        """Do it now; gives the number of phones."""
        sent = 0
        for call_id, stored in self._left:
            try:
                self._end(call_id, stored)
                sent += 1
            except (SivoError, KeyError, ValueError, TypeError, AttributeError) as error:
                tenant = str(self._rows[call_id]["tenant_id"]) if call_id in self._rows else ""
                error_ = type(error).__name__
                log.error("a stored dialog cannot be used", tenant=tenant, call=str(call_id), error=error_)
        if sent:
            log.warning("orphaned phones were hung up on", phones=sent)
        return sent

    def unknown(self, row: asyncpg.Record, caller: dict[str, Any]) -> None:
        """A call that had no row: only its journal knows of the caller."""
        self._rows[row["id"]] = row
        self._left = [(row["id"], caller)]
        self.hang_up()

    def _end(self, call_id: UUID, stored: dict[str, Any]) -> None:
        if "pending" not in stored:
            dialog = Dialog.load(stored)
            self._claim(call_id, dialog.id.call_id)
            self._bye(dialog)
            return
        pending = Pending.load(stored)
        self._claim(call_id, pending.invite.call_id)
        if pending.tag:
            self._refuse(pending)
        else:
            self._s.sip.withdraw(pending, REASON, self._withdrawn)

    def _claim(self, call_id: UUID, sip_call_id: str) -> None:
        row = self._rows.get(call_id)
        if row is None:
            return
        writer = CallWriter(self._s.recorder, self._s.clock, call_row(row), node_id(self._s.settings))
        self._ladder.claim(sip_call_id, writer)
        asyncio.get_running_loop().call_later(LINGER_SECONDS, self._ladder.release, sip_call_id)

    def _bye(self, dialog: Dialog) -> None:
        dialog.local_cseq += CSEQ_LEAP
        self._s.sip.request(dialog.request("BYE", headers=[("Reason", REASON)]), dialog.destination)

    def _refuse(self, pending: Pending) -> None:
        txn = self._s.sip.take_up(pending)
        headers = [("Retry-After", str(RETRY_AFTER)), ("Reason", REASON)]
        self._s.sip.respond(txn, txn.response(503, headers=headers))
        asyncio.get_running_loop().call_later(ACK_SECONDS, self._unacknowledged, pending, txn)

    def _unacknowledged(self, pending: Pending, txn: ServerTransaction) -> None:
        if txn.state is State.COMPLETED:
            self._bye(Dialog.uas(pending.invite, txn.response(200), pending.peer))

    def _withdrawn(self, txn: ClientTransaction, response: Response | None) -> None:
        """A phone was answered at the last moment: its 200 is acknowledged, and then it is over."""
        if response is None or not response.is_success:
            return
        dialog = Dialog.uac(txn.request, response)
        if txn.destination.flow:
            dialog.flow = txn.destination
        self._s.sip.acknowledge(txn, dialog.ack(response), dialog.destination)
        self._bye(dialog)
