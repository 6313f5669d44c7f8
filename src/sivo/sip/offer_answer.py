"""Offer and answer (RFC 3264) for one audio stream of G.711 with telephone-event (RFC 4733), protected where the policy
of the phone says so (SRTP with keys by RFC 4568).

Everything else that a peer offers (video, a second audio line, other profiles) is refused with port 0, in its place.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sivo.sip.errors import NotAcceptable
from sivo.sip.sdes import CLEAR, PROTECTED, SUITES, Crypto, SrtpPolicy, StreamKeys, crypto_of
from sivo.sip.sdp import Media, Origin, SessionDescription

#: The codecs we speak, by static payload type (RFC 3551).
CODECS = {0: "PCMU/8000", 8: "PCMA/8000"}
EVENT = "TELEPHONE-EVENT/8000"
PTIMES = (10, 20, 30, 40, 60)
_MIRROR = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
#: What a phone whose keys were not taken has to do.
SRTP_REMEDY = "register over TLS and offer RTP/SAVP with a=crypto, or change the extension's field srtp"
_NOWHERE = ("0.0.0.0", "::")  # noqa: S104 - not a bind: hold in the manner of RFC 2543


@dataclass(frozen=True, slots=True)
class AudioStream:
    """One agreed audio stream, seen from our side.

    ``host``/``port``: where we send to. ``payload_type`` is what we send (0 PCMU, 8 PCMA);
    ``dtmf_payload_type`` the telephone-event that the peer takes, or None. ``direction`` is ours.
    """

    host: str
    port: int
    payload_type: int
    dtmf_payload_type: int | None
    ptime_ms: int
    direction: str
    #: Where the peer takes RTCP: ``a=rtcp`` (RFC 3605) or None for the port beside its RTP, or on that (RFC 5761).
    rtcp_port: int | None = None
    rtcp_mux: bool = False
    #: Keys of SRTP; None: in the clear.
    srtp: StreamKeys | None = None

    @property
    def send(self) -> bool:
        """Whether we may send."""
        return self.direction in ("sendrecv", "sendonly")

    @property
    def receive(self) -> bool:
        """Whether the peer may send to us."""
        return self.direction in ("sendrecv", "recvonly")

    @property
    def held(self) -> bool:
        """Whether the peer does not want to hear us: hold by sendonly, inactive or ``c=0.0.0.0``."""
        return not self.send


def meet(theirs: str, ours: str) -> str:
    """Our direction in an answer: what we want, cut down to what the offer allows (RFC 3264 §6.1)."""
    allowed = _MIRROR[theirs]
    send = allowed in ("sendrecv", "sendonly") and ours in ("sendrecv", "sendonly")
    receive = allowed in ("sendrecv", "recvonly") and ours in ("sendrecv", "recvonly")
    return {(True, True): "sendrecv", (True, False): "sendonly", (False, True): "recvonly"}.get(
        (send, receive), "inactive"
    )


def _codecs(media: Media) -> list[int]:
    """Our codecs among the formats of ``media``, in its order; under their static payload types only."""
    return [number for number, name in media.codecs() if CODECS.get(number) == name]


def _usable(sdp: SessionDescription, media: Media) -> bool:
    address = sdp.address_of(media) or ""
    return (
        media.kind == "audio"
        and media.protocol in (*CLEAR, *PROTECTED)
        and media.port > 0
        and bool(_codecs(media))
        and _is_unicast(address)
    )


@lru_cache(maxsize=1024)
def _is_unicast(address: str) -> bool:
    try:
        return not ipaddress.ip_address(address).is_multicast
    except ValueError:
        return False  # a host name: media sends to addresses only


def audio_media(sdp: SessionDescription, srtp: SrtpPolicy = SrtpPolicy.OFF) -> Media:
    """The media section that we take: under a policy the first protected one, else the first in the clear. Keys under
    RTP/AVP count as well, as many phones offer them so. Raises NotAcceptable."""
    usable = [media for media in sdp.media if _usable(sdp, media)]
    if srtp is not SrtpPolicy.OFF:
        for media in usable:
            if crypto_of(media):
                return media
        if srtp is SrtpPolicy.REQUIRED:
            raise NotAcceptable("SRTP is required here: RTP/SAVP with a=crypto, over TLS", SRTP_REMEDY)
    for media in usable:
        if media.protocol in CLEAR:
            return media
    if usable:
        raise NotAcceptable("SRTP is not taken here: it is switched off, or its keys came in the clear", SRTP_REMEDY)
    raise NotAcceptable("no audio stream with PCMU or PCMA over RTP/AVP")


def audio_of(
    sdp: SessionDescription,
    *,
    prefer: Sequence[int] = (),
    ours: str = "sendrecv",
    srtp: SrtpPolicy = SrtpPolicy.OFF,
) -> AudioStream:
    """The audio stream that a peer's description sets up with us, without its keys. Its own order of codecs decides;
    ``prefer`` (payload types 0 and 8) moves ours to the front where the peer has them. Raises NotAcceptable."""
    return _stream(sdp, audio_media(sdp, srtp), prefer, ours)


def _stream(sdp: SessionDescription, media: Media, prefer: Sequence[int], ours: str) -> AudioStream:
    address = sdp.address_of(media) or ""
    codecs = _codecs(media)
    codecs.sort(key=lambda number: prefer.index(number) if number in prefer else len(prefer))
    events = [number for number, name in media.codecs() if name == EVENT]
    theirs = "inactive" if sdp.direction_of(media) == "recvonly" and address in _NOWHERE else sdp.direction_of(media)
    if address in _NOWHERE and theirs == "sendrecv":
        theirs = "sendonly"
    return AudioStream(
        host=address,
        port=media.port,
        payload_type=codecs[0],
        dtmf_payload_type=events[0] if events else None,
        ptime_ms=_ptime(media),
        direction=meet(theirs, ours),
        rtcp_port=_rtcp_port(media),
        rtcp_mux=media.attribute("rtcp-mux") is not None,
    )


def _rtcp_port(media: Media) -> int | None:
    text = (media.attribute("rtcp") or "").partition(" ")[0]
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
    return value if 0 < value < 65536 else None


def _ptime(media: Media) -> int:
    text = (media.attribute("ptime") or "20").partition(".")[0].strip()
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 20
    longest = (media.attribute("maxptime") or "").strip()
    if longest.isascii() and longest.isdigit() and len(longest) < 5:
        value = min(value, int(longest))
    return max((ptime for ptime in PTIMES if ptime <= value), default=PTIMES[0])


class LocalSession:
    """Our side of one leg: keeps session id and version of ``o=`` over all its offers and answers (RFC 3264 §8).

    ``codecs`` are static payload types in our order, ``dtmf`` the payload type that we offer for telephone-event (None:
    none), ``ptime`` milliseconds. ``srtp`` is the policy; where the peer is not on TLS (``secure``) no key is offered
    or taken.
    """

    def __init__(
        self,
        host: str,
        codecs: Sequence[int] = (0, 8),
        dtmf: int | None = 101,
        ptime: int = 20,
        session_id: int | None = None,
        *,
        srtp: SrtpPolicy = SrtpPolicy.OFF,
        secure: bool = False,
    ) -> None:
        self.host = host
        self.codecs = tuple(codecs)
        self.dtmf = dtmf
        self.ptime = ptime
        self.session_id = secrets.randbits(31) if session_id is None else session_id
        self.version = 0
        self._last: bytes | None = None
        #: What we said last; to refresh a session without changing it (RFC 4028 §7.4).
        self.current = b""
        self._direction = "sendrecv"
        self._required = srtp is SrtpPolicy.REQUIRED
        self.srtp = srtp if secure else SrtpPolicy.OFF
        self._offered: list[Crypto] = []
        self._offered_port = 0
        #: Keys in force, and the port that they are for.
        self._agreed: tuple[StreamKeys, int] | None = None

    @property
    def protects(self) -> bool:
        """Whether what we offer is protected."""
        return self.srtp is not SrtpPolicy.OFF

    def in_the_clear(self) -> bool:
        """Offer no keys from now on; False where the policy does not allow it, or none were offered anyway."""
        if self.srtp is not SrtpPolicy.OPTIONAL:
            return False
        self.srtp = SrtpPolicy.OFF
        return True

    def offer(self, port: int, direction: str = "sendrecv") -> bytes:
        """An offer for one audio stream on ``port``; with fresh keys. Raises NotAcceptable where SRTP is required and
        the peer is not on TLS."""
        self._check_way()
        self._direction = direction
        self._offered = [Crypto.fresh(n, suite) for n, suite in enumerate(SUITES, 1)] if self.protects else []
        self._offered_port = port
        formats = [str(number) for number in self.codecs] + ([str(self.dtmf)] if self.dtmf is not None else [])
        attributes: list[tuple[str, str | None]] = [("rtpmap", f"{n} {CODECS[n]}") for n in self.codecs]
        if self.dtmf is not None:
            attributes += [("rtpmap", f"{self.dtmf} telephone-event/8000"), ("fmtp", f"{self.dtmf} 0-15")]
        attributes += [("crypto", str(line)) for line in self._offered]
        attributes += [("ptime", str(self.ptime)), (direction, None)]
        protocol = PROTECTED[0] if self.protects else CLEAR[0]
        return self._describe([Media("audio", port, protocol, formats, attributes=attributes)])

    def answer(self, offer: SessionDescription, port: int, direction: str = "sendrecv") -> tuple[bytes, AudioStream]:
        """The answer to ``offer`` with our audio on ``port``, and the stream that it sets up. Raises NotAcceptable."""
        self._check_way()
        chosen = audio_media(offer, self.srtp)
        stream = _stream(offer, chosen, self.codecs, direction)
        line = next(iter(crypto_of(chosen)), None) if self.protects else None
        if line is not None:
            stream = replace(stream, srtp=self._agree(line, port))
        media = [
            self._take(stream, port, item.protocol, line.tag if line else 0) if item is chosen else _refuse(item)
            for item in offer.media
        ]
        return self._describe(media), stream

    def check(self, offer: SessionDescription | None) -> None:
        """Raises NotAcceptable for an offer that cannot be answered, or (None) when none can be made."""
        self._check_way()
        if offer is not None:
            audio_media(offer, self.srtp)

    def _check_way(self) -> None:
        if self._required and self.srtp is not SrtpPolicy.REQUIRED:
            raise NotAcceptable("SRTP is required here, and its keys may not go in the clear: use TLS", SRTP_REMEDY)

    def _agree(self, theirs: Crypto, port: int) -> StreamKeys:
        """Our key for a peer's line: the one that is in force while the peer's stays (RFC 4568 §7.1.4), else a new
        one."""
        before = self._agreed
        same = before is not None and (before[0].suite, before[0].theirs, before[1]) == (theirs.suite, theirs.key, port)
        if before is None or not same:
            ours = Crypto.fresh(theirs.tag, theirs.suite).key
            self._agreed = before = (StreamKeys(theirs.suite, ours, theirs.key), port)
        return before[0]

    def accept(self, answer: SessionDescription) -> AudioStream:
        """The stream that the peer's ``answer`` to our last offer sets up. Raises NotAcceptable."""
        if not self._offered:
            return audio_of(answer, ours=self._direction)
        usable = next((media for media in answer.media if _usable(answer, media)), None)
        if usable is None:
            raise NotAcceptable("no audio stream with PCMU or PCMA")
        stream = _stream(answer, usable, (), self._direction)
        line = next(iter(crypto_of(usable)), None)
        ours = next((one for one in self._offered if line and (one.tag, one.suite) == (line.tag, line.suite)), None)
        if line is not None and ours is not None:
            keys = StreamKeys(line.suite, ours.key, line.key)
            self._agreed = (keys, self._offered_port)
            return replace(stream, srtp=keys)
        if self._required or usable.attribute("crypto") is not None:
            raise NotAcceptable("the answer takes none of our keys", SRTP_REMEDY)
        return stream

    def rekeyed(self, answer: SessionDescription) -> AudioStream | None:
        """After a refresh with what we said last (:attr:`current`): the stream when the peer has answered with another
        key than before, None when nothing has changed. Raises NotAcceptable."""
        if self._agreed is None:
            return None
        (keys, port), media = self._agreed, audio_media(answer, self.srtp)
        line = next((one for one in crypto_of(media) if one.suite == keys.suite), None)
        if line is None or line.key == keys.theirs:
            return None
        renewed = StreamKeys(keys.suite, keys.ours, line.key)
        self._agreed = (renewed, port)
        return replace(_stream(answer, media, self.codecs, self._direction), srtp=renewed)

    @staticmethod
    def _take(stream: AudioStream, port: int, protocol: str, tag: int) -> Media:
        number = stream.payload_type
        formats = [str(number)]
        attributes: list[tuple[str, str | None]] = [("rtpmap", f"{number} {CODECS[number]}")]
        if stream.dtmf_payload_type is not None:
            formats.append(str(stream.dtmf_payload_type))
            attributes.append(("rtpmap", f"{stream.dtmf_payload_type} telephone-event/8000"))
            attributes.append(("fmtp", f"{stream.dtmf_payload_type} 0-15"))
        if stream.rtcp_mux:
            attributes.append(("rtcp-mux", None))
        if stream.srtp is not None:
            attributes.append(("crypto", str(Crypto(tag, stream.srtp.suite, stream.srtp.ours))))
        attributes += [("ptime", str(stream.ptime_ms)), (stream.direction, None)]
        return Media("audio", port, protocol, formats, attributes=attributes)

    def _describe(self, media: list[Media]) -> bytes:
        sdp = SessionDescription(connection=self.host, media=media)
        version, _, rest = str(sdp).partition("\r\n")
        body = rest.partition("\r\n")[2].encode()
        if body != self._last:
            self.version += 1
            self._last = body
        origin = Origin("-", str(self.session_id), str(self.version), self.host)
        self.current = f"{version}\r\no={origin}\r\n".encode() + body
        return self.current


def _refuse(media: Media) -> Media:
    """The same section with port 0 (RFC 3264 §6)."""
    return Media(media.kind, 0, media.protocol, list(media.formats))
