"""Codes and passwords: TOTP against RFC 6238's own vectors and pyotp, recovery codes, what a password may be."""

from __future__ import annotations

import base64

import pyotp
import pytest

from sivo.base.errors import SivoError
from sivo.identity import recovery_codes, totp
from sivo.identity.password_rules import check_new_password, common_passwords

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.mark.parametrize(
    ("at", "code"), [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")]
)
def test_codes_of_rfc_6238_appendix_b(at: int, code: str) -> None:
    assert totp.matching_step(RFC_SECRET, code, at, 0) == at // 30


def test_one_step_of_drift_and_not_two() -> None:
    secret, now = totp.new_secret(), 1_800_000_000
    for drift, taken in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        code = pyotp.TOTP(secret).at(now + 30 * drift)
        assert (totp.matching_step(secret, code, now, 0) is not None) == taken, drift


def test_each_step_once_and_never_an_older_one() -> None:
    secret, now = totp.new_secret(), 1_800_000_000
    step = now // 30
    assert totp.matching_step(secret, pyotp.TOTP(secret).at(now), now, step) is None
    assert totp.matching_step(secret, pyotp.TOTP(secret).at(now - 30), now, step) is None
    assert totp.matching_step(secret, pyotp.TOTP(secret).at(now + 30), now, step) == step + 1


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "１２３４５６", "-12345", "123 45"])
def test_what_is_no_code(code: str) -> None:
    assert totp.matching_step(RFC_SECRET, code, 59, 0) is None


def test_eight_recovery_codes_of_eighty_bits() -> None:
    codes = recovery_codes.new_codes()
    assert len(set(codes)) == 8
    assert all(len(code.replace("-", "")) == 16 for code in codes)
    spoken = codes[0].upper().replace("-", " ")
    assert recovery_codes.digest(spoken) == recovery_codes.digest(codes[0])


NAMES = ("Acme Phones Ltd", "acme-phones", "Ana Pérez", "ana.perez@acme.example")


@pytest.mark.parametrize(
    "password",
    [
        "alllowercase",
        "        x       x",
        "12 34 56 78 90 1",
        "contraseña-larga",
        "x" * 64,
        "pä" * 100,
        "correct horse",
    ],
)
def test_no_composition_rules_and_long_ones_are_welcome(password: str) -> None:
    check_new_password(password, 8, NAMES)


@pytest.mark.parametrize("password", ["password", "PassWord", "12345678", "iloveyou", "ｐａｓｓｗｏｒｄ", "qwertyuiop"])
def test_common_ones_are_refused_offline(password: str) -> None:
    with pytest.raises(SivoError) as caught:
        check_new_password(password, 8, NAMES)
    assert caught.value.code == "PASSWORD_TOO_COMMON"
    assert password == "password" or password not in str(caught.value)


@pytest.mark.parametrize(
    "password", ["acmephones", "Acme-Phones2026!", "acmephones123", "ACME PHONES LTD", "ana.perez1990", "phones2026"]
)
def test_the_tenants_and_the_persons_own_names_are_refused(password: str) -> None:
    with pytest.raises(SivoError) as caught:
        check_new_password(password, 8, NAMES)
    assert caught.value.code == "PASSWORD_TOO_COMMON"


def test_the_list_is_the_shipped_one() -> None:
    assert len(common_passwords()) > 3000
    assert min(len(one) for one in common_passwords()) >= 8


def test_too_short_names_the_number_first() -> None:
    with pytest.raises(SivoError, match="12 characters") as caught:
        check_new_password("password", 12, NAMES)
    assert caught.value.code == "PASSWORD_TOO_SHORT"
