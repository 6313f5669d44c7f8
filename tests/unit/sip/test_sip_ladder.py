from datetime import UTC, datetime

from sip_bench import PHONE, request_bytes

from sivo.sip import LadderEntry, parse

AT = datetime(2026, 1, 1, tzinfo=UTC)
CANARIES = ("hunter2", "0123abcd", "inline:WVNfX19", "icesecret", "4711")


def entry(*extra: str, body: str = "", content_type: str = "application/sdp") -> LadderEntry:
    data = request_bytes(extra=[*extra, f"Content-Type: {content_type}", f"Content-Length: {len(body)}"])
    return LadderEntry.of(parse(data + body.encode()), "in", PHONE, AT)


def test_one_record_a_message() -> None:
    record = entry()
    assert (record.at, record.direction, record.peer, record.again) == (AT, "in", PHONE, False)
    assert record.first_line == "INVITE sip:100@192.0.2.1 SIP/2.0"
    assert (record.call_id, record.cseq) == ("call-1", "1 INVITE")


def test_no_secret_is_shown() -> None:
    crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19"
    body = f"v=0\r\nk=clear:4711\r\n{crypto}\r\na=ice-pwd:icesecret\r\na=ptime:20\r\n"
    record = entry(
        'Authorization: Digest username="100", response="0123abcd"',
        "Proxy-Authorization: hunter2",
        "Referred-By: <sip:boss:hunter2@x>",
        body=body,
    )
    for canary in CANARIES:
        assert canary not in record.text
        assert canary not in repr(record)
    assert "Authorization: Digest ***" in record.text
    assert "Proxy-Authorization: ***" in record.text
    assert "<sip:boss:***@x>" in record.text
    assert "a=ptime:20" in record.text
    assert "a=crypto:1 AES_CM_128_HMAC_SHA1_80 ***" in record.text


def test_a_password_in_the_request_uri_is_not_shown() -> None:
    record = LadderEntry.of(parse(request_bytes(uri="sip:100:hunter2@192.0.2.1")), "out", PHONE, AT, again=True)
    assert record.first_line == "INVITE sip:100:***@192.0.2.1 SIP/2.0"
    assert "hunter2" not in record.text
    assert record.again


def test_bodies_other_than_sdp_are_not_shown() -> None:
    record = entry(body="Signal=4711", content_type="application/dtmf-relay")
    assert "4711" not in record.text
    assert "(11 bytes of application/dtmf-relay)" in record.text
