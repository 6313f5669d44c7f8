"""Change-sets that are not applied at once: made, approved or turned down, and applied when they are due.

What is applied is exactly what was planned and approved: under the lock of the tenant's ledger the plan is made again,
and when it touches anything else than it did (see :mod:`sivo.config.touched`) the change is held for people to look
at. A change is applied in the transaction that says so, so a kill at any moment leaves it done once or due still.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.audit import log as audit
from sivo.audit.chain import ChangeRecord
from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError, register
from sivo.base.ids import uuid7
from sivo.config import change_codec, control, proposal
from sivo.config.change import Author, Change, Entry
from sivo.config.changes import ChangeSets, NeedsApprovalError, Preview
from sivo.config.draft import Draft
from sivo.config.kinds import PLATFORM_ID
from sivo.config.proposal import APPLIED, CANCELLED, HELD, OPEN, PENDING, REJECTED, SCHEDULED, Proposal
from sivo.config.touched import digest, masked, moved, touched
from sivo.db.scopes import Connection, Database
from sivo.events import catalogue, outbox
from sivo.vault.vault import Vault

NOT_OPEN = register("CHANGE_NOT_OPEN", 409)
CHANGE_HELD = register("CHANGE_HELD", 409)
SELF_APPROVAL = register("SELF_APPROVAL", 403)
BREAK_GLASS_REFUSED = register("BREAK_GLASS_REFUSED", 409)
CANNOT_WAIT = register("CHANGE_CANNOT_WAIT", 409)
#: Failures that say nothing about the change: it stays as it is and is tried again.
_PASSING = ("UNAVAILABLE", "INTERNAL", NOT_OPEN)
_log = logs.get("config")


class AwaitsApprovalError(Exception):
    """Not an error of the caller: the change was put down and waits for a second person (202)."""

    def __init__(self, waiting: Proposal) -> None:
        super().__init__(f"change {waiting.id} waits for approval")
        self.waiting = waiting


class _MovedError(Exception):
    def __init__(self, records: Sequence[ChangeRecord]) -> None:
        super().__init__("the plan touches something else now")
        self.records = records


class Proposals:
    """One per process that writes configuration."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        changes: ChangeSets,
        clock: Clock,
        changed: Callable[[UUID], None] = lambda _tenant_id: None,
    ) -> None:
        """``changed`` is told of every tenant whose configuration may be another one now."""
        self._database = database
        self._vault = vault
        self._changes = changes
        self._clock = clock
        self._changed = changed

    # --- making them ---------------------------------------------------------------------------------------------

    async def propose(
        self,
        tenant_id: UUID,
        author: Author,
        reason: str,
        changes: Sequence[Change],
        *,
        apply_at: datetime | None = None,
    ) -> Proposal:
        """Put a change-set down: until ``apply_at``, and until it is approved where the tenant wants that.

        Checked as a whole now already; raises what :meth:`ChangeSets.apply` would raise.
        """
        changes = change_codec.settled(changes)
        planned = await self._planned(tenant_id, author, changes)
        made = self._proposal(tenant_id, author, reason, planned, apply_at)
        made = replace(made, changes=await self._seal(made, changes))
        async with self._database.tenant(tenant_id) as connection:
            wanted = await control.of(connection, tenant_id)
            control.require_reason(wanted, reason)
            if control.needs_approval(wanted, planned, author.role):
                made = replace(made, state=PENDING)
            elif apply_at is None:
                # The switch was turned off between the refusal and now; whoever looks at it finds it due.
                made = replace(made, apply_at=made.created_at)
            await proposal.insert(connection, made)
            if made.state == PENDING:
                await self._tell(connection, made, catalogue.CHANGE_WAITING)
        return made

    async def break_glass(self, tenant_id: UUID, author: Author, reason: str, changes: Sequence[Change]) -> Entry:
        """Apply at once what would need approval: with a reason, an event and a mark that stays; never the switch."""
        if not reason.strip():
            raise SivoError(
                control.REASON_REQUIRED, "breaking the glass needs a reason", where="reason", remedy="say why"
            )
        changes = change_codec.settled(changes)
        planned: list[ChangeRecord] = []

        def review(draft: Draft) -> None:
            planned[:] = masked(draft)
            if control.touches_control(planned):
                raise SivoError(
                    BREAK_GLASS_REFUSED,
                    "how changes are approved is not changed by breaking the glass",
                    where="change_control",
                    remedy="ask another administrator to approve it",
                )

        async def also(connection: Connection) -> None:
            made = self._proposal(tenant_id, author, reason, planned, None)
            version = await _head(connection, tenant_id) if planned else None
            if version is None:
                return
            made = replace(made, state=APPLIED, break_glass=True, version=version, finished_at=made.created_at)
            await proposal.insert(connection, made)
            await self._tell(connection, made, catalogue.CHANGE_BREAK_GLASS)
            await self._note(connection, author, made, "break_glass", reason, version)

        try:
            entry = await self._changes.apply(
                tenant_id, author, reason, changes, review=review, also=also, cleared=True
            )
        finally:
            self._changed(tenant_id)
        _log.warning("glass broken", tenant=str(tenant_id), author=author.name, version=entry.seq)
        return entry

    # --- deciding on them ----------------------------------------------------------------------------------------

    async def approve(
        self, tenant_id: UUID, who: Author, proposal_id: UUID, reason: str = "", *, seen: str | None = None
    ) -> tuple[Proposal, Entry | None]:
        """Approve what waits or is held; applied at once unless its time has not come.

        ``seen`` is the digest of what the approver has looked at. Raises SELF_APPROVAL, CHANGE_NOT_OPEN, CHANGE_HELD.
        """
        async with self._database.tenant(tenant_id) as connection:
            found = await proposal.get(connection, proposal_id)
            wanted = await control.of(connection, tenant_id)
        if found.state not in (PENDING, HELD):
            raise _not_open(found)
        if wanted.approval_required and who.behind == found.by.behind:
            raise SivoError(
                SELF_APPROVAL,
                "a change is approved by somebody other than its author",
                where="change",
                remedy="ask another administrator, or cancel it",
            )
        if seen is not None and seen != found.digest:
            raise _held(found, "it is not the plan that you have seen")
        if found.apply_at is not None and found.apply_at > self._clock.now():
            return await self._approve_for_later(found, who, reason), None
        entry = await self._apply(found, who, reason)
        async with self._database.tenant(tenant_id) as connection:
            found = await proposal.get(connection, proposal_id)
        if entry is None:
            raise _held(found, "what it was planned on has moved")
        return found, entry

    async def turn_down(
        self, tenant_id: UUID, who: Author, proposal_id: UUID, state: str, reason: str = ""
    ) -> Proposal:
        """``rejected`` by somebody else than its author, or ``cancelled``; CHANGE_NOT_OPEN when it is over already."""
        assert state in (REJECTED, CANCELLED)
        async with self._database.tenant(tenant_id) as connection:
            found = await proposal.get(connection, proposal_id, lock=True)
            if found.state not in OPEN:
                raise _not_open(found)
            await proposal.decided(connection, proposal_id, state, who, reason, self._clock.now())
            await self._note(connection, who, found, state, reason)
            return await proposal.get(connection, proposal_id)

    # --- when they are due ---------------------------------------------------------------------------------------

    async def step(self) -> bool:
        """Apply or hold one that is due, of any tenant; False when nothing is."""
        async with self._database.platform("config: scheduled changes") as connection:
            found = await proposal.claim(connection, self._clock.now())
        if found is None:
            return False
        try:
            await self._apply(found, None, "")
        except SivoError as error:
            if error.code != NOT_OPEN:  # cancelled at this very moment
                raise
        return True

    async def _apply(self, found: Proposal, approver: Author | None, reason: str) -> Entry | None:
        """Write it if it is still what was planned, and hold it otherwise (None)."""
        changes = await self._open(found)

        async def unchanged(connection: Connection) -> None:
            locked = await proposal.get(connection, found.id, lock=True)
            if (locked.state, locked.digest) != (found.state, found.digest):
                raise _not_open(locked)

        def as_planned(draft: Draft) -> None:
            records = masked(draft)
            if digest(touched(records)) != found.digest:
                raise _MovedError(records)

        async def done(connection: Connection) -> None:
            now, version = self._clock.now(), await _head(connection, found.tenant_id)
            if approver is not None:
                await proposal.decided(connection, found.id, SCHEDULED, approver, reason, now)
                await self._note(connection, approver, found, "approved", reason, version)
            await proposal.applied(connection, found.id, version, now)

        try:
            return await self._changes.apply(
                found.tenant_id,
                found.by,
                found.reason,
                changes,
                precondition=unchanged,
                review=as_planned,
                also=done,
                cleared=approver is not None or found.approved,
            )
        except NeedsApprovalError:
            await self._ask(found)
        except _MovedError as error:
            await self._hold(found, error.records, None)
        except SivoError as error:
            if error.code in _PASSING:
                raise
            await self._hold(found, None, error)
        finally:
            self._changed(found.tenant_id)
        return None

    async def _approve_for_later(self, found: Proposal, who: Author, reason: str) -> Proposal:
        """Its time has not come: it is looked at now as well, so that nobody approves what cannot be done."""
        changes = await self._open(found)
        preview = await self._changes.preview(found.tenant_id, found.by, changes)
        if preview.problem is not None or digest(touched(masked(preview.draft))) != found.digest:
            await self._hold(found, _records(preview), preview.problem)
            raise _held(found, "what it was planned on has moved")
        async with self._database.tenant(found.tenant_id) as connection:
            locked = await proposal.get(connection, found.id, lock=True)
            if (locked.state, locked.digest) != (found.state, found.digest):
                raise _not_open(locked)
            await proposal.decided(connection, found.id, SCHEDULED, who, reason, self._clock.now())
            await self._note(connection, who, found, "approved", reason)
            return await proposal.get(connection, found.id)

    async def _hold(self, found: Proposal, records: Sequence[ChangeRecord] | None, problem: SivoError | None) -> None:
        """Keep it for people to look at, with what moved or the rule that it breaks."""
        told: dict[str, Any] = {"at": self._clock.now().isoformat(), "moved": [], "problem": None}
        planned, name = None, found.digest
        if problem is not None:
            told["problem"] = {"code": problem.code, "detail": problem.message, "where": problem.where}
        elif records is not None:
            now = touched(records)
            told["moved"] = moved(touched(found.records), now)
            planned, name = proposal.plain(records), digest(now)
        async with self._database.tenant(found.tenant_id) as connection:
            locked = await proposal.get(connection, found.id, lock=True)
            if locked.state not in OPEN:
                return
            await proposal.hold(connection, found.id, told, planned, name)
            await self._tell(connection, found, catalogue.CHANGE_HELD)
        _log.warning("change held", tenant=str(found.tenant_id), change=str(found.id))

    async def _ask(self, found: Proposal) -> None:
        """The tenant wants approval since it was scheduled."""
        async with self._database.tenant(found.tenant_id) as connection:
            await proposal.back_to_pending(connection, found.id)
            await self._tell(connection, found, catalogue.CHANGE_WAITING)

    # --- parts ---------------------------------------------------------------------------------------------------

    async def _planned(self, tenant_id: UUID, author: Author, changes: Sequence[Change]) -> list[ChangeRecord]:
        preview = await self._changes.preview(tenant_id, author, changes)
        if preview.problem is not None:
            raise preview.problem
        found = masked(preview.draft)
        if not found:
            raise SivoError("VALIDATION_FAILED", "everything is as these changes ask for", where="changes")
        return found

    def _proposal(
        self,
        tenant_id: UUID,
        author: Author,
        reason: str,
        planned: Sequence[ChangeRecord],
        apply_at: datetime | None,
    ) -> Proposal:
        return Proposal(
            id=uuid7(),
            tenant_id=tenant_id,
            state=SCHEDULED,
            author=author.name,
            role=author.role,
            person=author.behind,
            reason=reason,
            created_at=self._clock.now(),
            apply_at=apply_at,
            break_glass=False,
            planned=proposal.plain(planned),
            digest=digest(touched(planned)),
        )

    async def _seal(self, made: Proposal, changes: Sequence[Change]) -> bytes:
        return await self._vault.seal(made.tenant_id, _purpose(made.id), change_codec.encode(changes))

    async def _open(self, found: Proposal) -> tuple[Change, ...]:
        if found.changes is None:
            raise _not_open(found)
        return change_codec.decode(await self._vault.open(found.tenant_id, _purpose(found.id), found.changes))

    async def _note(
        self, connection: Connection, who: Author, one: Proposal, what: str, reason: str, version: int | None = None
    ) -> None:
        """Into the audit log: who let a change through, and who did without."""
        diff = {"state": (one.state, what), "reason": ("", reason)}
        entry = who.did("update", f"change.{what}", "change", one.id, diff, version)
        await audit.record(connection, entry, self._clock.now())

    async def _tell(self, connection: Connection, one: Proposal, event: str) -> None:
        if one.tenant_id == PLATFORM_ID:
            return
        data = {
            "changeId": str(one.id),
            "author": one.author,
            "reason": one.reason,
            "applyAt": outbox.iso_ms(one.apply_at) if one.apply_at else None,
            "targets": [record["target"] for record in one.planned],
        }
        await outbox.put(connection, one.tenant_id, event, data)


def cannot_wait() -> SivoError:
    """For what is made in one step with something that is not configuration."""
    return SivoError(
        CANNOT_WAIT,
        "this tenant wants every change approved, and this one cannot wait",
        remedy="break the glass: POST /api/changes with break_glass",
    )


def _purpose(proposal_id: UUID) -> str:
    return f"change:{proposal_id}"


def _records(preview: Preview) -> list[ChangeRecord] | None:
    return None if preview.problem is not None else masked(preview.draft)


async def _head(connection: Connection, tenant_id: UUID) -> int:
    return int(await connection.fetchval("select seq from ledger_head where tenant_id = $1", tenant_id))


def _not_open(found: Proposal) -> SivoError:
    return SivoError(
        NOT_OPEN,
        f"the change is {found.state}" + (f" since {found.finished_at.isoformat()}" if found.finished_at else ""),
        where="change",
        remedy="read it again",
        details={"state": found.state, "version": found.version},
    )


def _held(found: Proposal, why: str) -> SivoError:
    return SivoError(
        CHANGE_HELD,
        f"{why}; nothing was applied",
        where="change",
        remedy="look at it again, then approve or cancel it",
        details={"id": str(found.id), "digest": found.digest},
    )
