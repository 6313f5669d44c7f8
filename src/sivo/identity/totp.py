"""Time-based one-time passwords (RFC 6238): SHA-1, six digits, steps of 30 s, each step accepted once."""

from __future__ import annotations

import hmac

import pyotp

STEP_S = 30
#: Steps that a phone's clock may be off, to either side.
DRIFT = 1


def new_secret() -> str:
    """160 random bits in base32, the length that RFC 4226 §4 recommends."""
    return pyotp.random_base32(32)


def uri(secret: str, account: str, issuer: str) -> str:
    """What an authenticator app reads from a QR code (``otpauth://totp/…``)."""
    return pyotp.TOTP(secret, interval=STEP_S).provisioning_uri(name=account, issuer_name=issuer)


def matching_step(secret: str, code: str, now: float, last_step: int) -> int | None:
    """The time step that ``code`` belongs to, if it is near ``now`` (Unix seconds) and younger than ``last_step``.

    The caller stores the step as the last accepted one, in a statement that only moves it forward (RFC 6238 §5.2).
    """
    if len(code) != 6 or not code.isascii() or not code.isdigit():
        return None
    generator = pyotp.TOTP(secret, interval=STEP_S)
    current = int(now) // STEP_S
    found = None
    for step in range(current - DRIFT, current + DRIFT + 1):
        if hmac.compare_digest(generator.generate_otp(step), code) and step > last_step and found is None:
            found = step
    return found
