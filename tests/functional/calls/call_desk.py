"""Phones of extensions, each with a tone of its own, for tests of calls with more than two people."""

from __future__ import annotations

import re
from dataclasses import dataclass

from call_house import House

from support.raw_phone import Message, RawPhone
from support.rtp_phone import RtpPhone, level_db, tone

HERTZ = {"100": 400, "101": 1000, "102": 1700, "103": 2300}


@dataclass
class Desk:
    """A phone with its own tone."""

    sip: RawPhone
    rtp: RtpPhone
    number: str
    #: The other side's tag and address in a dialog that we were called in.
    invite: Message | None = None

    def talk(self, port: int) -> None:
        self.rtp.call("127.0.0.1", port)
        self.rtp.play(tone(HERTZ[self.number], 20.0))
        self.rtp.start()

    def hears(self, number: str, ms: int = 500) -> bool:
        stream = self.rtp.received[-1].ssrc  # a new leg of the node is a new stream
        self.rtp.received = [packet for packet in self.rtp.received if packet.ssrc == stream]
        heard = self.rtp.heard()[-16 * ms :]
        others = [level_db(heard, HERTZ[one]) for one in HERTZ if one not in (number, self.number)]
        return level_db(heard, HERTZ[number]) > -30 and all(level < -45 for level in others)

    def in_dialog(self, method: str, extra: str = "", body: str = "") -> None:
        """A request of the callee in the dialog that ``invite`` made."""
        assert self.invite is not None
        contact = re.search(r"<([^>]+)>", self.invite.headers["contact"]).group(1)  # type: ignore[union-attr]
        self.sip.cseq += 1
        self.sip.send(
            f"{method} {contact} SIP/2.0\r\nVia: {self.sip._via()}\r\nMax-Forwards: 70\r\n"
            f"From: {self.invite.headers['to']};tag=callee\r\nTo: {self.invite.headers['from']}\r\n"
            f"Call-ID: {self.invite.headers['call-id']}\r\nCSeq: {self.sip.cseq} {method}\r\n"
            f"Contact: <sip:{self.number}@127.0.0.1:{self.sip.port}>\r\n{extra}Content-Length: 0\r\n\r\n"
        )

    async def close(self) -> None:
        await self.rtp.close()


async def desk(house: House, number: str, how: int | None = 200) -> Desk:
    made = Desk(await house.phone(number), await RtpPhone.open("127.0.0.1"), number)
    made.sip.auto_answer, made.sip.rtp_port = how, made.rtp.port
    assert (await made.sip.register()).status == 200
    return made


async def connect(caller: Desk, callee: Desk) -> None:
    """``caller`` rings ``callee``; both say their tone."""
    mark = len(callee.sip.inbox)
    answer = await caller.sip.invite(callee.number, caller.rtp.port)
    assert answer.status == 200
    callee.invite = await callee.sip.wait("INVITE", after=mark)
    await callee.sip.wait("ACK", after=mark)
    caller.talk(answer.rtp_port)
    callee.talk(callee.invite.rtp_port)
