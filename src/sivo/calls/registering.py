"""REGISTER: the registrar answers from memory, the table follows behind."""

from __future__ import annotations

from uuid import UUID

from sivo.base import logs
from sivo.calls.gate import Authenticated
from sivo.calls.records import Write
from sivo.calls.services import Services
from sivo.routing import bindings
from sivo.routing.registrar import Outcome
from sivo.sip.peer import Peer
from sivo.sip.transactions import ServerTransaction

log = logs.get("routing")


class Registering:
    """Answers authenticated REGISTER requests."""

    def __init__(self, services: Services) -> None:
        self._s = services

    def register(self, txn: ServerTransaction, who: Authenticated, source: Peer) -> None:
        """Carry out a REGISTER; only for the extension's own address of record (§10.3 step 4, 5)."""
        request, extension = txn.request, who.extension
        if (request.to.uri.user or "") != extension.number:
            self._s.sip.respond(txn, txn.response(403))
            return
        outcome = self._s.registrar.register(extension, request, source, self._s.clock.now(), who.account)
        self._s.sip.respond(txn, txn.response(outcome.status, headers=outcome.headers))
        self._write(outcome)

    def expire(self) -> None:
        """Forget bindings that have run out, in memory and in the table."""
        removed = self._s.registrar.expire(self._s.clock.now())
        if removed:
            self._write(Outcome(200, removed=removed))

    def accounts_changed(self, tenants: set[UUID]) -> None:
        """Phones whose account is gone (a softphone that was signed out) ring no more."""
        directory = self._s.directory.current
        removed = self._s.registrar.forget(
            lambda binding: (
                binding.tenant_id in tenants
                and binding.account not in ("", binding.extension)
                and directory.extension_of_account(binding.tenant_id, binding.account) is None
            )
        )
        if removed:
            self._write(Outcome(200, removed=removed))

    def _write(self, outcome: Outcome) -> None:
        for binding in outcome.saved:
            log.info("registered", tenant=str(binding.tenant_id), extension=binding.extension)
            self._s.recorder.put(
                Write(
                    binding.tenant_id,
                    binding.extension_id,
                    lambda conn, saved=binding: bindings.save(conn, saved),  # type: ignore[misc]
                )
            )
        for binding in outcome.removed:
            self._s.recorder.put(
                Write(
                    binding.tenant_id,
                    binding.extension_id,
                    lambda conn, gone=binding: bindings.remove(conn, gone),  # type: ignore[misc]
                )
            )
