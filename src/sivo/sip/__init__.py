"""SIP over UDP, TCP and TLS: sans-I/O protocol (bytes and time in; bytes, timers and facts out), then thin transports.

Modules, one RFC object each (RFC 3261 unless said otherwise)::

    errors.py       SipParseError(header=...)              what could not be read, in which header
    uri.py          Uri(scheme, user, host, port, params)   §19.1; Uri.parse(text), str(uri), uri == uri by §19.1.4
    headers.py      Headers                                 ordered multi-dict; get / all / set / add / remove / prepend
    address.py      NameAddr(display, uri, params)          §20.10; NameAddr.parse, .tag, str()
    via.py          Via                                     §20.42, RFC 3581
    message.py      Request, Response, new_request          §7
    reading.py      parse, salvage                          §7, what came on the wire
    sdp.py          SessionDescription, Media, Origin       RFC 4566
    sdes.py         SrtpPolicy, Crypto, StreamKeys          RFC 4568: keys for SRTP
    offer_answer.py LocalSession, AudioStream, Direction    RFC 3264: offer(), answer(), audio_of()
    digest.py       ha1, Challenge, Credentials, DigestClient      RFC 7616/8760, client side
    digest_server.py DigestServer, Verdict                  stateless signed nonces
    transactions/   ServerTransaction, ClientTransaction, Timers, outputs   §17, RFC 6026
    layer.py        TransactionLayer                        matching, CANCEL, 2xx retransmission
    dialog.py       Dialog                                  §12
    ladder.py       LadderEntry                             one line of the SIP ladder, secrets removed
    session_timer.py SessionTerms, as_server, as_client     RFC 4028
    registration.py Registration, Account                   §10.2: we register at a carrier
    framing.py      Framer                                  §18.3, RFC 5626 keep-alives
    udp.py          SipUdp, TransactionUser                 the asyncio transport
    streams.py      Streams, Connection                     its TCP and TLS connections
    tls.py          server_context, client_context, development_certificate

Names and signatures the rest of the product codes against::

    Peer(host, port, transport="UDP", flow="")              a place packets come from or go to (NamedTuple)

    Headers: get(name) -> str | None; all(name) -> list[str] (comma lists split); set(name, *values); add(name, value);
             prepend(name, value); remove(name); `name in headers`; items(); copy().   Compact forms are understood.
    Request(method, uri, headers, body)   Response(status, reason, headers, body): bytes(message) serialises (strict);
        both: .call_id  .cseq -> (int, method)  .from_ .to -> NameAddr  .via -> Via  .contacts -> [NameAddr]
        .max_forwards  .content_type;  set_body(body, content_type);  copy().  Reading a bad header: SipParseError.
    new_request(method, uri, from_=NameAddr, to=NameAddr, call_id=None, cseq=1, contact=None, headers=(), body=b"")
    new_tag(), new_call_id(), new_branch()

    ServerTransaction: .request .source .local .to_tag .is_invite .state .final (Response | None)
        .response(status, reason=None, headers=(), body=b"", content_type=None) -> Response   To tag, Via, CSeq,
        Record-Route are filled in; nothing is sent until SipUdp.respond(txn, response).
    ClientTransaction: .request .destination .is_invite .state .cancelled (CANCEL was asked for)

    SipUdp(user, clock, timers=Timers(), tap=None, advertised_host="")
        await start(host, port); close();  .local -> Peer;  contact_for(peer) -> (host, port) to put in Contact and SDP
        await listen(host, port, tls=None): TCP, or TLS with a context;  contact_uri(peer) -> "sip:sivo@…;transport=tcp"
        ask(request, destination, then): the final answer goes to then(txn, response | None), not to the user
        .glance(data, source) -> bool: a look at the bytes before they are read; False drops them without a trace
        respond(txn, response); request(request, destination) -> ClientTransaction; cancel(client_txn)
        acknowledge(client_txn, ack, destination): ACK of a 2xx, repeated by itself when the 2xx comes again
        statistics -> dict[str, int]
    TransactionUser: accept(request, source) -> bool, on_request(txn, request, source), on_cancel(txn, request),
        on_ack(request, source), on_response(txn, response), on_timeout(txn), on_ack_timeout(txn)

    Dialog.uas(request, response, source)      from an INVITE received and the 1xx/2xx sent (early or confirmed)
    Dialog.uac(request, response)              from an INVITE sent and a 1xx/2xx with a To tag (one for each fork)
        .id (DialogId: call_id, local_tag, remote_tag)  .state early|confirmed|ended  .remote_target  .route_set
        .request(method, headers=(), body=b"", content_type=None) -> Request with the next CSeq
        .ack(response, body=b"") -> Request;  .confirm(response) (2xx of an early dialog)
        .receive(request): checks CSeq (OutOfOrder -> answer 500) and refreshes the target
        .refresh(response): 2xx of our own re-INVITE/UPDATE refreshes the target
        .destination -> Peer: where requests go (flow, route, or target);  .flow: Peer | None is settable
        .dump() -> dict[str, object]; Dialog.load(dict)      for durable dialogs
    dialog_id_of(request) -> DialogId          of a request received in a dialog (local tag = To tag)

    LocalSession(host, codecs=(0, 8), dtmf=101, ptime=20)    keeps o= id and version of one leg
        .offer(port, direction="sendrecv") -> bytes
        .answer(offer: SessionDescription, port, direction="sendrecv") -> (bytes, AudioStream); NotAcceptable -> 488
        .accept(answer: SessionDescription) -> AudioStream     what the peer chose from our last offer
    AudioStream: host port payload_type dtmf_payload_type ptime_ms direction (ours: sendrecv|sendonly|recvonly|inactive)
        .held (the peer put us on hold)  .send  .receive

    DigestServer(secret, algorithms=("SHA-256", "MD5"), offer=("MD5",), nonce_ttl=300.0, memory=10_000)
        .challenge(response, realm, now, proxy=False, stale=False, offer=None)  adds WWW-/Proxy-Authenticate
        .verify(request, realm, ha1_of, now, proxy=False) -> Verdict(ok, username, stale, reason)
            ha1_of(username, algorithm) -> str | None;  ha1(username, realm, password, algorithm) computes it
    DigestClient(username, password).authorise(request, response) -> Request | None    next attempt, CSeq + 1

A user agent server::

    class Uas:                                            # a TransactionUser
        def accept(self, request, source): return source.host == "127.0.0.1"     # False: no reply, no state
        def on_request(self, txn, request, source):
            if request.method == "INVITE":
                sip.respond(txn, txn.response(180))
                answer, audio = LocalSession("127.0.0.1").answer(SessionDescription.parse(request.body), 40000)
                ok = txn.response(200, headers=[("Contact", "<sip:us@127.0.0.1:5060>")], body=answer,
                                  content_type="application/sdp")
                self.dialogs[(d := Dialog.uas(request, ok, source)).id] = d
                sip.respond(txn, ok)                      # repeated until the ACK; else on_ack_timeout
            elif request.method == "BYE":
                known = self.dialogs.pop(dialog_id_of(request), None)
                sip.respond(txn, txn.response(200 if known else 481))
        def on_cancel(self, txn, request): sip.respond(txn, txn.response(487))   # only while no final was sent
        def on_ack_timeout(self, txn): ...                # send BYE: Dialog.request("BYE")
    sip = SipUdp(Uas(), SystemClock()); await sip.start("127.0.0.1", 5060)

A user agent client::

    to = Uri.parse("sip:100@t1.example")
    invite = new_request("INVITE", to, from_=NameAddr(uri=Uri.parse("sip:us@t1.example")), to=NameAddr(uri=to),
                         contact="<sip:us@127.0.0.1:5060>")
    invite.set_body(session.offer(40000), "application/sdp")
    txn = sip.request(invite, Peer("127.0.0.1", 5070))    # Via and From tag are added
    def on_response(self, txn, response):
        if response.status >= 300: ...                    # the layer has sent the ACK
        elif txn.is_invite and response.status >= 200:
            dialog = Dialog.uac(txn.request, response)    # a second To tag = another fork: ACK, then BYE
            sip.acknowledge(txn, dialog.ack(response), dialog.destination)
            audio = session.accept(SessionDescription.parse(response.body))
            if txn.cancelled: sip.request(dialog.request("BYE"), dialog.destination)      # CANCEL/200 race
    sip.cancel(txn)                                       # waits for the first 1xx by itself; the end is a 487
"""

from sivo.sip.address import NameAddr
from sivo.sip.dialog import Dialog, DialogId, DialogState, dialog_id_of
from sivo.sip.digest import Challenge, Credentials, DigestClient, ha1
from sivo.sip.digest_server import DigestServer, Verdict
from sivo.sip.errors import NotAcceptable, OutOfOrder, SipParseError
from sivo.sip.headers import Headers
from sivo.sip.ladder import LadderEntry
from sivo.sip.layer import TransactionLayer
from sivo.sip.message import Request, Response, new_branch, new_call_id, new_request, new_tag
from sivo.sip.offer_answer import AudioStream, LocalSession
from sivo.sip.peer import Peer
from sivo.sip.reading import parse
from sivo.sip.sdp import Media, Origin, SessionDescription
from sivo.sip.transactions import ClientTransaction, ServerTransaction, State, Timers
from sivo.sip.udp import SipUdp, TransactionUser
from sivo.sip.uri import Uri
from sivo.sip.via import Via

__all__ = [
    "AudioStream", "Challenge", "ClientTransaction", "Credentials", "Dialog", "DialogId", "DialogState", "DigestClient",
    "DigestServer", "Headers", "LadderEntry", "LocalSession", "Media", "NameAddr", "NotAcceptable", "Origin",
    "OutOfOrder", "Peer", "Request", "Response", "ServerTransaction", "SessionDescription", "SipParseError", "SipUdp",
    "State", "Timers", "TransactionLayer", "TransactionUser", "Uri", "Verdict", "Via", "dialog_id_of", "ha1",
    "new_branch", "new_call_id", "new_request", "new_tag", "parse",
]  # fmt: skip
