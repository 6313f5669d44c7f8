"""Our client side against SIPp's server, and both against a real phone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sip_peers import eventually
from sip_uas import REALM, SmallUas, free_port

from sivo.sip import (
    ClientTransaction,
    Dialog,
    LocalSession,
    NameAddr,
    Peer,
    Request,
    Response,
    SessionDescription,
    Uri,
    new_request,
)


class SmallUac(SmallUas):
    """Calls, acknowledges, checks the answer's SDP, and hangs up at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions: dict[str, LocalSession] = {}
        self.done = 0
        self.ended: list[int] = []

    def call(self, to: str, peer: Peer) -> ClientTransaction:
        uri = Uri.parse(to)
        session = LocalSession("127.0.0.1")
        request = new_request(
            "INVITE",
            uri,
            from_=NameAddr(uri=Uri.parse(f"sip:us@{REALM}")),
            to=NameAddr(uri=uri),
            contact=f"<sip:us@127.0.0.1:{self.port}>",
            body=session.offer(32990),
        )
        self.sessions[request.call_id] = session
        return self.sip.request(request, peer)

    def on_response(self, txn: ClientTransaction, response: Response) -> None:
        if txn.request.method == "BYE":
            self.done += response.status == 200
        elif response.status >= 300:
            self.ended.append(response.status)
        elif response.status >= 200:
            self._answered(txn, response)

    def _answered(self, txn: ClientTransaction, response: Response) -> None:
        dialog = Dialog.uac(txn.request, response)
        self.dialogs[dialog.id] = dialog
        self.sip.acknowledge(txn, dialog.ack(response), dialog.destination)
        stream = self.sessions[response.call_id].accept(SessionDescription.parse(response.body))
        assert stream.payload_type == 0
        assert stream.direction == "sendrecv"
        self.sip.request(dialog.request("BYE"), dialog.destination)

    def on_ack(self, request: Request, source: Peer) -> None:
        raise AssertionError("we answer no calls")


async def test_fifty_calls_to_sipp(tmp_path: Path) -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        "sipp", "-sn", "uas", "-i", "127.0.0.1", "-p", str(port), "-mp", str(port + 2), "-nostdin", "-m", "50",
        "-timeout", "30", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path,
    )  # fmt: skip
    try:
        async with SmallUac() as uac:
            for _ in range(50):
                uac.call(f"sip:service@127.0.0.1:{port}", Peer("127.0.0.1", port))
                await asyncio.sleep(0.02)
            await eventually(lambda: uac.done == 50, 20)
            assert uac.sip.statistics["handler_errors"] == 0
            output, _ = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 0, output.decode()
    finally:
        if process.returncode is None:
            process.kill()


def phone_files(folder: Path, proxy: int, sip: int, password: str) -> None:
    (folder / "accounts").write_text(
        f"<sip:100@{REALM};transport=udp>;auth_pass={password};regint=60;audio_codecs=pcmu;"
        f'outbound="sip:127.0.0.1:{proxy};transport=udp"\n'
    )
    (folder / "contacts").write_text("")
    (folder / "config").write_text(
        f"sip_listen 127.0.0.1:{sip}\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aubridge.so\n"
        "module_app account.so\nmodule_app menu.so\naudio_source aubridge,x\naudio_player aubridge,x\n"
        f"audio_alert aubridge,x\nrtp_ports {sip + 2}-{sip + 8}\n"
    )


async def baresip(folder: Path, seconds: int, *commands: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "baresip", "-f", str(folder), "-t", str(seconds), *(part for c in commands for part in ("-e", c)),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=folder,
    )  # fmt: skip


async def test_baresip_registers_and_calls(tmp_path: Path) -> None:
    async with SmallUas() as uas:
        phone_files(tmp_path, uas.port, free_port(), "secret")
        process = await baresip(tmp_path, 3, f"/dial sip:200@{REALM}")
        output = (await asyncio.wait_for(process.communicate(), 20))[0].decode("utf-8", "replace")
        assert "Call established" in output
        assert "200 OK" in output
        assert uas.registered
        assert (uas.acks, uas.byes, uas.ack_timeouts) == (1, 1, 0)
        assert not any("secret" in entry.text or "response=" in entry.text for entry in uas.ladder)


async def test_baresip_with_a_wrong_password_stays_out(tmp_path: Path) -> None:
    async with SmallUas() as uas:
        phone_files(tmp_path, uas.port, free_port(), "guess")
        process = await baresip(tmp_path, 2)
        await asyncio.wait_for(process.communicate(), 20)
        assert uas.received("REGISTER") >= 2
        assert uas.registered == []


async def test_we_call_baresip_and_cancel(tmp_path: Path) -> None:
    """It rings (nobody answers), we cancel: it gets CANCEL, we get 487."""
    async with SmallUac() as uac:
        sip = free_port()
        phone_files(tmp_path, uac.port, sip, "secret")
        process = await baresip(tmp_path, 5)
        await eventually(lambda: bool(uac.registered))
        txn = uac.call(uac.registered[0], Peer("127.0.0.1", sip))
        await eventually(lambda: any(e.first_line.startswith("SIP/2.0 180") for e in uac.ladder if e.direction == "in"))
        uac.sip.cancel(txn)
        await eventually(lambda: uac.ended == [487])
        process.terminate()
        await asyncio.wait_for(process.communicate(), 20)
