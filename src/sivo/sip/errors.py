"""Errors of the SIP room."""

from __future__ import annotations

from sivo.base.errors import SivoError, register

SIP_PARSE = register("SIP_PARSE", 400)
SIP_NOT_ACCEPTABLE = register("SIP_NOT_ACCEPTABLE", 422)
SIP_OUT_OF_ORDER = register("SIP_OUT_OF_ORDER", 409)


class SipParseError(SivoError):
    """Something received could not be read. ``header`` names where (a header, ``start line`` or ``SDP``).

    ``status`` of the SIP answer it deserves is :attr:`sip_status` (400 unless a better one is known).
    """

    def __init__(self, message: str, header: str, *, sip_status: int = 400) -> None:
        super().__init__(SIP_PARSE, message, where=header)
        self.header = header
        self.sip_status = sip_status


class NotAcceptable(SivoError):  # noqa: N818 - named after the answer it causes
    """An SDP offer or answer has no audio stream that we can take: answer 488 (RFC 3261 §21.4.26)."""

    def __init__(self, message: str, remedy: str = "offer PCMU or PCMA over RTP/AVP") -> None:
        super().__init__(SIP_NOT_ACCEPTABLE, message, where="SDP", remedy=remedy)


class OutOfOrder(SivoError):  # noqa: N818 - named after what happened
    """A request in a dialog carries a CSeq below the last one: answer 500 (RFC 3261 §12.2.2)."""

    def __init__(self, received: int, known: int) -> None:
        super().__init__(SIP_OUT_OF_ORDER, f"CSeq {received} is below {known}", where="CSeq")
