"""One RTP stream to and from one phone: datagrams and ticks in, frames, digits and datagrams out. No I/O here."""

from __future__ import annotations

import ipaddress
import secrets

from sivo.media import codec, rtcp, rtp
from sivo.media.dtmf import DtmfReceiver, DtmfSender, Press
from sivo.media.jitter import Frame, JitterBuffer
from sivo.media.keypad import Keypad, Way
from sivo.media.latch import Address, Latch
from sivo.media.protocol import LegStats, Remote, SrtpKeys
from sivo.media.reports import Reports, Sent
from sivo.media.srtp import Srtp, SrtpError
from sivo.media.tones import ToneDetector, ToneSender

_COMFORT_NOISE = 13  # RFC 3389: says "silence", which is what we play anyway
#: No packet for this long on a leg that should be heard is reported once.
SILENT_S = 30.0


class Leg:
    """A leg as the session sees it. ``channel`` is where the voice heard from it belongs: 0 caller, 1 agent."""

    def __init__(self, leg: str, channel: int) -> None:
        self.id = leg
        self.channel = channel
        self.remote: Remote | None = None
        self.frame: Frame | None = None  # heard in the current tick
        self.sends = False  # the peer wants to hear us and we know where it is
        self.sent = 0
        self.send_errors = 0
        self._latch = Latch()
        self._control_latch = Latch()
        self._reports = Reports(secrets.token_hex(12))
        self._octets = 0
        self._packets = 0
        self._sent_stamp = (0, 0.0)  # RTP time and moment of the newest packet
        self._packets_before: list[int] = [0, 0]  # at the two last reports
        self._buffer = JitterBuffer()
        self._reception = rtp.ReceptionStats()
        self._keypad = Keypad()
        self._tones_in = ToneDetector()
        self._tones_out = ToneSender()
        self._dtmf_in = DtmfReceiver()
        self._dtmf_out = DtmfSender()
        self._srtp: Srtp | None = None
        self._malformed = 0
        self._unauthentic = 0
        self._ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(15)
        self._timestamp = secrets.randbits(32)
        self._marker = True
        self._heard_at: float | None = None
        self._timeout_told = False

    # --- where to ---------------------------------------------------------------------------------------------------

    def set_remote(self, remote: Remote) -> None:
        """Take the peer's side from its SDP. ``ValueError`` for a host that is no IP address, an unknown codec, or keys
        that fit no suite."""
        address = ipaddress.ip_address(remote.host)
        if remote.payload_type not in codec.AUDIO_TYPES:
            raise ValueError(f"payload type {remote.payload_type} is not G.711")
        if not 0 < remote.port < 65536:
            raise ValueError(f"{remote.port} is not a port")
        self._protect(remote.srtp)
        self.remote = remote
        self._marker = True
        self._heard_at = None
        self.sends = remote.send and not address.is_unspecified
        if not address.is_unspecified:  # c=0.0.0.0 is a hold of old (RFC 3264 §8.4), no place to send to
            self._latch.negotiate(str(address), remote.port, remote.behind_nat)
            control = remote.port if remote.rtcp_mux else remote.rtcp_port or remote.port + 1
            self._control_latch.negotiate(str(address), control, remote.behind_nat)

    def _protect(self, keys: SrtpKeys | None) -> None:
        """From now on under these keys, or in the clear. ``ValueError`` for keys that fit no suite."""
        if keys is None:
            self._srtp = None
        elif self._srtp is None:
            self._srtp = Srtp(keys)
        elif keys != self._srtp.keys and self._srtp.renew(keys):
            self._ssrc, self._sequence = secrets.randbits(32), secrets.randbits(15)
            self._packets = self._octets = 0
            self._packets_before = [0, 0]

    # --- in ---------------------------------------------------------------------------------------------------------

    def datagram(self, data: bytes, source: Address, now: float) -> None:
        """Take one datagram that arrived at ``now``. Whatever is not the peer's audio or digits is only counted."""
        remote = self.remote
        if remote is not None and remote.rtcp_mux and rtcp.is_rtcp(data):
            self.control(data, source, now)
            return
        if remote is None or not remote.receive:
            return
        try:
            packet = rtp.parse(self._srtp.unprotect(data) if self._srtp is not None else data)
        except SrtpError:
            self._unauthentic += 1
            return
        except rtp.RtpError:
            self._malformed += 1
            return
        event = remote.dtmf_payload_type is not None and packet.payload_type == remote.dtmf_payload_type
        if not event and packet.payload_type not in codec.AUDIO_TYPES and packet.payload_type != _COMFORT_NOISE:
            self._malformed += 1
            return
        if not self._latch.accept(source):
            return
        self._heard_at = now
        self._timeout_told = False
        self._reception.put(packet, now)
        if event:
            for press in self._dtmf_in.put(packet, now):
                self._keypad.put(press, Way.EVENT, now)
        elif packet.payload_type != _COMFORT_NOISE:
            self._buffer.put(packet, now)

    def control(self, data: bytes, source: Address, now: float) -> None:
        """Take one RTCP datagram that arrived at ``now``; only the peer's own are believed."""
        if self.remote is None:
            return
        latched = self._latch.latched
        if latched is not None and source[0] != latched[0]:
            return
        if self.remote.rtcp_mux and latched is not None and source != latched:
            return
        try:
            data = self._srtp.unprotect_control(data) if self._srtp is not None else data
            rtcp.parse(data)
            if self._control_latch.accept(source):
                self._reports.take(data, self._ssrc, now)
        except SrtpError:
            self._unauthentic += 1
        except rtcp.RtcpError:
            self._malformed += 1

    def report(self, now: float, unix: float, *, bye: bool = False) -> tuple[bytes, Address, bool] | None:
        """The RTCP packet that is due, where it goes, and whether on the RTP port; ``bye`` = the stream ends now."""
        remote, destination = self.remote, self._control_destination()
        if remote is None or destination is None or not (bye or self._reports.due(now)):
            return None
        if not self._packets and self._reception.ssrc is None:
            return None  # nothing to report on
        timestamp = self._sent_stamp[0] + int((now - self._sent_stamp[1]) * 1000) * codec.SAMPLES_PER_MS
        sending = self._packets > self._packets_before[0]
        self._packets_before = [self._packets_before[1], self._packets]
        sent = Sent(self._ssrc, self._packets, self._octets, timestamp, sending)
        packet = self._reports.next(sent, self._reception, now, unix, bye=bye)
        if self._srtp is not None:
            packet = self._srtp.protect_control(packet)
        return packet, destination, remote.rtcp_mux

    def _control_destination(self) -> Address | None:
        """Symmetric, as RTP is: who reports to us, else the port beside the peer's RTP."""
        remote, audio = self.remote, self._latch.destination
        if remote is None or audio is None:
            return None
        if remote.rtcp_mux:
            return audio
        if self._control_latch.latched is not None:
            return self._control_latch.latched
        if audio[1] == remote.port:
            return audio[0], remote.rtcp_port or remote.port + 1
        return (audio[0], audio[1] + 1) if audio[1] < 65535 else None

    def hear(self, due: float) -> Frame:
        """Take the frame of the tick that is due at ``due`` out of the jitter buffer; also kept in ``frame``."""
        self.frame = self._buffer.pop(due)
        if self.remote is not None and self.remote.keys_as_sound and self._keypad.listens:
            for press in self._tones_in.put(self.frame.pcm16):
                self._keypad.put(press, Way.SOUND, due)
        return self.frame

    def take_digit(self, press: Press, now: float) -> None:
        """A key that came beside the audio, as SIP INFO."""
        self._keypad.put(press, Way.INFO, now)

    def presses(self, now: float) -> list[tuple[Press, Way]]:
        """Key presses that are over, each once however and however often it came."""
        for press in self._dtmf_in.poll(now):
            self._keypad.put(press, Way.EVENT, now)
        return self._keypad.take()

    def silent_ms(self, now: float) -> int | None:
        """Told once: milliseconds without a packet when there were none for 30 s although there should be."""
        if self.remote is None or not (self.remote.receive and self.remote.send):  # on hold nobody need speak
            self._heard_at = None
            return None
        if self._heard_at is None:
            self._heard_at = now
        if self._timeout_told or now - self._heard_at < SILENT_S:
            return None
        self._timeout_told = True
        return int((now - self._heard_at) * 1000)

    # --- out --------------------------------------------------------------------------------------------------------

    def press(self, digits: str) -> None:
        """Send digits: as telephone events, or as sound to a peer that takes none. ``ValueError`` for a wrong digit."""
        if self.takes_digits:
            self._dtmf_out.queue(digits)
        else:
            self._tones_out.queue(digits)

    @property
    def pressing(self) -> bool:
        """Whether digits go out at present, instead of audio."""
        return self._dtmf_out.busy or self._tones_out.busy

    @property
    def takes_digits(self) -> bool:
        """Whether the peer has agreed on telephone-event."""
        return self.remote is not None and self.remote.dtmf_payload_type is not None

    def packet(self, tick: int, payload: bytes, now: float = 0.0) -> tuple[bytes, Address] | None:
        """The datagram of this tick and where it goes: ``payload`` (160 bytes in the peer's codec), or a digit that is
        being sent instead. None when the peer must not be sent to."""
        destination = self._latch.destination
        if destination is None or not self.sends:
            self._marker = True
            return None
        assert self.remote is not None
        timestamp = (self._timestamp + tick * codec.FRAME_SAMPLES) & 0xFFFFFFFF
        payload_type, marker = self.remote.payload_type, self._marker
        if self._dtmf_out.busy:
            event = self._dtmf_out.next(timestamp)
            if event is not None and self.remote.dtmf_payload_type is not None:
                payload_type, payload = self.remote.dtmf_payload_type, event.payload
                timestamp, marker = event.timestamp, event.marker
            else:
                payload = codec.silence(payload_type)
        elif (tone := self._tones_out.next()) is not None:
            payload = codec.encode(payload_type, tone)
        self._marker = False
        self._packets += 1
        self._octets += len(payload)
        self._sent_stamp = (self._timestamp + tick * codec.FRAME_SAMPLES, now)
        self._sequence = (self._sequence + 1) & 0xFFFF
        packet = rtp.build(payload_type, self._sequence, timestamp, self._ssrc, payload, marker)
        return (self._srtp.protect(packet) if self._srtp is not None else packet), destination

    def stats(self) -> LegStats:
        """Counters so far."""
        buffer, reception = self._buffer, self._reception
        return LegStats(
            packets_received=reception.received,
            packets_sent=self.sent,
            lost=reception.lost,
            late=buffer.late,
            duplicates=buffer.duplicates,
            reordered=reception.reordered,
            jitter_ms=round(reception.jitter_ms, 2),
            concealed=buffer.concealed,
            inserted=buffer.inserted,
            dropped=buffer.dropped,
            skipped=buffer.skipped,
            malformed=self._malformed,
            unauthentic=self._unauthentic,
            strangers=self._latch.strangers,
            send_errors=self.send_errors,
            buffer_ms=round(buffer.mean_ms, 1),
            rtcp_received=self._reports.received,
            rtt_ms=None if self._reports.rtt_ms is None else round(self._reports.rtt_ms, 1),
            remote_lost=self._reports.remote_lost,
            remote_jitter_ms=round(self._reports.remote_jitter_ms, 2),
        )
