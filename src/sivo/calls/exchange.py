"""All calls of this node, and how they are found: by id, by dialog, by transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

from sivo.calls.call import Call
from sivo.calls.callee_fork import Branch
from sivo.calls.ladder_keeper import LadderKeeper
from sivo.calls.legs import Leg
from sivo.media.protocol import Digit, Fact
from sivo.sip.dialog import DialogId
from sivo.sip.transactions import ClientTransaction, ServerTransaction


class Exchange:
    """Registers calls and their legs; a call that is forgotten leaves nothing behind."""

    def __init__(self, ladder: LadderKeeper) -> None:
        self._ladder = ladder
        self._calls: dict[UUID, Call] = {}
        self._invites: dict[int, Call] = {}
        #: A Call-ID alone names no dialog (RFC 3261 §12): a third party that connects two calls, or a carrier that
        #: brings our own call back, uses one for several. Whose ladder the messages stand in: the first one's.
        self._by_sip_call_id: dict[str, list[Call]] = {}
        self._clients: dict[int, tuple[Call, Branch]] = {}
        #: What has to be undone when a call is forgotten.
        self._traces: dict[UUID, list[Callable[[], object]]] = {}
        #: Told of every call that stands elsewhere than before.
        self.phase_changed: Callable[[Call], None] = lambda call: None
        #: Told of every key that somebody in a call has pressed.
        self.key_pressed: Callable[[Call, Fact, Digit], None] = lambda call, fact, key: None

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def calls(self) -> Iterable[Call]:
        """Every call that is not forgotten yet, ended ones included."""
        return list(self._calls.values())

    @property
    def running(self) -> int:
        """Calls that have not ended."""
        return sum(not call.ended for call in self._calls.values())

    def add(self, call: Call, txn: ServerTransaction) -> None:
        """A new call with the transaction of its INVITE."""
        self._calls[call.id] = call
        call.phase_changed = self.phase_changed
        self._traces[call.id] = []
        self._invites[id(txn)] = call
        self._traces[call.id].append(lambda: self._invites.pop(id(txn), None))
        self._learn_sip(call, call.caller.invite.call_id)

    def learn(self, call: Call, branch: Branch) -> None:
        """A phone that is rung: its Call-ID, and its transaction (a new one when it asked for credentials)."""
        txn = branch.txn
        if txn is not None and call.id in self._traces:
            self._clients[id(txn)] = (call, branch)
            self._traces[call.id].append(lambda: self._clients.pop(id(txn), None))
            self._learn_sip(call, txn.request.call_id)

    def by_id(self, call_id: str) -> Call | None:
        """The call with this id (= the name of its media session)."""
        try:
            return self._calls.get(UUID(call_id))
        except ValueError:
            return None

    def by_invite(self, txn: ServerTransaction) -> Call | None:
        """The call that this INVITE made."""
        return self._invites.get(id(txn))

    def by_dialog(self, dialog_id: DialogId) -> tuple[Call, Leg] | None:
        """Call and leg of a dialog."""
        for call in self._by_sip_call_id.get(dialog_id.call_id, ()):
            leg = call.leg_of(dialog_id)
            if leg is not None:
                return call, leg
        return None

    def by_client(self, txn: ClientTransaction) -> tuple[Call, Branch] | None:
        """Call and branch of an INVITE of ours."""
        return self._clients.get(id(txn))

    def forget(self, call: Call) -> None:
        """Nothing more will come of this call."""
        self._calls.pop(call.id, None)
        for forget in self._traces.pop(call.id, ()):
            forget()
        call.let_go()

    def _learn_sip(self, call: Call, sip_call_id: str) -> None:
        known = self._by_sip_call_id.get(sip_call_id)
        if not known:
            self._claim(call, sip_call_id)
        elif call not in known:
            known.append(call)
            self._traces[call.id].append(lambda: self._release(call, sip_call_id))

    def move(self, sip_call_id: str, call: Call) -> None:
        """A dialog belongs to another call from now on."""
        if call.id in self._traces:
            self._claim(call, sip_call_id)

    def adopt(self, sip_call_id: str, call: Call) -> bool:
        """A new dialog of a running call; False when that Call-ID is another call's."""
        if self._by_sip_call_id.get(sip_call_id, [call]) != [call] or call.id not in self._traces:
            return False
        self._learn_sip(call, sip_call_id)
        return True

    def _claim(self, call: Call, sip_call_id: str) -> None:
        known = self._by_sip_call_id.setdefault(sip_call_id, [])
        if call in known:
            known.remove(call)
        known.insert(0, call)
        self._ladder.claim(sip_call_id, call.writer)
        self._traces[call.id].append(lambda: self._release(call, sip_call_id))

    def _release(self, call: Call, sip_call_id: str) -> None:
        known = self._by_sip_call_id.get(sip_call_id, [])
        if call not in known:
            return
        first = known[0] is call
        known.remove(call)
        if not known:
            del self._by_sip_call_id[sip_call_id]
            self._ladder.release(sip_call_id)
        elif first:
            self._ladder.claim(sip_call_id, known[0].writer)
