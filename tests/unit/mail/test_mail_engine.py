"""What an attempt leads to, and what a server's answer means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPDataError,
    SMTPNotSupported,
    SMTPReadTimeoutError,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPSenderRefused,
)

from sivo.mail.engine import DEAD, LADDER_S, MAX_LOST_STARTS, PENDING, SENT, Outcome, after, keeps_killing
from sivo.mail.smtp import outcome_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=7)
FAILED = Outcome(451, "come back")


def test_accepted_is_sent_and_refused_for_good_is_dead() -> None:
    assert after(0, Outcome(250), LATER, NOW).state == SENT
    dead = after(0, Outcome(550, "recipient refused with 550", final=True), LATER, NOW)
    assert (dead.state, dead.error) == (DEAD, "recipient refused with 550")


def test_waits_grow_until_the_mail_is_of_no_use() -> None:
    now, waits = NOW, []
    for attempts in range(30):
        step = after(attempts, FAILED, NOW + timedelta(hours=10), now)
        if step.state == DEAD:
            break
        assert step.state == PENDING and step.due_at is not None
        waits.append((step.due_at - now).total_seconds())
        now = step.due_at
    assert waits[: len(LADDER_S)] == list(LADDER_S)
    assert set(waits[len(LADDER_S) :]) == {LADDER_S[-1]}
    assert step.state == DEAD and step.error is not None and "come back" in step.error
    assert now < NOW + timedelta(hours=10)


def test_a_mail_that_kills_its_workers_is_given_up() -> None:
    assert not keeps_killing(MAX_LOST_STARTS, 0)
    assert keeps_killing(MAX_LOST_STARTS + 1, 0)
    assert not keeps_killing(MAX_LOST_STARTS + 1, 1)


REFUSED = SMTPRecipientsRefused([SMTPRecipientRefused(550, "no such user", "a@b.example")])
FULL = SMTPRecipientsRefused([SMTPRecipientRefused(452, "mailbox full", "a@b.example")])


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (REFUSED, True),
        (FULL, False),
        (SMTPDataError(554, "spam"), True),
        (SMTPDataError(451, "greylisted"), False),
        (SMTPSenderRefused(553, "not yours", "x@y.example"), False),
        (SMTPConnectError("refused"), False),
        (SMTPReadTimeoutError("slow"), False),
        (TimeoutError(), False),
        (ConnectionResetError("gone"), False),
        (SMTPNotSupported("SMTPUTF8 is not supported by this server"), True),
        (SMTPNotSupported("STARTTLS extension not supported by server"), False),
    ],
)
def test_only_what_is_about_the_recipient_or_the_message_is_final(error: Exception, final: bool) -> None:
    outcome = outcome_of(error)
    assert outcome is not None and outcome.error
    assert outcome.final is final


def test_what_the_server_says_to_a_password_is_not_repeated() -> None:
    outcome = outcome_of(SMTPAuthenticationError(535, "bad password hunter2 for ana"))
    assert outcome is not None and outcome.error is not None and "hunter2" not in outcome.error
    assert not outcome.final


def test_a_fault_of_ours_is_none_of_the_servers() -> None:
    assert outcome_of(KeyError("x")) is None
